"""Progress in the terminal."""

import sys

from tqdm import tqdm


class Bar:
    """A bar of bytes with their rate and the time left; a new line for each thing that is done. It draws nothing where no terminal reads it."""

    def __init__(self) -> None:
        self._what, self._bar = "", None

    def __call__(self, what: str, done: int, total: int, start: int = 0) -> None:
        """start: bytes that were there before, which the rate shall not count."""
        if what != self._what:
            self.close()
            hidden = not sys.stderr.isatty()
            self._what, self._bar = what, tqdm(desc=what, total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024, disable=hidden)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

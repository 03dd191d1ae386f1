"""How many calls of a run each kernel took, and why the others went to ComfyUI's own function."""

from collections import Counter

from ..kernels.attention import OWN


class Tally:
    """Counts one run's calls; what torch.compile has compiled runs without being counted."""

    def __init__(self):
        self._taken: Counter[str] = Counter()
        self._handed: Counter[str] = Counter()

    def begin(self) -> None:
        """Forget the last run."""
        self._taken.clear()
        self._handed.clear()

    def took(self, kernel: str) -> None:
        """Note a call that a kernel computed."""
        self._taken[kernel] += 1

    def handed(self, why: str) -> None:
        """Note a call that went to ComfyUI's own function."""
        self._handed[why] += 1

    def describe(self) -> str:
        """The run in a line."""
        parts = [f"{kernel} took {count} {_calls(count)}" for kernel, count in self._taken.items()]
        if self._handed:
            count = self._handed.total()
            reasons = ", ".join(f"{why}: {each}" for why, each in self._handed.most_common())
            parts.append(f"{OWN} {count} {_calls(count)} ({reasons})")
        return "attention of the last run: " + ("; ".join(parts) or "no call came by, or all were compiled")


def _calls(count: int) -> str:
    return "call" if count == 1 else "calls"

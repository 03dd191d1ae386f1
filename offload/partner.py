"""The two experts of Wan2.2 A14B: while one's last step computes, the other's file is brought into the page cache."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ..bridge import memory, runs

ATTACHMENT = KEY = "lightquant_partner"
PIECE = 8 << 20
"""Bytes that are read at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partner:
    """paths: the files of the expert that runs next, or none where it is the last."""

    paths: tuple[str, ...]


class ReadAhead:
    """Reads files in a thread, only so that the system keeps them: no more than fits into free memory, and nothing is kept here."""

    def __init__(self, paths: Sequence[str]):
        self._paths, self._stop = tuple(paths), threading.Event()
        self._thread: threading.Thread | None = None
        self.read_bytes = 0

    def start(self) -> None:
        """Begin, unless it has begun already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="lightquant-read-ahead", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Return when everything is read."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Read no further."""
        self._stop.set()
        self.wait()

    def _read(self) -> None:
        left, piece = memory.free_host_bytes(), bytearray(PIECE)
        for path in self._paths:
            try:
                with open(path, "rb", buffering=0) as file:
                    while not self._stop.is_set() and left >= PIECE and (count := file.readinto(piece)):
                        self.read_bytes += count
                        left -= count
            except OSError as problem:
                log.info("LightQuant could not read %s ahead: %s", path, problem)


class _Switch:
    """Starts reading the next expert at a run's last prediction, once a run."""

    def __init__(self, paths: Sequence[str]):
        self._paths = tuple(paths)
        self._predictions = 0
        self.reading: ReadAhead | None = None

    def begin(self, patcher) -> None:
        self._predictions = 0

    def predict(self, steps: int) -> None:
        self._predictions += 1
        if self._predictions == max(steps, 1):
            self.reading = ReadAhead(self._paths)
            self.reading.start()


def make_pair(first, second, second_paths: Sequence[str]) -> None:
    """Let two patchers know that the second one runs after the first."""
    first.set_attachments(ATTACHMENT, Partner(tuple(second_paths)))
    second.set_attachments(ATTACHMENT, Partner(()))
    switch = _Switch(second_paths)
    runs.set_callbacks(first, KEY, {runs.BEGIN: switch.begin})
    runs.at_each_prediction(first, KEY, switch.predict)


def partner_of(patcher) -> Partner | None:
    """What is known of the other expert, or None for a model that has none."""
    return patcher.get_attachment(ATTACHMENT)

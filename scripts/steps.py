"""Steps of a set-up: each runs once, logs what it runs, and is remembered only after it succeeded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 15


class SetUpError(Exception):
    """A step that failed: which one, why, and what to do."""

    def __init__(self, step: str, reason: str, remedy: str) -> None:
        super().__init__(f"Set-up stopped at this step: {step}\nWhy: {reason}\nWhat to do: {remedy}")


def say(text: str) -> None:
    """Write to stderr; stdout belongs to what the command prints."""
    sys.stderr.write(text)
    sys.stderr.flush()


@dataclass(frozen=True)
class Step:
    """One named piece of the set-up.

    Attributes:
        name: what it does, as a user reads it.
        log: the file that gets the output of every command it runs.
        remedy: what to do when it fails.
    """

    name: str
    log: Path
    remedy: str

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Say the step and its duration in one line; a failing file system becomes a SetUpError."""
        say(f"{self.name} ... ")
        start = time.monotonic()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text("", encoding="utf-8")
            yield
        except OSError as error:
            say("failed\n")
            raise SetUpError(self.name, str(error), self.remedy) from error
        except BaseException:
            say("failed\n")
            raise
        say(f"{time.monotonic() - start:.0f} s\n")

    def run(self, command: Sequence[str | Path]) -> None:
        """Run a command with its output in the log. Raises SetUpError with the log's tail when it fails."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(map(str, command))}\n")
            log.flush()
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        if code:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
            tail = "\n".join(f"  | {line}" for line in lines)
            raise SetUpError(self.name, f"a command ended with code {code}; the end of {self.log}:\n{tail}", self.remedy)

    def make(self, folder: Path, product: str, made_from: Mapping[str, object], build: Callable[[Step, Path], None]) -> None:
        """Build `folder` from clean, unless it was built before from the same things and still holds `product`.

        What it was made from is kept in `<folder>.ready.json`, written last, so that an interrupted or outdated build is made again.
        """
        ready = folder.with_name(folder.name + ".ready.json")
        record = {"folder": str(folder), **made_from}
        if (folder / product).exists() and _read(ready) == record:
            return
        with self.announced():
            ready.unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            build(self, folder)
            draft = ready.with_suffix(".draft")
            draft.write_text(json.dumps(record, indent=1), encoding="utf-8")
            draft.replace(ready)


def _read(ready: Path) -> object:
    try:
        return json.loads(ready.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold `lock`, after any other process's set-up has ended. The system frees it when its holder dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as handle:
        if not _try_lock(handle.fileno()):
            say(f"Waiting for another set-up that holds {lock} ... ")
            while not _try_lock(handle.fileno()):
                time.sleep(0.5)
            say("done\n")
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

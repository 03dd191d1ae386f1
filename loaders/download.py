"""Fetching a published model: only when asked to, only what is missing, and under its name only once its checksum is right."""

import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import DownloadError
from .alone import alone
from .catalogue import FOLDER, Published
from .hub import Remote, ask, explained, fetch

DOWNLOADING, CHECKING = "downloading", "checking"

Progress = Callable[[str, int, int], None]
"""Told what is being done (one of the two above), bytes done, bytes in all. What it raises stops the download, which can be continued."""

_PIECE = 1 << 24
"""Bytes read at once for a checksum."""


class Part(NamedTuple):
    """A file to fetch. target: where it goes; partial: where it grows until then; there: whether it stands there already, checked."""

    remote: Remote
    target: str
    partial: str
    there: bool

    @property
    def received(self) -> int:
        """Bytes that an earlier download left."""
        return os.path.getsize(self.partial) if os.path.exists(self.partial) else 0


class Plan(NamedTuple):
    """What a download is going to do. path: of the file or folder; missing: bytes still to fetch; free: bytes free in its folder."""

    path: str
    parts: tuple[Part, ...]
    missing: int
    free: int

    @property
    def total(self) -> int:
        return sum(part.remote.size for part in self.parts)


def no_progress(what: str, done: int, total: int) -> None:
    pass


def free_space(folder: str) -> int:
    """Bytes free where a folder is, or will be; 0 where there is no such disk."""
    while not os.path.isdir(folder):
        above = os.path.dirname(folder)
        if above == folder:
            return 0
        folder = above
    return shutil.disk_usage(folder).free


def plan(
    wanted: Published,
    folder: str,
    endpoint: str | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    space: Callable[[str], int] = free_space,
) -> Plan:
    """Ask the hub what a download into a folder takes; nothing is written. A file that is there already is read for its checksum.

    force: another file of that name may be replaced. Raises DownloadError: on that, on too little space, and on what the hub answers.
    """
    folder = os.path.abspath(folder)
    path = os.path.join(folder, wanted.name)
    with explained(wanted.name, wanted.repository):
        remotes = ask(wanted, endpoint)
        targets = [os.path.join(path, *remote.path.split("/")) if wanted.kind == FOLDER else path for remote in remotes]
        parts = _parts(remotes, targets, progress)
    for part in parts:
        _check_place(part, force)
    missing = sum(part.remote.size - min(part.received, part.remote.size) for part in parts if not part.there)
    free = space(folder)
    if missing > free:
        raise DownloadError(
            f"{wanted.name} needs {readable(missing)} more, and {folder} has {readable(free)} free. Nothing was fetched. "
            "Make room, or choose another folder."
        )
    return Plan(path, parts, missing, free)


def download(
    wanted: Published,
    folder: str,
    endpoint: str | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    space: Callable[[str], int] = free_space,
) -> str:
    """Fetch a published model into a folder; its path. Arguments and errors as `plan` has them, and DownloadError when a checksum differs.

    The parts of a folder get their names when all of them are there. An interrupted download leaves .partial files, which the next one goes on with.
    """
    todo = plan(wanted, folder, endpoint, force, progress, space)
    missing = [part for part in todo.parts if not part.there]
    if not missing:
        return todo.path
    with explained(wanted.name, wanted.repository):
        for part in missing:
            os.makedirs(os.path.dirname(part.target), exist_ok=True)
        with alone(todo.path, DownloadError(f"{todo.path} is being downloaded already, by another run. Wait for it.")):
            done = todo.total - sum(part.remote.size for part in missing)
            for part in missing:
                _drop_stale(part)
                fetch(part.remote, part.partial, lambda size, before=done: progress(DOWNLOADING, before + size, todo.total))
                done += part.remote.size
            _check(missing, progress)
            for part in missing:
                _check_place(part, force)
                os.replace(part.partial, part.target)
    return todo.path


def readable(size: int) -> str:
    """Bytes as a user reads them: 15.5 GiB."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = min(max(0, (size.bit_length() - 1) // 10), len(units) - 1)
    return f"{size / 1024**power:.1f} {units[power]}" if power else f"{size} bytes"


def _parts(remotes: Sequence[Remote], targets: Sequence[str], progress: Progress) -> tuple[Part, ...]:
    pairs = list(zip(remotes, targets, strict=True))
    alike = [(target, remote) for remote, target in pairs if os.path.isfile(target) and os.path.getsize(target) == remote.size]
    found = dict(zip((target for target, _ in alike), _checksums(alike, progress), strict=True))
    # The name carries the checksum: a file that has changed on the hub is not continued with the rest of another.
    return tuple(Part(remote, target, f"{target}.{remote.checksum[:12]}.partial", found.get(target) == remote.checksum) for remote, target in pairs)


def _check_place(part: Part, force: bool) -> None:
    if os.path.exists(part.target) and not part.there and not force:
        raise DownloadError(f"{part.target} is there already and is not what the hub has. Move it away, or replace it: lightquant download --force")


def _drop_stale(part: Part) -> None:
    """Remove what is left of earlier downloads of another version of the file, which can't be continued."""
    for stale in glob.glob(f"{glob.escape(part.target)}.*.partial"):
        if stale != part.partial:
            os.remove(stale)


def _check(parts: Sequence[Part], progress: Progress) -> None:
    """Remove what came damaged, and raise DownloadError if anything did."""
    found = _checksums([(part.partial, part.remote) for part in parts], progress)
    damaged = [(part, checksum) for part, checksum in zip(parts, found, strict=True) if checksum != part.remote.checksum]
    for part, _ in damaged:
        os.remove(part.partial)
    if damaged:
        part, checksum = damaged[0]
        raise DownloadError(
            f"{os.path.basename(part.target)} came damaged: its checksum is {checksum}, and the server says {part.remote.checksum}. "
            "What came was removed. Run it again, or try another endpoint."
        )


def _checksums(files: Sequence[tuple[str, Remote]], progress: Progress) -> list[str]:
    """Each file's sha256, or what git calls it by where that is what the hub has; progress is told, so that the user can stop it."""
    found, done, total = [], 0, sum(remote.size for _, remote in files)
    for path, remote in files:
        digest = hashlib.sha256() if len(remote.checksum) == 64 else hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False)
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                done += len(piece)
                progress(CHECKING, done, total)
        found.append(digest.hexdigest())
    return found

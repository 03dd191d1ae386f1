"""The Hugging Face hub through `huggingface_hub`: what it says of a published file, and the file's bytes from where they were left off.

`hf_hub_download` is not used: that of huggingface_hub 2.4 throws a cut-off download away, and with hf_xet it can't go on in the middle of a file.
What it is made of can: addresses, metadata and listing come from public functions, the bytes from `http_get`, which takes the same arguments from
0.27 to 2.4. So hf_xet is never used; the hub serves what it keeps there over plain HTTP too.
"""

import errno
import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import DownloadError
from .catalogue import FOLDER, Published

logger = logging.getLogger(__name__)

_NEXT = "What came so far is kept: run it again and it goes on from there."

_STATUS = {
    401: "the server wants to know who asks (401), or has no such repository. Accept the model's terms on its page if it has any, then log in "
    "with: hf auth login",
    403: "the server refuses (403). Accept the model's terms on its page, log in with: hf auth login, and look whether your token may read it.",
    404: "the server has no such file (404). It may have been renamed or withdrawn: look at the repository's page, or try another endpoint.",
    416: "the server does not go on from where it was cut off (416). Run it again.",
    429: f"the server has had too many requests from here (429). Wait some minutes. {_NEXT}",
}
"""HTTP status -> what it means and what to do."""


class Remote(NamedTuple):
    """A file on the hub. path: in the folder of parts, or just its name; size in bytes; checksum: sha256, or for small files git's own sha1."""

    path: str
    url: str
    size: int
    checksum: str


@contextmanager
def explained(name: str, where: str) -> Iterator[None]:
    """Turns the errors of the library, of its HTTP client (which differs by version) and of the disk into the pack's."""
    try:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ImportError as problem:
        raise DownloadError(f"{name} can't be fetched: huggingface_hub is not here ({problem}). Install it with ComfyUI's Python.") from problem
    try:
        yield
    except (OSError, *HfHubHTTPError.__bases__) as problem:
        status = getattr(getattr(problem, "response", None), "status_code", None)
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        logger.debug("download of %s from %s failed", name, where, exc_info=True)
        if isinstance(problem, OfflineModeIsEnabled):
            what = "huggingface_hub is told to stay offline. Unset HF_HUB_OFFLINE, or put the file there yourself."
        elif getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            what = f"the disk is full. Make room. {_NEXT}"
        elif getattr(problem, "filename", None) is not None:
            what = f"its folder can't be written to ({problem}). Choose another, or mend its permissions."
        else:
            what = _STATUS.get(status, f"the connection failed or was cut ({reason}). Look at your network, proxy or endpoint. {_NEXT}")
        raise DownloadError(f"{name} from {where}: {what}") from problem


def ask(published: Published, endpoint: str | None = None) -> tuple[Remote, ...]:
    """The files of a published model, all of one commit. endpoint: of a mirror; None: HF_ENDPOINT, or the hub itself. Raises DownloadError."""
    if endpoint is not None:
        endpoint = _checked(endpoint)
    with explained(published.name, published.repository):
        from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

        def about(name: str) -> tuple[str, str | None, int | None]:
            found = get_hf_file_metadata(hf_hub_url(published.repository, name, endpoint=endpoint))
            if found.commit_hash is None:
                raise DownloadError(f"{published.name}: what answered is no Hugging Face hub. Look at --endpoint and HF_ENDPOINT.")
            return found.commit_hash, found.etag, found.size

        if published.kind == FOLDER:
            tree = HfApi(endpoint=endpoint).list_repo_tree(published.repository, published.name, recursive=True)
            parts = {part.path: (part.lfs.sha256 if part.lfs else part.blob_id, part.size) for part in tree if hasattr(part, "size")}
            paths = {name: _inside(published.name, name) for name in sorted(parts)}
            commit = about(min(parts))[0] if parts else ""
        else:
            commit, etag, size = about(published.name)
            parts, paths = {published.name: (etag, size)}, {published.name: published.name}
        if not parts:
            raise DownloadError(f"{published.name} is an empty folder in {published.repository}. Look at the repository's page.")
        return tuple(
            _remote(path, hf_hub_url(published.repository, name, revision=commit, endpoint=endpoint), *parts[name]) for name, path in paths.items()
        )


def fetch(remote: Remote, partial: str, seen: Callable[[int], None]) -> None:
    """Append what is missing of a file to `partial`. seen: told how many bytes are there; what it raises stops the download, `partial` stays.

    Raises DownloadError, and leaves `partial` as it is then, unless it can't be continued.
    """
    with explained(os.path.basename(remote.path), remote.url):
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        # A compressed answer has no ranges.
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        while (start := _size(partial)) < remote.size or not os.path.exists(partial):
            try:
                with _Watched(partial, seen) as file:
                    # The private argument keeps the library's own bar away; every version has it.
                    http_get(remote.url, file, resume_size=start, headers=headers, expected_size=remote.size, _tqdm_bar=_NoBar())
            except (OSError, *HfHubHTTPError.__bases__):
                # huggingface_hub up to 1.0 gives up when a connection is cut: as long as something comes, it is worth another try.
                if not start < _size(partial) < remote.size:
                    raise
            finally:
                # The same versions append the whole file to the part of it where a server ignores the range.
                if _size(partial) > remote.size:
                    os.remove(partial)


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


class _Watched(io.BufferedWriter):
    """A file that is appended to and says how long it is. It counts what was written, whatever draws the progress."""

    def __init__(self, path: str, seen: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._seen = seen

    def write(self, data: bytes) -> int:
        count = super().write(data)
        self._seen(self.tell())
        return count


class _NoBar:
    """Takes the place of the library's progress bar."""

    def update(self, count: int) -> None:
        pass


def _checked(endpoint: str) -> str:
    if not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?(/[\w./-]*)?", endpoint):
        raise DownloadError(f"{endpoint} is no endpoint. Give an address such as https://huggingface.co.")
    return endpoint.rstrip("/")


def _inside(folder: str, name: str) -> str:
    """The path of a part in its folder; what leads out of it on any system is refused."""
    top, _, path = name.partition("/")
    if top != folder or any(each in ("", ".", "..") for each in path.split("/")) or any(sign in path for sign in "\\:\0"):
        raise DownloadError(f"The server names a file {name!r}, which leads out of {folder}. Nothing was fetched: don't trust this server.")
    return path


def _remote(path: str, url: str, checksum: str | None, size: int | None) -> Remote:
    if size is None or len(checksum or "") not in (40, 64):
        raise DownloadError(f"{path} was not fetched, as the server does not say its size and checksum. Try another endpoint.")
    return Remote(path, url, size, checksum)

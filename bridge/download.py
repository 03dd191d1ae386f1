"""Downloads into ComfyUI's model folders, with its progress bar and its interrupt."""

import os

import comfy.model_management
import folder_paths

from ..errors import DownloadError
from ..loaders import catalogue, download
from . import settings
from .progress import byte_progress


def target(name: str) -> str:
    """Where a file of the catalogue goes."""
    kind = catalogue.published(name).folder
    return os.path.join(catalogue.folder_for(folder_paths.get_folder_paths(kind), folder_paths.models_dir), name)


def fetch(name: str) -> str:
    """Fetch a file of the catalogue; its path. Raises DownloadError, above all where the user has not allowed downloads."""
    if not settings.is_on(settings.ALLOW_DOWNLOAD):
        raise DownloadError(
            "Downloading by a node is off. Turn on LightQuant > Download > Allow the download node in ComfyUI's settings "
            "(with --multi-user it stays off), or run: lightquant download"
        )
    show = byte_progress()

    def progress(what: str, done: int, total: int) -> None:
        if what == download.DOWNLOADING:
            show(done, total)
        else:
            comfy.model_management.throw_exception_if_processing_interrupted()

    return download.download(catalogue.published(name), os.path.dirname(target(name)), progress=progress)

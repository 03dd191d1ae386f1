"""Downloads into ComfyUI's model folders, with its progress bar and its interrupt."""

import os

import comfy.model_management
import comfy.utils
import folder_paths

from ..errors import DownloadError
from ..loaders import catalogue, download
from . import settings

_STEPS = 1000
"""Of the progress bar, whatever the file's size."""


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
    bar = comfy.utils.ProgressBar(_STEPS)

    def progress(what: str, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if what == download.DOWNLOADING:
            bar.update_absolute(_STEPS * done // max(1, total))

    return download.download(catalogue.published(name), os.path.dirname(target(name)), progress=progress)

"""A report on disk: a file of the kind that its name ends with, or a folder that gets the page and the JSON."""

import os
from collections.abc import Callable

from ...errors import ReportError
from ...texts import ENGLISH, translate
from ..page.translated import translated
from .page import to_html
from .picture import draw
from .report import ErrorReport, to_json
from .text import to_text

PAGE, JSON = ".html", ".json"

_WRITERS: dict[str, Callable[[ErrorReport, str, str], None]] = {
    PAGE: lambda report, path, language: _write_text(translated(to_html(report), language), path),
    JSON: lambda report, path, language: _write_text(to_json(report) + "\n", path),
    ".txt": lambda report, path, language: _write_text(translate(to_text(report), language) + "\n", path),
    ".png": lambda report, path, language: draw(report).save(path, "PNG"),
}
"""End of a name -> what writes such a file in a language; JSON is for programs, and the picture's letters are Latin only."""

_PARTIAL = ".partial"


def paths_for(place: str, name: str) -> list[str]:
    """The files that a report goes into. place: one of them, or a folder; name: of the files in a folder, without their end.

    Raises ReportError where the place is neither, or its folder is not there: before the work, that is.
    """
    end = os.path.splitext(place)[1].lower()
    if end in _WRITERS and not os.path.isdir(place):
        folder, paths = os.path.dirname(os.path.abspath(place)), [place]
    elif end and not os.path.isdir(place):
        raise ReportError(f"The report can't be written to {place}. Give a name that ends in {', '.join(_WRITERS)}, or a folder that is there.")
    else:
        folder, paths = place, [os.path.join(place, name + end) for end in (PAGE, JSON)]
    if not os.path.isdir(folder):
        raise ReportError(f"The report can't be written to {place}: there is no folder {folder}. Make it, or choose another.")
    return paths


def save(report: ErrorReport, paths: list[str], language: str = ENGLISH) -> None:
    """Write the report into files from paths_for, in one of the languages of texts.py. Raises ReportError.

    A file that is there is replaced once the new one is whole.
    """
    for path in paths:
        try:
            _WRITERS[os.path.splitext(path)[1].lower()](report, path + _PARTIAL, language)
            os.replace(path + _PARTIAL, path)
        except OSError as problem:
            raise ReportError(f"The report can't be written to {path} ({problem.strerror or problem}). Choose another place.") from problem
        finally:
            if os.path.isfile(path + _PARTIAL):
                os.remove(path + _PARTIAL)


def _write_text(text: str, path: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)

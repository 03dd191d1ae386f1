"""`lightquant download`: LightX2V's published files, listed, and fetched by name."""

import argparse

from ..formats import FORMATS
from ..loaders.catalogue import CATALOGUE, FOLDER, Published, folder_for, published
from ..loaders.download import DOWNLOADING, Plan, download, plan, readable
from .comfyui import add_comfyui, model_folders
from .output import say, tell
from .progress import Bar

HELP = "list what LightX2V publishes, or fetch one of it: resumed where it was cut off, and checked against the hub's checksum"

FLOAT = "float"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    components = dict.fromkeys(each.component for each in CATALOGUE.values())
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch; without it the catalogue is listed")
    parser.add_argument("--component", choices=[*components], help="list only this")
    parser.add_argument("--format", choices=[*FORMATS, FLOAT], help="list only this")
    parser.add_argument("--to", metavar="FOLDER", help="put it there (default: ComfyUI's folder for it)")
    add_comfyui(parser)
    parser.add_argument("--endpoint", metavar="URL", help="a mirror of the hub, such as https://hf-mirror.com (default: $HF_ENDPOINT, or the hub)")
    parser.add_argument("--dry-run", action="store_true", help="ask the hub and say what would be fetched, and fetch nothing")
    parser.add_argument("--force", action="store_true", help="replace another file of that name")


def run(options: argparse.Namespace) -> int:
    if options.name is None:
        _list(options.component, options.format)
        return 0
    wanted = published(options.name)
    folder = options.to or _comfyui_folder(wanted, options.comfyui)
    bar = Bar()

    def step(what: str, done: int, total: int) -> None:
        bar(what, done, total, start=done if what == DOWNLOADING else 0)

    try:
        if options.dry_run:
            _describe(wanted, plan(wanted, folder, options.endpoint, options.force, step))
        else:
            print(download(wanted, folder, options.endpoint, options.force, step))
    except KeyboardInterrupt:
        tell(f"lightquant: interrupted. What came of {wanted.name} is kept: run it again and it goes on from there.")
        return 130
    finally:
        bar.close()
    return 0


def _list(component: str | None, format_name: str | None) -> None:
    shown = [each for each in CATALOGUE.values() if component in (None, each.component) and format_name in (None, each.format or FLOAT)]
    for each in shown:
        print(f"{each.component:5} {each.format or FLOAT:13} {each.folder:17} {each.repository:32} {each.name}{'/' * (each.kind == FOLDER)}")


def _comfyui_folder(wanted: Published, comfyui: str | None) -> str:
    folders, models = model_folders(comfyui, [wanted.folder], "--to")
    return folder_for(folders[wanted.folder], models)


def _describe(wanted: Published, todo: Plan) -> None:
    say(f"{wanted.repository}: {wanted.name}, {readable(todo.total)} in {len(todo.parts)} file(s), to {todo.path}")
    for part in todo.parts:
        left = "there already" if part.there else f"{readable(part.received)} received" if part.received else "to fetch"
        say(f"  {part.remote.path}  {readable(part.remote.size)}  {part.remote.checksum}  {left}")
    say(f"{readable(todo.missing)} to fetch, {readable(todo.free)} free; nothing was fetched")

"""`lightquant convert`: a float checkpoint into a quantized one."""

import argparse
import os
from collections import Counter
from collections.abc import Mapping

from safetensors.torch import load_file

from ..convert.for_comfyui import add_tokenizer
from ..convert.for_lightx2v import name_for_lightx2v
from ..convert.lora import Lora, open_lora
from ..convert.names import ORIGINAL, RENAMES, rename_for
from ..convert.plan import Plan, plan_of
from ..convert.recipe import read as read_recipe
from ..convert.run import check_target, nobody, shapes_of, size_of
from ..convert.run import run as convert
from ..convert.settings import COMFYUI, LAYOUTS, LIGHTX2V, READERS, SINGLE, Settings
from ..convert.source import Source
from ..errors import ConvertError
from ..formats import ABSMAX, DTYPES, FORMATS, MSE
from ..loaders.checkpoint import without_prefix
from ..loaders.download import readable
from ..loaders.files import SAFETENSORS, opener
from ..loaders.scaled import bare_name
from ..reports.error_report.collect import Collector
from ..reports.error_report.files import paths_for, save
from ..reports.error_report.text import to_text
from .device import device_of
from .output import LANGUAGE, say, tell
from .progress import Bar
from .report import report_name

HELP = "quantize a float checkpoint: renamed, merged with LoRAs and quantized in one pass, a tensor at a time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="a float checkpoint: .safetensors, .pth, or a folder of shards")
    parser.add_argument("target", metavar="OUT", help="the file to write (.safetensors, .pth), or for split and chunked the folder")
    stored = parser.add_mutually_exclusive_group(required=True)
    stored.add_argument("--format", choices=[*FORMATS], help="how the weights are stored")
    stored.add_argument("--recipe", metavar="FILE", help="a format for each layer, as lightquant plan writes it or you do")
    parser.add_argument("--layout", choices=LAYOUTS, default=SINGLE, help="one file, a file a block, or files of 100 tensors (default: %(default)s)")
    parser.add_argument("--for", dest="reader", choices=READERS, default=LIGHTX2V, help="whose loader it is for; this pack reads both")
    parser.add_argument("--tokenizer", metavar="FILE", help="umt5 for comfyui only: the one to put in (default: from SRC, or google/umt5-xxl beside)")
    parser.add_argument("--keep", action="append", default=[], metavar="PATTERN", help="keys that stay float besides the usual ones; repeatable")
    parser.add_argument("--dtype", choices=[*DTYPES], help="of what stays float (default: the recipe's, else that of LightX2V's files)")
    scale_help = f"from the largest value, or the one of least squared error (default: the recipe's, else {ABSMAX})"
    parser.add_argument("--scale", choices=[ABSMAX, MSE], help=scale_help)
    parser.add_argument("--names", choices=[*RENAMES], default=ORIGINAL, help="the names of a DiT's tensors (default: Wan's own)")
    parser.add_argument("--lora", action="append", default=[], metavar="PATH[:STRENGTH[:ALPHA]]", help="merged before quantizing; repeatable")
    parser.add_argument("--allow-unmatched", action="store_true", help="let tensors of a LoRA that fit no tensor of the model be left out")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where it is computed (default: %(default)s)")
    parser.add_argument(
        "--report", metavar="FOLDER_OR_FILE", help="also report what it cost: .html, .json, .txt, .png, or into a folder the first two"
    )
    parser.add_argument("--random", action="store_true", help="label the report: the weights are random, even if the source does not say so")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    parser.add_argument("--force", action="store_true", help="replace what has that name")


def run(options: argparse.Namespace) -> int:
    device_of(options)
    recipe = read_recipe(options.recipe) if options.recipe else None
    dtype, scaling = options.dtype or (recipe and recipe.dtype), options.scale or (recipe and recipe.scaling) or ABSMAX
    settings = Settings(options.format, options.layout, options.reader, tuple(options.keep), dtype, scaling, options.device, recipe)
    name = _name(options.target, settings)
    source = Source(options.source)
    if options.reader == COMFYUI:
        add_tokenizer(source, options.tokenizer)
    else:
        name_for_lightx2v(source)
    rename = rename_for(options.names, without_prefix(source.headers))
    plan = plan_of(options.source, source.headers, settings, name, lambda key: rename(bare_name(key)))
    loras = _loras(options, shapes_of(source, plan))
    say(describe(plan, options.target, size_of(source, plan, loras)))
    reports = paths_for(options.report, report_name(options.target)) if options.report else []
    if options.dry_run:
        check_target(plan, options.target, options.force)
        return 0
    bar, collector = Bar(), Collector(source, plan, options.target, len(loras), options.random) if reports else None
    try:
        convert(source, plan, options.target, loras, options.force, lambda done, total: bar("converting", done, total), collector or nobody)
    except KeyboardInterrupt:
        tell(f"lightquant: interrupted. Nothing of {options.target} was written.")
        return 130
    finally:
        bar.close()
    say(f"wrote {options.target}")
    if collector:
        say(to_text(collector.report()))
        save(collector.report(), reports, LANGUAGE.get())
        say("\n".join(f"wrote {path}" for path in reports))
    return 0


def describe(plan: Plan, target: str, size: int) -> str:
    """What a plan will write, in a few lines. size: of all files, headers included."""
    kinds = Counter()
    for output in plan.outputs:
        kinds[output.format.name if output.format else str(output.stored[""].dtype).removeprefix("torch.")] += output.nbytes
    lines = [f"{target}: {plan.component}, {readable(size)} ({size} bytes) in {len(plan.files)} file(s), for {plan.settings.reader}"]
    lines += [f"  {kind:13} {readable(size)}" for kind, size in kinds.most_common()]
    quantized = sum(output.format is not None for output in plan.outputs)
    lines.append(f"  {quantized} of {len(plan.outputs)} tensors are quantized, scales by {plan.settings.scaling}")
    lines += [f"  stays float: {key}, as {why}" for key, why in list(plan.unfit.items())[:5]]
    if len(plan.unfit) > 5:
        lines.append(f"  and {len(plan.unfit) - 5} more like it")
    if plan.left_out:
        lines.append(f"  left out, as the model does not use them: {len(plan.left_out)} tensors ({plan.left_out[0]}, ...)")
    return "\n".join(lines)


def _name(target: str, settings: Settings) -> str:
    """What the files are called, without their end."""
    name = os.path.basename(os.path.normpath(target))
    if settings.layout != SINGLE:
        return name
    stem, end = os.path.splitext(name)
    if end.lower() not in (*SAFETENSORS, ".pth"):
        raise ConvertError(f"OUT is {target}, where a file ending in .safetensors or .pth is needed, or a folder with --layout split or chunked.")
    return stem


def _loras(options: argparse.Namespace, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Lora]:
    """The LoRAs by what they were called on the command line. Raises ConvertError where one is there twice, or fits no tensors of these shapes."""
    twice = next((text for text, count in Counter(options.lora).items() if count > 1), None)
    if twice:
        raise ConvertError(f"The LoRA {twice} is asked for twice. Name it once, with both strengths together.")
    loras = {text: open_lora(text, opener(lambda path: (load_file(path), {}))) for text in options.lora}
    for lora in loras.values():
        lora.check(shapes, options.source, options.allow_unmatched)
    return loras

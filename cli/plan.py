"""`lightquant plan`: the format of each layer, so that the file has a given size and errs least."""

import argparse
import re
from fractions import Fraction

from ..convert.for_lightx2v import name_for_lightx2v
from ..convert.names import ORIGINAL, rename_for
from ..convert.recipe import check_target, write
from ..convert.source import Source
from ..errors import ConvertError
from ..formats import ABSMAX, DTYPES, FORMATS, MSE
from ..loaders.checkpoint import without_prefix
from ..loaders.download import readable
from ..loaders.scaled import bare_name
from ..reports.sensitivity import Asked, Sensitivity
from ..reports.sensitivity_text import to_text
from .device import device_of
from .output import say, tell
from .progress import Bar

HELP = "pick the format of each layer, or float, so that the file fits a size at the least error; the recipe is for lightquant convert"

_UNITS = {
    "": 1, **{f"{prefix}{end}": 1000**power for power, prefix in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)}, "b": 1,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*|%)\s*", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="a float checkpoint: .safetensors, .pth, or a folder of shards")
    parser.add_argument(
        "--budget", required=True, metavar="SIZE", help="of the whole file: 8GB or 8G (10^9), 8GiB (2^30), bytes, or 60%% of the float file"
    )
    parser.add_argument("--formats", default=",".join(FORMATS), metavar="A,B", help="that layers may have, besides float (default: %(default)s)")
    parser.add_argument("--out", metavar="RECIPE", help="write the recipe to this file, such as wan.json")
    parser.add_argument("--scale", choices=[ABSMAX, MSE], default=ABSMAX, help="how convert will choose scales (default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where it is computed (default: %(default)s)")
    parser.add_argument("--keep", action="append", default=[], metavar="PATTERN", help="keys that stay float besides the usual ones; repeatable")
    parser.add_argument("--dtype", choices=[*DTYPES], help="of what stays float (default: that of LightX2V's published files)")
    parser.add_argument("--force", action="store_true", help="replace what has the recipe's name")


def run(options: argparse.Namespace) -> int:
    device_of(options)
    if options.out:
        check_target(options.out, options.force)
    source = Source(options.source)
    name_for_lightx2v(source)
    rename = rename_for(ORIGINAL, without_prefix(source.headers))
    asked = Asked(_formats(options.formats), options.scale, options.dtype, options.device, tuple(options.keep))
    sensitivity = Sensitivity(source, asked, lambda key: rename(bare_name(key)))
    budget = budget_of(options.budget, sensitivity.float_bytes)
    sensitivity.check(budget)
    whole = readable(sensitivity.float_bytes)
    say(f"{options.source}: {sensitivity.component}, {whole} with every layer float, to fit {readable(budget)} ({budget} bytes)")
    bar = Bar()
    try:
        sensitivity.measure(lambda done, total: bar("measuring", done, total))
    except KeyboardInterrupt:
        tell("lightquant: interrupted. No recipe was written.")
        return 130
    finally:
        bar.close()
    planned = sensitivity.plan(budget)
    say(to_text(planned, budget))
    if options.out:
        write(planned.recipe, options.out, options.force)
        say(f"wrote {options.out}; next: lightquant convert {options.source} OUT --recipe {options.out}")
    return 0


def budget_of(text: str, float_bytes: int) -> int:
    """The bytes of a size: in units of 1000 (k, MB, G) or 1024 (MiB, GiB), or as a percentage of the float file. Raises ConvertError."""
    found = _SIZE.fullmatch(text)
    unit = found and {**_UNITS, "%": Fraction(float_bytes, 100)}.get(found[2].lower())
    if unit is None:
        raise ConvertError(f"the size is given as {text}, where one such as 8GB, 7.5GiB, 8000000000 or 60% is needed.")
    return int(Fraction(found[1]) * unit)


def _formats(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise ConvertError(f"there is no format {', '.join(unknown) or repr(text)}. The formats are: {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in names)

"""The benchmark tables of the READMEs and of docs/, from the result files: `python3 benchmarks/tables.py` writes them, `--check` only compares.

`--check` ends with 1 where a table is not what its result file gives.
A table stands between `<!-- benchmark: NAME -->` and `<!-- end -->`, NAME being a file of benchmarks/results without its .json.
Standard library only.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import layer_tables
import step_tables
from table_texts import TEXTS

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
READMES = {"README.md": "en", "README.zh.md": "zh", "docs/benchmarks.md": "en", "docs/benchmarks.zh.md": "zh"}
"""The pages with tables: the two READMEs, and what is too long for them."""

MARKED = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Kind(NamedTuple):
    """A kind of result file. mark: what its name has in it; render: result, texts -> Markdown."""

    mark: str
    render: Callable[[dict, dict], str]


KINDS = (
    Kind("dit_step", step_tables.dit_step), Kind("dit_schemes", step_tables.dit_step), Kind("start", step_tables.start),
    Kind("offload_stress", step_tables.stress), Kind("offload", step_tables.offload), Kind("lora", step_tables.lora),
    Kind("linear", layer_tables.linear), Kind("exactness", layer_tables.exactness),
    Kind("attention", layer_tables.attention), Kind("fused", layer_tables.fused), Kind("encoders", layer_tables.encoders),
    Kind("convert", layer_tables.convert),
)  # fmt: skip
"""The first whose mark fits a name is its kind."""


def rendered(name: str, language: str, results: Path = RESULTS) -> str:
    """What belongs between the markers of a result file. Raises ValueError for a name of no known kind."""
    kind = next((kind for kind in KINDS if kind.mark in name), None)
    if kind is None:
        raise ValueError(f"The marker {name} names no kind of benchmark; known are {', '.join(kind.mark for kind in KINDS)}.")
    path = results / f"{name}.json"
    if not path.exists():
        return TEXTS[language]["not measured"]
    return kind.render(json.loads(path.read_text(encoding="utf-8")), TEXTS[language])


def generated(text: str, language: str, results: Path = RESULTS) -> str:
    """The README's text with every marked table made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{rendered(found[2], language, results)}\n{found[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the benchmark tables of the READMEs and of docs/ from the result files.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a table is not what its result file gives")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="the folder of the result files (default: benchmarks/results)")
    parser.add_argument("--readmes", type=Path, default=REPOSITORY, metavar="DIR", help="the folder of the READMEs (default: the repository)")
    options = parser.parse_args(arguments)
    stale = []
    for name, language in READMES.items():
        path = options.readmes / name
        text = path.read_text(encoding="utf-8")
        new = generated(text, language, options.results)
        if new != text:
            stale.append(name)
            if not options.check:
                path.write_text(new, encoding="utf-8", newline="\n")
    if options.check and stale:
        print(f"Out of date: {', '.join(stale)}. Run: python3 benchmarks/tables.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

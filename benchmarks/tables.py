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

import linear_summary
from table_texts import TEXTS

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
READMES = {"README.md": "en", "README.zh.md": "zh", "docs/benchmarks.md": "en", "docs/benchmarks.zh.md": "zh"}
"""The pages with tables: the two READMEs, and what is too long for them."""

MARKED = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NONE = "–"
LINEAR_PLOT = "h200_linear.svg"

CORE = {"lightquant-fp8-torch": "core-fp8", "lightquant-int8-torch": "core-int8"}
"""Variant of the pack -> ComfyUI core's own in the same kind of numbers."""


class Kind(NamedTuple):
    """A kind of result file. mark: what its name has in it; render: result, texts -> Markdown."""

    mark: str
    render: Callable[[dict, dict], str]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def dit_step(result: dict, texts: dict) -> str:
    """One row a variant of one benchmarks/dit_step.py file, which has one kind of weights. Raises ValueError where it has several."""
    rows = {row["variant"]: row for row in result["rows"]}
    if len(rows) != len(result["rows"]):
        raise ValueError("a variant occurs twice: keep each kind of weights in a file of its own")
    options, (first, *_) = result["options"], rows.values()
    time, height, width = options["latent"]
    settings = texts["dit"].format(
        width=width * 8, height=height * 8, frames=(time - 1) * 4 + 1, blocks=options["blocks"], steps=options["steps"],
        samples=len(first["step_s"]), seeds=len(first["errors_of_predictions"]), weights=texts["weights"][first["weights"]],
    )  # fmt: skip
    body = [_dit_row(row, rows, texts) for row in rows.values()]
    brackets = [texts["brackets"]] if any(CORE.get(name) in rows for name in rows) else []
    return "\n\n".join((settings, _machine(result, texts), *brackets, table(texts["dit columns"], body), *_missing(result, texts)))


def _dit_row(row: dict, rows: dict[str, dict], texts: dict) -> tuple[str, ...]:
    core, bf16 = rows.get(CORE.get(row["variant"])), rows.get("bf16")
    is_bf16 = row is bf16

    def cell(key: str, digits: int) -> str:
        if row.get(key) is None or (is_bf16 and "error" in key):
            return NONE
        ratio = f" ({row[key] / core[key]:.2f})" if core and core.get(key) else ""
        return f"{row[key]:.{digits}f}{ratio}"

    return (
        f"`{row['variant']}`",
        cell("median_step_s", 3),
        f"{bf16['median_step_s'] / row['median_step_s']:.2f}" if bf16 else NONE,
        cell("peak_gib", 2),
        cell("mean_error", 4),
        cell("error_of_latents", 4),
        texts["yes"] if row["second_run_identical"] else texts["no"],
    )


def linear(result: dict, texts: dict) -> str:
    """One row a kernel of a benchmarks/linear.py file, by speed; int4's crossover; and the plot."""
    block, summary = result["block"], linear_summary.summary(result)
    linears = texts["comma"].join(f"{count} × {inputs}→{outputs}" for count, inputs, outputs in block["linears"])
    body = []
    for kernel, figures in sorted(summary["kernels"].items(), key=lambda item: item[1]["all_ms"]):
        if "(" in kernel:  # another variant than the one that runs under the scheme's name
            continue
        errors = [row["error"] for row in result["rows"] if row["kernel"] == kernel and row["error"] is not None]
        quantizer = figures["quantizer_ms"]
        body.append((
            f"`{kernel}`", result["formats"].get(kernel, NONE), f"{figures['all_ms']:.2f}", f"{figures['times_bf16']:.2f}",
            NONE if quantizer is None else f"{quantizer:.2f}", f"{max(errors):.4f}" if errors else NONE,
        ))  # fmt: skip
    settings = texts["linear"].format(model=block["model"], rows=block["rows"], linears=linears, what=block["what"])
    parts = [settings, _machine(result, texts), table(texts["block columns"], body), *_missing(result, texts)]
    if summary["crossover"]:
        crossover = [(f"{each['inputs']} → {each['outputs']}", str(each["rows"] or texts["never"])) for each in summary["crossover"]]
        parts += [texts["crossover"], table(texts["crossover columns"], crossover)]
    return "\n\n".join([*parts, f"![{texts['plot']}](../benchmarks/results/{LINEAR_PLOT})"])


def exactness(result: dict, texts: dict) -> str:
    """One row a kernel of a benchmarks/exactness.py file."""
    body = []
    for kernel in dict.fromkeys(row["kernel"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["kernel"] == kernel]
        worst = []
        for dtype in ("bfloat16", "float16", "float32"):
            here = [row for row in rows if row["dtype"] == dtype]
            worst.append(f"{max(row['worst_error'] for row in here):.2g} ({here[0]['tolerance']:g})" if here else NONE)
        failing = sum(line.startswith(f"{kernel},") for line in result["failing"])
        body.append((f"`{kernel}`", str(sum(row["products"] for row in rows)), *worst, str(failing)))
    settings = texts["exactness"].format(rows=result["rows_at_most"])
    return "\n\n".join((settings, _machine(result, texts), table(texts["exactness columns"], body), *_missing(result, texts)))


def start(result: dict, texts: dict) -> str:
    """One row a variant of a benchmarks/start.py file."""
    rows = {row["variant"]: row for row in result["rows"]}
    body = []
    for name, row in rows.items():
        core = rows.get(CORE.get(name.split(",")[0]))
        ratios = [f" ({row[key] / core[key]:.2f})" if core else "" for key in ("median_s", "host_peak_gib")]
        variant = "`" + name.replace(", ", "`, ", 1) + ("" if "," in name else "`")
        body.append((variant, f"{row['file_gib']:.2f}", f"{row['median_s']:.2f}{ratios[0]}", f"{row['host_peak_gib']:.2f}{ratios[1]}"))
    settings = texts["start"].format(starts=len(result["rows"][0]["samples_s"]))
    return "\n\n".join((settings, _machine(result, texts), texts["brackets"], table(texts["start columns"], body)))


def _machine(result: dict, texts: dict) -> str:
    environment = result["environment"]
    versions = {"ComfyUI": environment.get("comfyui"), **environment.get("packages", {})}
    others = "".join(f"{name} {version}{texts['comma']}" for name, version in versions.items() if version)
    return texts["machine"].format(**{**environment, "commit": f"`{environment['commit'][:12]}`", "others": others})


def _missing(result: dict, texts: dict) -> list[str]:
    """A sentence about the schemes that did not run, if there are any."""
    schemes = [f"`{scheme}` ({why})" for scheme, why in result.get("missing", {}).items()]
    return [texts["missing"].format(schemes=texts["comma"].join(schemes))] if schemes else []


KINDS = (
    Kind("dit_step", dit_step), Kind("dit_schemes", dit_step), Kind("linear", linear), Kind("exactness", exactness),
    Kind("start", start),
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

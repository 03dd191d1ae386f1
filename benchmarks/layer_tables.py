"""The tables of what is measured layer by layer: linears, attention, the steps between them, encoders; and of conversions."""

import linear_summary
from table_parts import NONE, machine, missing, number, page, table

LINEAR_PLOT = "h200_linear.svg"


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
    parts = [settings, machine(result, texts), table(texts["block columns"], body), *missing(result, texts)]
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
    return "\n\n".join((settings, machine(result, texts), table(texts["exactness columns"], body), *missing(result, texts)))


def attention(result: dict, texts: dict) -> str:
    """One row an attention and a column a kernel of a benchmarks/attention.py file, and the kernels' errors."""
    names, kernels = (list(dict.fromkeys(row[key] for row in result["rows"])) for key in ("name", "kernel"))
    rows = {(row["name"], row["kernel"]): row for row in result["rows"]}
    body = [(f"`{name}`", *(_ms(rows.get((name, kernel)), rows.get((name, kernels[0]))) for kernel in kernels)) for name in names]
    first, *more = texts["attention kernel columns"]
    each = []
    for kernel in kernels:
        of_it = [row for row in result["rows"] if row["kernel"] == kernel]
        same = texts["yes"] if all(row["same_bits"] for row in of_it) else texts["no"]
        each.append((f"`{kernel}`", f"{max(row['error'] for row in of_it):.2g}", same, number(result["host_us"].get(kernel), 0)))
    tables = table((texts["attention column"], *(f"`{kernel}`" for kernel in kernels)), body), table((first, *more), each)
    return page(texts["attention"], result, texts, *tables)


def _ms(row: dict | None, first: dict | None) -> str:
    if row is None:
        return NONE
    return number(row["median_ms"], 2, first["median_ms"] if first and row is not first else None)


def fused(result: dict, texts: dict) -> str:
    """One row a step and a column a coding of a benchmarks/fused.py file, step by step and in one pass."""
    codings = list(result["block_ms"])
    times = {(row["step"], row["coding"], row["way"]): row["median_ms"] for row in result["rows"]}
    counts = {row["step"]: row["a_block"] for row in result["rows"]}

    def cell(ms: dict[str, float]) -> str:
        return f"{ms['separate']:.3f} → {ms['fused']:.3f}"

    body = [
        (f"{count} × `{step}`", *(cell({way: times[step, coding, way] for way in ("separate", "fused")}) for coding in codings))
        for step, count in counts.items()
    ]  # fmt: skip
    body.append((texts["a block"], *(cell(result["block_ms"][coding]) for coding in codings)))
    settings = texts["fused"].format(rows=result["rows"][0]["rows"], by=result["fused_by"])
    return page(settings, result, texts, table((texts["fused column"], *codings), body))


def encoders(result: dict, texts: dict) -> str:
    """One row a variant of a benchmarks/encoders.py file."""
    body = []
    for row in result["rows"]:
        is_float = row["times_float"] == 1
        times = number(row["median_ms"], 2, None if is_float else row["median_ms"] / row["times_float"])
        size = number(row["file_gib"], 2, None if is_float else row["file_gib"] / row["bytes_of_float"])
        body.append((texts[row["component"]], f"`{row['variant']}`", row["kernel"], times, size, NONE if is_float else f"{row['error']:.4f}"))
    settings = texts["encoders"].format(samples=len(result["rows"][0]["samples_ms"]))
    return page(settings, result, texts, table(texts["encoders columns"], body))


def convert(result: dict, texts: dict) -> str:
    """One row a format of a benchmarks/convert.py file."""
    body = [
        (f"`{row['format']}`", row["device"], f"{row['source_gib']:.2f}", f"{row['written_gib']:.2f}", number(row["seconds"], 1, row["copy_s"]),
         number(row["copy_s"], 1), f"{row['peak_gib']:.2f}")
        for row in result["rows"]
    ]  # fmt: skip
    return page(texts["convert"], result, texts, table(texts["convert columns"], body))

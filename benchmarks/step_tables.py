"""The tables of what samples with the whole model: steps, starts, offloading, LoRA."""

from collections.abc import Callable

from table_parts import NONE, code, number, page, table

CORE = {"lightquant-fp8-torch": "core-fp8", "lightquant-int8-torch": "core-int8"}
"""Variant of the pack -> ComfyUI core's own in the same kind of numbers."""


def core_of(variant: str) -> str | None:
    """Core's own in the same kind of numbers, of any scheme of the pack, with what is added to it."""
    kind = variant.removeprefix("lightquant-").split("-")[0]
    return {"fp8": "core-fp8", "int8": "core-int8"}.get(kind)


def _seconds_of(part: str) -> Callable[[dict], str | None]:
    return lambda row: number(row["profile"][part], 3) if "profile" in row else None


MORE_STEP_COLUMNS: dict[str, Callable[[dict], str | None]] = {
    "attention": lambda row: f"`{row['attention']}`" if "attention" in row else None,
    "cosine": lambda row: None if row["variant"] == "bf16" or row.get("cosine_of_latents") is None else number(row["cosine_of_latents"], 6),
    **{part: _seconds_of(part) for part in ("attention_s", "products_s", "between_s")},
}
"""Column, by its name in the texts, that is there where any row has it -> a row's cell."""


def dit_step(result: dict, texts: dict) -> str:
    """One row a variant of one benchmarks/dit_step.py file, which has one kind of weights. Raises ValueError where it has several."""
    rows = {row["variant"]: row for row in result["rows"]}
    if len(rows) != len(result["rows"]):
        raise ValueError("a variant occurs twice: keep each kind of weights in a file of its own")
    options, (first, *_) = result["options"], rows.values()
    time, height, width = options["latent"]
    settings = texts["dit"].format(
        width=width * 8, height=height * 8, frames=(time - 1) * 4 + 1, blocks=options["blocks"], steps=options["steps"],
        samples=len(first["step_s"]), seeds=max(len(row["errors_of_predictions"] or ()) for row in rows.values()),
        weights=texts["weights"][first["weights"]],
    )  # fmt: skip
    more = {name: cells for name, cell in MORE_STEP_COLUMNS.items() if any(cells := [cell(row) for row in rows.values()])}
    body = [(*_dit_row(row, rows, texts), *(cells[at] or NONE for cells in more.values())) for at, row in enumerate(rows.values())]
    sentences = [texts["brackets"]] if any(core_of(name) in rows for name in rows) else []
    static = [f"`{name}`" for name, row in rows.items() if row.get("dynamic_vram") is False]
    sentences += [texts["static"].format(variants=texts["comma"].join(static))] if static else []
    columns = (*texts["dit columns"], *(texts["more dit columns"][name] for name in more))
    return page(settings, result, texts, *sentences, table(columns, body))


def _dit_row(row: dict, rows: dict[str, dict], texts: dict) -> tuple[str, ...]:
    core, bf16 = rows.get(core_of(row["variant"])), rows.get("bf16")
    is_bf16 = row is bf16

    def cell(key: str, digits: int) -> str:
        if row.get(key) is None or (is_bf16 and "error" in key):
            return NONE
        return number(row[key], digits, core.get(key) if core else None)

    return (
        f"`{row['variant']}`",
        cell("median_step_s", 3),
        f"{bf16['median_step_s'] / row['median_step_s']:.2f}" if bf16 else NONE,
        cell("peak_gib", 2),
        cell("mean_error", 4),
        cell("error_of_latents", 4),
        _yes(row["second_run_identical"], texts),
    )


def _yes(value: bool | None, texts: dict) -> str:
    return NONE if value is None else texts["yes" if value else "no"]


def start(result: dict, texts: dict) -> str:
    """One row a variant of a benchmarks/start.py file."""
    rows = {row["variant"]: row for row in result["rows"]}
    body = []
    for name, row in rows.items():
        core = rows.get(core_of(name), {})
        body.append((
            code(name), f"{row['file_gib']:.2f}", number(row["median_s"], 2, core.get("median_s")),
            number(row["host_peak_gib"], 2, core.get("host_peak_gib")),
        ))  # fmt: skip
    settings = texts["start"].format(starts=len(result["rows"][0]["samples_s"]))
    return page(settings, result, texts, texts["brackets"], table(texts["start columns"], body))


def offload(result: dict, texts: dict) -> str:
    """One row a way of a benchmarks/offload.py file."""
    rows = {row["variant"]: row for row in result["rows"]}
    body = []
    for name, row in rows.items():
        resident = rows.get(f"{name.split()[0]} resident")
        body.append((
            f"`{name}`", number(row["median_step_s"], 3, resident["median_step_s"] if resident and row is not resident else None),
            number(row["limit_gib"], 1), f"{row['peak_gib']:.2f}", f"{row['host_peak_gib']:.2f}", _yes(row["identical_to_resident"], texts),
        ))  # fmt: skip
    settings = texts["offload"].format(attention=result["options"].get("attention", "comfyui"))
    return page(settings, result, texts, table(texts["offload columns"], body))


def stress(result: dict, texts: dict) -> str:
    """One row a way of a benchmarks/offload.py file made with --stress."""
    body = [
        (f"`{row['variant']}`", str(row["runs"]), f"{row['raised']} / {row['accidents_to_raise']}", str(row["wrong_pictures"]),
         f"{row['median_step_s']:.3f} ({row['longest_step_s']:.3f})", *(f"{row['leaks'][key]:.3f}" for key in ("vram_gib", "host_gib")),
         _yes(row["within_1_percent"], texts))
        for row in result["rows"]
    ]  # fmt: skip
    return page(texts["stress"], result, texts, table(texts["stress columns"], body))


def lora(result: dict, texts: dict) -> str:
    """One row a way of a benchmarks/lora.py file."""
    without = {row["streamed"]: row["median_step_s"] for row in reversed(result["rows"]) if row["way"].startswith("without")}
    body = [
        (f"`{row['way']}`", number(row["median_step_s"], 3, without.get(row["streamed"])), f"{row['peak_gib']:.2f}", f"{row['error']:.4f}")
        for row in result["rows"]
    ]  # fmt: skip
    settings = texts["lora"].format(**{key: result["options"][key] for key in ("scheme", "rank", "attention")})
    return page(settings, result, texts, table(texts["lora columns"], body))

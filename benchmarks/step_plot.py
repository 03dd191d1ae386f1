"""The plot of a benchmarks/dit_schemes.py file: a bar a variant, its length the seconds of a step, in the parts of its profile where it has one."""

from collections.abc import Iterator

from step_profile import ATTENTION, BETWEEN, PRODUCTS
from svg_parts import page, text

BAR, ROW, LEFT, WIDTH, HEAD, MARGIN = 16, 24, 190, 560, 84, 60
"""Of a bar, of it and the space below, of the names, of the longest bar, of what stands above, and at the right, in pixels."""

COLOURS = {ATTENTION: "#3b82f6", PRODUCTS: "#f59e0b", BETWEEN: "#ef4444", "the rest": "#9ca3af"}
"""Part of a step -> colour; the rest is what no kernel is at work in, or what is copied."""
WHOLE = "#64748b"
"""The colour of a step without a profile."""


def svg(result: dict) -> str:
    """The plot of a result as SVG text, the fastest variant first."""
    rows = sorted(result["rows"], key=lambda row: row["median_step_s"])
    longest, options, environment = rows[-1]["median_step_s"], result["options"], result["environment"]
    frames, height, width = (options["latent"][0] - 1) * 4 + 1, options["latent"][1] * 8, options["latent"][2] * 8
    parts = [
        text(12, 24, f"Seconds a step of Wan2.1-T2V-14B, {width}x{height}, {frames} frames, cfg 1", size=15),
        text(12, 44, f"{environment['gpu']}, torch {environment['torch']}, ComfyUI {environment['comfyui']}; random weights"),
        *_legend(),
    ]
    for at, row in enumerate(rows):
        parts += _bar(HEAD + at * ROW, row, WIDTH / longest)
    return page(LEFT + WIDTH + MARGIN, HEAD + len(rows) * ROW + 12, parts)


def parts_of(row: dict) -> dict[str, float]:
    """Colour -> seconds of a row's step. The profile is of a step of its own."""
    step, profile = row["median_step_s"], row.get("profile")
    if profile is None:
        return {WHOLE: step}
    seconds = [profile[f"{part}_s"] for part in (ATTENTION, PRODUCTS, BETWEEN)]
    return dict(zip(COLOURS.values(), [*seconds, max(0.0, step - sum(seconds))], strict=True))


def _bar(top: float, row: dict, pixels: float) -> Iterator[str]:
    yield text(LEFT - 8, top + BAR - 4, row["variant"], anchor="end")
    left = float(LEFT)
    for colour, seconds in parts_of(row).items():
        yield f'<rect x="{left:.1f}" y="{top}" width="{seconds * pixels:.1f}" height="{BAR}" fill="{colour}"/>'
        left += seconds * pixels
    yield text(left + 6, top + BAR - 4, f"{row['median_step_s']:.2f}")


def _legend() -> Iterator[str]:
    for at, (part, colour) in enumerate({**COLOURS, "not profiled": WHOLE}.items()):
        left = LEFT + at * 110
        yield f'<rect x="{left}" y="58" width="12" height="12" fill="{colour}"/>'
        yield text(left + 18, 68, part)

"""Draws the registry's icon and banner: a smooth curve, and the steps that quantizing makes of it. `draw_assets.py`."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ICON, BANNER = (400, 400), (1260, 540)
"""Pixels; the registry takes a square of at most 400 and a banner of 21:9."""
FINER = 4
"""Drawn so many times larger and scaled down, as Pillow draws no smooth edges."""
BACK, GRID, CURVE, STEPS, TEXT = "#101820", "#1d2b38", "#4fa3ff", "#ffb454", "#f2f5f7"
LEVELS = 8

Box = tuple[float, float, float, float]


def main() -> None:
    ASSETS.mkdir(exist_ok=True)
    _icon().save(ASSETS / "icon.png", optimize=True)
    _banner().save(ASSETS / "banner.png", optimize=True)


def _icon() -> Image.Image:
    image, draw = _canvas(ICON)
    _plot(draw, (40, 40, 360, 360), 8)
    return image.resize(ICON, Image.Resampling.LANCZOS)


def _banner() -> Image.Image:
    image, draw = _canvas(BANNER)
    _plot(draw, (780, 70, 1180, 470), 8)
    for text, size, top, colour in (
        ("LightQuant", 110, 150, TEXT),
        ("Quantized Wan video models for ComfyUI", 31, 300, CURVE),
        ("fp8 · int8 · int4, the kernel of your choice", 31, 350, STEPS),
    ):
        draw.text((80 * FINER, top * FINER), text, fill=colour, font=ImageFont.load_default(size * FINER))
    return image.resize(BANNER, Image.Resampling.LANCZOS)


def _canvas(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (size[0] * FINER, size[1] * FINER), BACK)
    return image, ImageDraw.Draw(image)


def _plot(draw: ImageDraw.ImageDraw, box: Box, width: int) -> None:
    """The levels as lines, a wave, and the same wave rounded to them."""
    left, top, right, bottom = (edge * FINER for edge in box)
    rows = [top + (bottom - top) * level / LEVELS for level in range(LEVELS + 1)]
    for row in rows:
        draw.line([(left, row), (right, row)], fill=GRID, width=2 * FINER)
    across = [left + (right - left) * step / 400 for step in range(401)]
    wave = [(top + bottom) / 2 - 0.46 * (bottom - top) * math.sin(math.tau * 0.9 * (x - left) / (right - left)) for x in across]
    draw.line(list(zip(across, wave, strict=True)), fill=CURVE, width=width * FINER, joint="curve")
    rounded = [min(rows, key=lambda row, y=y: abs(row - y)) for y in wave]
    draw.line(list(zip(across, rounded, strict=True)), fill=STEPS, width=width * FINER, joint="curve")


if __name__ == "__main__":
    main()

"""What the reports' pictures are drawn on: one width, one set of colours, one font."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN, LABELS = 1440, 40, 250
"""Pixels: of the whole picture, around it, and for the names at the left."""

TITLE, TEXT, SMALL, LINE = 30, 20, 17, 34
"""Pixels: of the font for the heading, for what is said, for what is beside a plot; and between the lines of a legend."""

PAPER, INK, FAINT, GRID, ALARM = "#ffffff", "#20242b", "#6b7280", "#e3e6ea", "#d7263d"


class Canvas:
    """White, RGB, WIDTH wide and as high as is asked; `draw` is Pillow's."""

    def __init__(self, height: int):
        self._image = Image.new("RGB", (WIDTH, height), PAPER)
        self.draw = ImageDraw.Draw(self._image)

    def write(self, x: float, y: float, text: str, size: int, colour: str = INK, anchor: str = "la", limit: int | None = None) -> None:
        """A line of text, cut off with dots where it is longer than limit."""
        font = _font(size)
        while limit and len(text) > 4 and font.getlength(text) > limit:
            text = text.removesuffix("...")[:-1] + "..."
        self.draw.text((x, y), text, fill=colour, font=font, anchor=anchor)

    def down_to(self, bottom: int) -> Image.Image:
        """The picture as far as it was drawn."""
        return self._image.crop((0, 0, WIDTH, bottom))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

"""One picture of all latents, as ComfyUI's own preview shows them: a column a model, a row a task."""

from __future__ import annotations

import io
from collections.abc import Sequence

from demo_measure import Run
from demo_server import DemoError
from PIL import Image, ImageDraw, ImageFont, ImageOps

PANEL, LABEL, GAP = 256, 40, 8
INK, PAPER = (20, 20, 20), (255, 255, 255)


def picture(runs: Sequence[Run], labels: Sequence[str]) -> tuple[Image.Image, list[dict]]:
    """The picture, and where each panel is in it: model, task and box (left, top, right, bottom in pixels). labels: one a run, below its name."""
    columns, rows = (list(dict.fromkeys(getattr(run, field) for run in runs)) for field in ("name", "task"))
    width, height = PANEL + GAP, PANEL + LABEL + GAP
    image = Image.new("RGB", (len(columns) * width + GAP, len(rows) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default()
    panels = []
    for run, label in zip(runs, labels, strict=True):
        left, top = GAP + columns.index(run.name) * width, GAP + rows.index(run.task) * height
        draw.multiline_text((left, top), f"{run.name}, {run.task}\n{label}", fill=INK, font=font)
        panel = _preview(run)
        at = (left + (PANEL - panel.width) // 2, top + LABEL + (PANEL - panel.height) // 2)
        image.paste(panel, at)
        panels.append({"model": run.name, "task": run.task, "box": [*at, at[0] + panel.width, at[1] + panel.height]})
    return image, panels


def _preview(run: Run) -> Image.Image:
    if run.preview is None:
        raise DemoError(f"ComfyUI sent no preview of {run.name}, {run.task}, so there is nothing to draw.")
    return ImageOps.contain(Image.open(io.BytesIO(run.preview)).convert("RGB"), (PANEL, PANEL))

"""Thumbnails of the example workflows, and the picture of one in the READMEs: `workflow_thumbnails.py [folder of pictures]`.

The browser tests take the pictures. Run them first: `python3 scripts/test.py tests/web/test_example_workflows.py`.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES = Path(os.environ.get("LIGHTQUANT_SCREENSHOTS") or Path(tempfile.gettempdir(), "lightquant-screenshots"))
SIZE, LARGEST = (640, 360), 60_000
"""Pixels and bytes of a thumbnail."""
SHOWN, SHOWN_IN = "wan2.1_i2v_clip", REPOSITORY / "docs" / "images" / "workflow.jpg"
"""The workflow in the READMEs, and the picture of it."""


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    for workflow in sorted((REPOSITORY / "example_workflows").glob("*.json")):
        picture = folder / f"workflow-{workflow.stem}.png"
        if not picture.exists():
            print(f"There is no {picture}. Run tests/web/test_example_workflows.py first.", file=sys.stderr)
            return 1
        with Image.open(picture) as image:
            workflow.with_suffix(".jpg").write_bytes(thumbnail(image))
            if workflow.stem == SHOWN:
                image.convert("RGB").save(SHOWN_IN, "JPEG", quality=85, optimize=True)
    return 0


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of SIZE, at the best quality that takes no more than LARGEST."""
    small = image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    for quality in range(92, 40, -4):
        written = io.BytesIO()
        small.save(written, "JPEG", quality=quality, optimize=True)
        if written.tell() <= LARGEST:
            break
    return written.getvalue()


if __name__ == "__main__":
    sys.exit(main())

"""The folder that the demo's server lives in: the pack, the demo's own nodes, the input image and where the models lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pack
from demo_graphs import START_IMAGE
from demo_server import DemoError
from environment import REPOSITORY
from PIL import Image, ImageDraw

MARK = ".made-by-lightquant-demo"
OWN_NODES = "lightquant_demo"
NODE_FILES = {"demo_float_nodes.py": "__init__.py", "float_models.py": "float_models.py"}
"""What of scripts/ becomes the demo's custom node, under which name."""


def make_base(base: Path, users_files: Sequence[Path]) -> None:
    """Make the folder anew. Raises DemoError rather than delete what the demo did not make, or what the user named."""
    inside = [file for file in users_files if base in file.parents]
    if inside:
        raise DemoError(f"{inside[0]} lies in {base}, which the demo empties. Copy the file elsewhere, or pick another --output.")
    if base.exists() and not (base / MARK).exists():
        raise DemoError(f"{base} is there already and was not made by the demo. Move it away, or pick another --output.")
    if base.exists():
        shutil.rmtree(base)
    for folder in ("custom_nodes", "input", "models", "output", "user"):
        (base / folder).mkdir(parents=True)
    (base / MARK).touch()
    pack.link(REPOSITORY, base)
    own = base / "custom_nodes" / OWN_NODES
    own.mkdir()
    for source, name in NODE_FILES.items():
        shutil.copyfile(REPOSITORY / "scripts" / source, own / name)
    draw_start_image().save(base / "input" / START_IMAGE)


def arguments(base: Path, folders: Mapping[str, set[Path]], on_cpu: bool) -> list[str]:
    """ComfyUI's arguments for this folder. folders: more folders of models, by ComfyUI's folder type."""
    chosen = ["--disable-all-custom-nodes", "--whitelist-custom-nodes", pack.LINK_NAME, OWN_NODES, "--preview-method", "latent2rgb"]
    if folders:
        # Before the base's own folders: a small model must not hide a file of the user's that has the same name.
        section = {"is_default": True, **{kind: "\n".join(map(str, sorted(paths))) for kind, paths in folders.items()}}
        config = base / "extra_model_paths.yaml"
        config.write_text(json.dumps({"demo": section}), encoding="utf-8")  # JSON is YAML
        chosen += ["--extra-model-paths-config", str(config)]
    return [*chosen, "--cpu"] if on_cpu else chosen


def draw_start_image(size: int = 224) -> Image.Image:
    """A sun over a hill: something for CLIP to see."""
    image = Image.linear_gradient("L").resize((size, size))
    image = Image.merge("RGB", (image, image.point(lambda value: 255 - value), Image.new("L", (size, size), 160)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((size * 0.6, size * 0.1, size * 0.85, size * 0.35), fill=(255, 220, 60))
    draw.polygon([(0, size), (size * 0.4, size * 0.5), (size, size)], fill=(40, 110, 60))
    return image

"""The tables of docs/fit.md: `python benchmarks/fit_tables.py` writes them, `--check` only compares and ends with 1.

They are what `lightquant fit` says, so it takes a Python that has the pack: ComfyUI's.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lightquant.reports.fit import Fit, Wish, fit
from lightquant.reports.fit.answer import Option
from lightquant.reports.fit.cards import CARDS
from lightquant.reports.fit.models import MODELS
from table_parts import NONE, table

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {"docs/fit.md": "en", "docs/fit.zh.md": "zh"}
MARKED = re.compile(r"(<!-- fit: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

MACHINES = ((4, 16, None), (6, 16, "RTX 2060"), (8, 16, "RTX 4060"), (12, 32, "RTX 3060"), (16, 32, "RTX 5060 Ti"), (24, 64, "RTX 4090"))
"""GiB of VRAM and of RAM, and a card that has so much."""

SIZES = ((832, 480), (1280, 720), (1280, 704))
"""480p, and 720p as each of the models can make it: of the last two the first that fits it."""

AT_HAND = ("torch", "Triton", "comfy-kitchen")
"""Packages that come with ComfyUI."""

TEXTS = {
    "en": {
        "columns": (
            "VRAM, GiB", "RAM, GiB", "size", "scheme", "how", "streamed, GiB a step", "s/step, H200", "for example", "scheme there",
            "s/step, estimated",
        ),
        "none": "nothing fits",
        "disk": "{gib} ({disk} of it from the disk)",
        "ways": {
            "resident": "all in VRAM", "dynamic": "dynamic VRAM", "dynamic-chunks": "dynamic VRAM, `chunk_rows`", "blocks": "Offload Model, `block`",
            "blocks-disk": "Offload Model, `block`, `from_disk`", "phases": "Offload Model, `phase`, `chunk_rows`",
            "phases-disk": "Offload Model, `phase`, `from_disk`, `chunk_rows`",
        },
    },
    "zh": {
        "columns": ("显存（GiB）", "内存（GiB）", "尺寸", "方案", "方式", "每步流式传输（GiB）", "秒/步（H200）", "例如", "其方案", "秒/步（估算）"),
        "none": "放不下",
        "disk": "{gib}（其中 {disk} 来自磁盘）",
        "ways": {
            "resident": "全部在显存", "dynamic": "动态显存", "dynamic-chunks": "动态显存，`chunk_rows`", "blocks": "Offload Model，`block`",
            "blocks-disk": "Offload Model，`block`，`from_disk`", "phases": "Offload Model，`phase`，`chunk_rows`",
            "phases-disk": "Offload Model，`phase`，`from_disk`，`chunk_rows`",
        },
    },
}  # fmt: skip


def best(answer: Fit) -> Option | None:
    """The best setting that needs nothing but ComfyUI, of a quantized model."""
    return next((option for option in answer.options if option.package in AT_HAND and option.scheme != option.format), None)


def rendered(model: str, language: str) -> str:
    """A model's table."""
    texts, multiple = TEXTS[language], MODELS[model].multiple
    sizes = [size for size in SIZES if size[1] % multiple == 0][:2]
    rows = []
    for vram, ram, card in MACHINES:
        assert card is None or CARDS[card].vram == vram
        for width, height in sizes:
            wish = {"vram_gib": vram, "ram_gib": ram, "width": width, "height": height, "model": model}
            here, there = best(fit(Wish(**wish))), best(fit(Wish(**wish, gpu=card))) if card else None
            rows.append((str(vram), str(ram), f"{width}x{height}", *_setting(here, texts), *_example(card, there)))
    return table(texts["columns"], rows)


def _setting(option: Option | None, texts: dict) -> tuple[str, ...]:
    if option is None:
        return texts["none"], NONE, NONE, NONE
    streamed, disk = f"{option.streamed_gib:.1f}", f"{option.from_file_gib:.1f}"
    said = NONE if streamed == "0.0" else streamed if disk == "0.0" else texts["disk"].format(gib=streamed, disk=disk)
    return f"`{option.scheme}`", texts["ways"][option.way], said, f"{option.step_s:.2f}"


def _example(card: str | None, option: Option | None) -> tuple[str, str, str]:
    if option is None:
        return card or NONE, NONE, NONE
    return card, f"`{option.scheme}`", f"{option.step_s:.0f}" if option.step_s >= 10 else f"{option.step_s:.1f}"


def generated(text: str, language: str) -> str:
    """The page's text with every marked table made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{rendered(found[2], language)}\n{found[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the tables of docs/fit.md and docs/fit.zh.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a table is not what lightquant fit says")
    options = parser.parse_args(arguments)
    stale = []
    for name, language in PAGES.items():
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        new = generated(text, language)
        if new != text:
            stale.append(name)
            if not options.check:
                path.write_text(new, encoding="utf-8", newline="\n")
    if options.check and stale:
        print(f"Out of date: {', '.join(stale)}. Run: python benchmarks/fit_tables.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

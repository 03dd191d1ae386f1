"""The READMEs' benchmark tables, from the result files: `python3 benchmarks/tables.py` writes them, `--check` only compares and ends with 1.

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

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
READMES = {"README.md": "en", "README.zh.md": "zh"}

MARKED = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NONE = "–"

CORE = {"lightquant-fp8-torch": "core-fp8", "lightquant-int8-torch": "core-int8"}
"""Variant of the pack -> ComfyUI core's own in the same kind of numbers."""

TEXTS = {
    "en": {
        "not measured": "Not measured yet.",
        "weights": {
            "gaussian": "random, Gaussian",
            "heavy": "random, heavy-tailed: rows over two decades, outlier columns, a few large channels in the modulation",
        },
        "dit": "Wan2.1-T2V-14B, {width}x{height}, {frames} frames, {blocks} blocks, cfg 1, sampler euler, {steps} steps a run; "
        "a step's time is the median of {samples}, the error against bf16 is that of the first prediction, over {seeds} seeds. "
        "Weights: {weights}. They are random, so nothing here says anything about picture quality.",
        "linears": "The linears of one Wan2.1-14B block at 32760 rows (text: 512 rows), activation quantization included, each the median of "
        "{samples} calls. Operands are random; the error is against fp32 arithmetic on the same quantized operands.",
        "machine": "{gpu}, driver {driver}, torch {torch}, Triton {triton}, ComfyUI {comfyui}, Python {python}, {date}, commit {commit}.",
        "brackets": "In brackets: the figure divided by ComfyUI core's in the same kind of numbers; below 1 is better. "
        "core-fp8 has one scale a tensor, core-int8 one a row.",
        "dit columns": (
            "variant",
            "s/step",
            "speed, bf16 = 1",
            "peak VRAM, GiB",
            "error against bf16",
            "error of latents",
            "same again",
        ),
        "linear columns": ("kernel", "block, ms", "speed, bf16 = 1", "largest error"),
        "start": "Wan2.1-T2V-14B from the file (in the page cache) to the end of the first step, 832x480, 81 frames, cfg 1: the median of {starts} "
        "starts, each in a process of its own, the variants taking turns. Host memory: the most anonymous, shared and pinned memory that the process "
        "held, its libraries included.",
        "start columns": ("variant", "file, GiB", "file to first step, s", "host memory, GiB"),
        "yes": "yes",
        "no": "no",
        "text": ", text",
    },
    "zh": {
        "not measured": "尚未测量。",
        "weights": {
            "gaussian": "随机，高斯分布",
            "heavy": "随机，重尾分布：各行幅度跨两个数量级，有离群列，调制（modulation）中有少数很大的通道",
        },
        "dit": "Wan2.1-T2V-14B，{width}x{height}，{frames} 帧，{blocks} 个 block，cfg 1，采样器 euler，每次运行 {steps} 步；"
        "每步耗时取 {samples} 个样本的中位数；相对 bf16 的误差是首步预测的误差，取 {seeds} 个种子的平均。"
        "权重：{weights}。权重是随机的，因此这里的数字不说明画质。",
        "linears": "Wan2.1-14B 一个 block 的全部线性层，32760 行（文本：512 行），包含激活量化，各取 {samples} 次调用的中位数。"
        "操作数是随机的；误差以相同量化操作数的 fp32 运算为基准。",
        "machine": "{gpu}，驱动 {driver}，torch {torch}，Triton {triton}，ComfyUI {comfyui}，Python {python}，{date}，提交 {commit}。",
        "brackets": "括号内：该数值除以 ComfyUI 核心同类格式的数值，小于 1 更好。core-fp8 每个张量一个缩放，core-int8 每行一个缩放。",
        "dit columns": (
            "变体",
            "秒/步",
            "速度（bf16 = 1）",
            "显存峰值（GiB）",
            "相对 bf16 的误差",
            "latent 误差",
            "重复运行一致",
        ),
        "linear columns": ("内核", "block（毫秒）", "速度（bf16 = 1）", "最大误差"),
        "start": "Wan2.1-T2V-14B 从文件（在页缓存中）到第一步结束，832x480，81 帧，cfg 1：取 {starts} 次启动的中位数，"
        "每次都是新的进程，各变体轮流进行。主机内存：进程持有的匿名、共享和锁定内存之和的最大值，包括它加载的库。",
        "start columns": ("变体", "文件（GiB）", "从文件到第一步（秒）", "主机内存（GiB）"),
        "yes": "是",
        "no": "否",
        "text": "，文本",
    },
}


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
    return "\n\n".join((settings, _machine(result, texts), texts["brackets"], table(texts["dit columns"], body)))


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


def linears(result: dict, texts: dict) -> str:
    """One row a kernel of a benchmarks/linears.py file."""
    kernels = {name: {row["product"]: row for row in result["rows"] if row["kernel"] == name} for name in result["block_ms"]}
    products = {row["product"]: row["count"] for row in result["rows"]}
    name, *more = texts["linear columns"]
    shapes = [f"{count} × {product.replace(' to ', '→').replace(', text', texts['text'])}" for product, count in products.items()]
    body = []
    for kernel, rows in kernels.items():
        errors = [row["error_against_oracle"] for row in rows.values() if row["error_against_oracle"] is not None]
        each = [f"{rows[product]['median_ms']:.3f}" for product in products]
        block = f"{result['block_ms'][kernel]:.2f}", f"{result['times_bf16'][kernel]:.2f}", f"{max(errors):.4f}" if errors else NONE
        body.append((f"`{kernel}`", *each, *block))
    settings = texts["linears"].format(samples=len(result["rows"][0]["samples_ms"]))
    return "\n\n".join((settings, _machine(result, texts), table((name, *shapes, *more), body)))


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
    return texts["machine"].format(**{**environment, "commit": f"`{environment['commit'][:12]}`"})


KINDS = (Kind("dit_step", dit_step), Kind("linears", linears), Kind("start", start))


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
    parser = argparse.ArgumentParser(description="Write the benchmark tables of the READMEs from the result files.")
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

"""umt5-xxl and Wan's CLIP vision encoder, random weights of true size: how long a prompt and an image take, quantized and in ComfyUI's float layers.

    python benchmarks/encoders.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

A process an encoder, in which all its variants are loaded and take turns, under `auto`'s kernels. For each: milliseconds of every call once the model
is loaded, of the first one, the file's bytes beside the float file's, and the relative error against the float encoder's output. With --device cpu it
runs small models, to see that the script works.
"""

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import arguments
import children
import host

COMPONENTS = ("clip", "t5")
FORMATS = ("fp8-channel", "int8-channel")

ENOUGH_S = 60
"""An encoder takes about so long; none begins when less is left."""

PROMPT = "a cat walks over the sunny roof while a small dog sleeps below"


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where files of 11 GB and less are made, 25 GB in all")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--times", type=int, default=10, help="calls of each that are measured")
    parser.add_argument("--child", nargs=1, metavar="COMPONENT", help="measure one encoder in this process (used by the script itself)")
    return parser.parse_args()


def encoder(component: str, path: Path, storage: str, spiece: Path) -> tuple[object, str]:
    """CLIP or CLIP_VISION, and the kernel that computes its linears."""
    from lightquant.bridge.float_models import load_float_encoder
    from lightquant.bridge.load import Request, load
    from lightquant.convert.selection import USUAL_DTYPE

    if storage in FORMATS:
        loaded = load(Request(component, str(path), tokenizer=str(spiece)))
        return loaded.model, loaded.record.variant
    return load_float_encoder(component, str(path), str(spiece)), f"ComfyUI's, {USUAL_DTYPE[component]}"


def call_of(component: str, model) -> Callable[[], object]:
    """What encodes the prompt or the image, and gives its output."""
    import torch

    if component == "t5":
        return lambda: model.encode_from_tokens(model.tokenize(PROMPT))
    image = torch.rand(1, 480, 832, 3, generator=torch.Generator().manual_seed(0))
    return lambda: model.encode_image(image, crop=True)["penultimate_hidden_states"]


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Milliseconds of a call, and what it gave."""
    import torch

    begun = time.perf_counter()
    made = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - begun) * 1e3, made


def measure(component: str, options: argparse.Namespace) -> dict:
    """The rows of an encoder, the float one first."""
    host.start_comfyui(options.comfyui, options.device)
    import random_encoders
    import torch
    from lightquant.convert.selection import USUAL_DTYPE
    from safetensors.torch import save_file

    folder, small, rows, calls = Path(options.folder, host.FOLDER), options.device == "cpu", [], []
    spiece, outputs = folder / "spiece.model", []
    with torch.inference_mode():
        if component == "t5":
            spiece.write_bytes(random_encoders.spiece(dict(random_encoders.shapes(component, small))["token_embedding.weight"][0]))
        for storage in (USUAL_DTYPE[component], *FORMATS):
            path = folder / f"{component}-{storage}.safetensors"
            save_file(random_encoders.model(component, storage, small), path)
            model, kernel = encoder(component, path, storage, spiece)
            calls.append(call_of(component, model))
            first_ms, output = timed(calls[-1])
            outputs.append(output.float())
            rows.append({"component": component, "variant": storage, "kernel": kernel, "file_gib": path.stat().st_size / 2**30, "first_ms": first_ms})
        samples = [[timed(call)[0] for call in calls] for _ in range(options.times)]
    return {"rows": compared(rows, outputs, list(zip(*samples, strict=True))), "environment": host.environment(options.commit)}


def compared(rows: list[dict], outputs: list, samples: list[tuple[float, ...]]) -> list[dict]:
    """The rows with their times, and what they are beside the first, which is the float encoder's."""
    from lightquant.kernels.reference import relative_error

    medians = [statistics.median(each) for each in samples]
    return [
        row | {
            "bytes_of_float": row["file_gib"] / rows[0]["file_gib"], "samples_ms": list(times), "median_ms": median,
            "times_float": median / medians[0], "error": relative_error(output, outputs[0]),
        }
        for row, output, times, median in zip(rows, outputs, samples, medians, strict=True)
    ]  # fmt: skip


def main() -> None:
    options = parse()
    if options.child:
        host.write(options.out, measure(*options.child, options))
        children.end()
    begun, folder = time.perf_counter(), host.fresh(options.folder)
    result = {
        "what": "Wan's encoders, random weights" if options.device == "cuda" else "small encoders, to try the script",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    for component in COMPONENTS:
        if options.seconds - (time.perf_counter() - begun) < ENOUGH_S:
            result["left_out"].append(component)
            continue
        found = children.run(folder / "row.json", component)
        if isinstance(found, str):
            result["failed"][component] = found
        else:
            result["environment"] = found["environment"] | {"command": " ".join(sys.argv)}
            result["rows"] += found["rows"]
            for row in found["rows"]:
                print(host.shown(row), flush=True)
        host.write(options.out, result)
        for file in folder.glob("*.safetensors"):
            file.unlink()
    host.write(options.out, result)
    shutil.rmtree(folder)
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()

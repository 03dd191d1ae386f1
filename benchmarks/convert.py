"""`lightquant convert` on a Wan2.1-T2V-14B of the true size: peak host memory, and time beside a plain copy that reads and writes the same bytes.

python benchmarks/convert.py --folder /disk/with/45/GB --out benchmarks/results/NAME.json [--sparse]

With --sparse the source is a hole of the true size: it measures memory, and says nothing about time. The result is written after each format.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import arguments
import host
import random_wan
from lightquant.loaders.random_weights import MARK

RUN = "import sys; from lightquant.cli import main; sys.exit(main(sys.argv[1:]))"
PIECE = 1 << 24

DRAWN = 1 << 28
"""Bytes of random numbers that the source repeats: drawing all of them takes minutes."""

ENOUGH_S = 90
"""A conversion and a copy take about so long; none begins when less is left."""


def make(path: Path, blocks: int, sparse: bool) -> None:
    """A bf16 checkpoint; its numbers are zeros (a hole) or random bits of ordinary size."""
    header, offset = {"__metadata__": MARK}, 0
    for key, shape in random_wan.shapes(blocks):
        size = 2
        for length in shape:
            size *= length
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            file.truncate(8 + len(text) + offset)
            return
        import torch

        numbers = torch.randn(DRAWN // 2, generator=torch.Generator().manual_seed(0)).bfloat16()
        piece = memoryview(numbers.view(torch.uint8).numpy())
        for start in range(0, offset, DRAWN):
            file.write(piece[: min(DRAWN, offset - start)])
    os.sync()


def peak_gib(process: subprocess.Popen) -> float:
    """The most anonymous and shared memory that a process holds until it ends."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, sum(int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) for field in ("RssAnon", "RssShmem")))
        except (OSError, TypeError):
            pass
        time.sleep(0.02)
    return peak / 2**20


def copy_s(source: Path, target: Path, written: int) -> float:
    """Seconds to read all of the source and to write so many bytes, in one process, flushed to the disk."""
    begin = time.perf_counter()
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        left = written
        while piece := reading.read(PIECE):
            writing.write(piece[: max(0, min(left, len(piece)))])
            left -= len(piece)
        os.fsync(writing.fileno())
    seconds = time.perf_counter() - begin
    target.unlink()
    return seconds


def measure(name: str, source: Path, options) -> dict:
    """One row. RuntimeError where the conversion fails."""
    target = source.with_name("converted.safetensors")
    command = ["convert", str(source), str(target), "--format", name, "--device", options.device, "--force"]
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", RUN, *command], stdout=subprocess.DEVNULL)
    peak = peak_gib(process)
    seconds, written = time.perf_counter() - begin, target.stat().st_size if target.exists() else 0
    target.unlink(missing_ok=True)  # a disk may not hold the copy too
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    copied = None if options.sparse else copy_s(source, source.with_name("copy"), written)
    sizes = {"source_gib": source.stat().st_size / 2**30, "written_gib": written / 2**30}
    return {"format": name, "device": options.device, **sizes, "peak_gib": peak, "seconds": seconds, "copy_s": copied}


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--folder", required=True, help="where source and result are written and removed again")
    parser.add_argument("--blocks", type=int, default=random_wan.BLOCKS)
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--formats", nargs="+", default=["int8-channel", "fp8-channel"])
    options = parser.parse_args()
    begun, folder = time.perf_counter(), host.fresh(options.folder)
    what = f"converting a bf16 Wan2.1-T2V-14B of {options.blocks} blocks{', a sparse file of zeros' if options.sparse else ', random weights'}"
    result = {"what": what, "environment": host.environment(options.commit), "left_out": [], "failed": {}, "rows": []}
    source = folder / "source.safetensors"
    try:
        make(source, options.blocks, options.sparse)
        for name in options.formats:
            if options.seconds - (time.perf_counter() - begun) < ENOUGH_S:
                result["left_out"].append(name)
                continue
            try:
                result["rows"].append(measure(name, source, options))
                print(result["rows"][-1], flush=True)
            except (OSError, RuntimeError) as problem:
                result["failed"][name] = str(problem)
            host.write(options.out, result)
    finally:
        shutil.rmtree(folder)
        host.write(options.out, result)
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()

"""A process that takes a GPU's memory but for so much, as other programs on a user's card do: python benchmarks/holding.py GIB

It says "held" when it has it, and gives it back when its input ends.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

PIECE = 64 << 20


@contextlib.contextmanager
def held_down_to(gib: float) -> Iterator[None]:
    """While this lasts no more than so much VRAM is free. The caller's own CUDA context must be there before."""
    holder = subprocess.Popen([sys.executable, __file__, str(gib)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if holder.stdout.readline().strip() != "held":
            raise SystemExit("The process that holds the rest of the VRAM has failed, so nothing was measured.")
        yield
    finally:
        holder.stdin.close()
        holder.wait()


def main() -> None:
    import torch

    torch.empty(1, device="cuda")
    pieces = []
    while (over := torch.cuda.mem_get_info()[0] - float(sys.argv[1]) * 2**30) >= PIECE:
        pieces.append(torch.empty(int(over) // 2 // PIECE * PIECE or PIECE, dtype=torch.uint8, device="cuda"))
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

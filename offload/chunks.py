"""The FFN in chunks of rows: its inner activations are the largest of a block, and each row's are its own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

FFN = "ffn"
"""What Wan's blocks call it."""

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Difference:
    """Between a chunk twice as large and two chunks, on the first run's first rows. rows: of a chunk; error: relative, None before a look."""

    rows: int
    error: float | None = None

    def describe(self) -> str:
        """What was found, in a line."""
        if self.error is None:
            return f"FFN in chunks of {self.rows} rows: not compared, as no FFN had two of them or the model was compiled"
        found = "bit-identical" if self.error == 0 else f"relative difference {self.error:.2g}"
        return f"FFN in chunks of {self.rows} rows: {found} on {2 * self.rows} rows of the first block, against a chunk of all of them"


class Chunked:
    """An FFN's forward for [B, L, C], L in chunks of at most the difference's rows, which is found out at the first call that has two of them.

    patched: the forward, where it is another node's patch, which goes on standing when this one goes.
    """

    def __init__(self, forward: Forward, difference: Difference, patched: Forward | None = None):
        self._forward, self._difference, self.patched = forward, difference, patched

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = self._difference.rows
        if x.shape[1] <= rows:
            return self._forward(x)
        out = torch.empty_like(x)
        count = -(-x.shape[1] // rows)  # of chunks, alike in size: some kernels compute a short rest in another way
        for rows_in, rows_out in zip(x.tensor_split(count, dim=1), out.tensor_split(count, dim=1), strict=True):
            rows_out.copy_(self._forward(rows_in))
        if self._difference.error is None and x.shape[1] >= 2 * rows and not torch.compiler.is_compiling():
            self._compare(x[:, : 2 * rows], out[:, : 2 * rows])
        return out

    def _compare(self, x: torch.Tensor, chunked: torch.Tensor) -> None:
        whole = self._forward(x)
        size = float(whole.float().norm())
        self._difference.error = 0.0 if torch.equal(whole, chunked) else float((whole.float() - chunked.float()).norm()) / (size or 1.0)


def compute_in_chunks(patcher, difference: Difference) -> bool:
    """Have a clone compute its FFNs in chunks, of the difference's rows. False where the model has none that are known."""
    found = [name for name, _ in patcher.model.named_modules() if name.rpartition(".")[2] == FFN]
    for name in found:
        key = f"{name}.forward"
        patcher.add_object_patch(key, Chunked(_plain_forward(patcher, name), difference, patcher.object_patches.get(key)))
    return bool(found)


def compute_whole(patcher) -> None:
    """Have a clone compute its FFNs in one."""
    for key, patch in [*patcher.object_patches.items()]:
        if isinstance(patch, Chunked) and patch.patched is None:
            del patcher.object_patches[key]
        elif isinstance(patch, Chunked):
            patcher.object_patches[key] = patch.patched


def _plain_forward(patcher, name: str) -> Forward:
    """The module's own forward, not that of another clone which may be in place now; another node's patch of it stays."""
    key, module = f"{name}.forward", patcher.model.get_submodule(name)
    if key in patcher.object_patches:
        return patcher.object_patches[key]
    if key in patcher.object_patches_backup:
        return patcher.object_patches_backup[key]
    return module.forward

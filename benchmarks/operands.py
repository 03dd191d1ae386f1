"""Random weights, their rows a hundredfold apart in magnitude, stored as each kernel wants them, in more copies than a GPU's L2 holds."""

import torch
from lightquant.formats import FORMATS, QuantizedWeight, repacked
from lightquant.kernels import Kernel


def random_weight(outputs: int, inputs: int, device: torch.device, seed: int = 0) -> torch.Tensor:
    """fp32 [N, K] with heavy tails and outlier columns; its products with rows of unit variance have a variance of at most one."""
    generator = torch.Generator(device).manual_seed(seed)
    weight = heavy_tailed(torch.randn(outputs, inputs, generator=generator, device=device))
    weight[:, ::64] *= 4
    weight /= weight.square().mean().sqrt() * inputs**0.5
    return weight * torch.logspace(-2, 0, outputs, device=device)[:, None]


def heavy_tailed(normal: torch.Tensor) -> torch.Tensor:
    """Normal numbers with their tails drawn out."""
    return normal * (1 + 0.3 * normal.abs() ** 3)


class Weights:
    """One float weight, stored in every format and packing that kernels ask for; each is made once."""

    def __init__(self, weight: torch.Tensor):
        self._weight = weight
        self._plain: dict[str, QuantizedWeight] = {}
        self._copies: dict[tuple, list[QuantizedWeight]] = {}

    def copies(self, kernel: Kernel, enough: int = 0) -> list[QuantizedWeight]:
        """In the kernel's format and in a packing it reads, as many times as fill `enough` bytes, at least once."""
        if kernel.format not in self._plain:
            self._plain[kernel.format] = FORMATS[kernel.format].quantize(self._weight)
        key = kernel.format, kernel.packings
        if key not in self._copies:
            self._copies[key] = [repacked(kernel.format, self._plain[kernel.format], kernel.packings)]
        kept = self._copies[key]
        while len(kept) < needed(kept[0], enough):
            kept.append(QuantizedWeight(*(part.clone() for part in kept[0])))
        return kept


def needed(tensors: tuple[torch.Tensor, ...], enough: int) -> int:
    """How many times these tensors fill so many bytes, at least once."""
    return max(1, -(-enough // sum(tensor.nbytes for tensor in tensors)))

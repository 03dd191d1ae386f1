"""The noise of stochastic rounding."""

import torch


def noise_like(codes: torch.Tensor, seed: int) -> torch.Tensor:
    """Uniform noise in [0, 1) of the codes' shape, the same for the same seed and device."""
    generator = torch.Generator(device=codes.device).manual_seed(seed)
    return torch.rand(codes.shape, generator=generator, device=codes.device, dtype=torch.float32)

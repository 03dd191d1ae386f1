"""`fp8-channel`: float8_e4m3fn codes, one fp32 scale an output channel (LightX2V's fp8 files)."""

import torch

from .channel import ChannelFormat
from .e4m3 import DTYPE, LARGEST, RATIOS, round_e4m3


class FP8Channel(ChannelFormat):
    name = "fp8-channel"
    dtype = DTYPE
    limit = LARGEST
    ratios = RATIOS

    def _round(self, codes: torch.Tensor, seed: int | None) -> torch.Tensor:
        return round_e4m3(codes, seed)


FP8_CHANNEL = FP8Channel()

"""`int8-channel`: int8 codes, one fp32 scale an output channel (LightX2V's int8 files)."""

import torch

from .channel import ChannelFormat
from .noise import noise_like
from .search import Ratios


class INT8Channel(ChannelFormat):
    name = "int8-channel"
    dtype = torch.int8
    limit = 127.0
    ratios = Ratios(tuple(ratio / 16 for ratio in range(5, 16)), 1 / 16)

    def _round(self, codes: torch.Tensor, seed: int | None) -> torch.Tensor:
        codes = codes.round_() if seed is None else torch.floor(codes + noise_like(codes, seed))
        return codes.clamp_(-self.limit, self.limit).to(self.dtype)


INT8_CHANNEL = INT8Channel()

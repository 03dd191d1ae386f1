"""Page-locked host memory, which a GPU copies from and to several times as fast. torch keeps what is given back, for the next tensor."""

import torch


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> torch.Tensor:
    """An unfilled tensor in host memory that is page-locked where the device is an NVIDIA GPU and the system lets it have that."""
    if torch.device(device).type == "cuda":
        try:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        except RuntimeError:  # the system sets limits to it, and ordinary memory is only slower
            pass
    return torch.empty(shape, dtype=dtype)


def on_host(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in host memory, itself if it is there."""
    if tensor.device.type == "cpu":
        return tensor
    return empty(tuple(tensor.shape), tensor.dtype, str(tensor.device)).copy_(tensor)

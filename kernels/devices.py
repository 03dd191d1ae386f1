"""What a kernel asks of a device before anything else."""

import torch

from .contract import Verdict

Capability = tuple[int, int]


def capability(device: torch.device) -> Capability | None:
    """The compute capability of an NVIDIA GPU; None of anything else."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" and torch.version.hip is None else None


def within(found: Capability, lowest: Capability, highest: Capability | None) -> bool:
    """Whether a capability is in a range, both ends included; highest: None for no end."""
    return lowest <= found and (highest is None or found <= highest)


def nvidia(device: torch.device, lowest: Capability, highest: Capability | None = None, but: str = "") -> Verdict:
    """Whether a device is an NVIDIA GPU of a capability in this range; but: why not beyond it."""
    found = capability(device)
    if found is None:
        return False, f"it needs an NVIDIA GPU, this is {'an AMD GPU' if device.type == 'cuda' else f'the {device.type.upper()}'}"
    if not within(found, lowest, highest):
        needed = f"{_name(lowest)} and newer" if highest is None else f"{_name(lowest)} to {_name(highest)}"
        return False, f"it needs {needed}, this GPU is {_name(found)}" + (f" ({but})" if but else "")
    return True, _name(found)


def _name(found: Capability) -> str:
    return f"sm_{found[0]}{found[1]}"

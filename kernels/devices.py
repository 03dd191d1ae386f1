"""What a kernel asks of a device before anything else."""

import torch

from .contract import Verdict


def nvidia(device: torch.device, lowest: tuple[int, int], highest: tuple[int, int] = (99, 0), but: str = "") -> Verdict:
    """Whether a device is an NVIDIA GPU of a capability in this range; but: why not beyond it."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False, f"it needs an NVIDIA GPU, this is {'an AMD GPU' if device.type == 'cuda' else f'the {device.type.upper()}'}"
    capability = torch.cuda.get_device_capability(device)
    if not lowest <= capability <= highest:
        needed = f"sm_{lowest[0]}{lowest[1]}" + (" and newer" if highest == (99, 0) else f" to sm_{highest[0]}{highest[1]}")
        return False, f"it needs {needed}, this GPU is sm_{capability[0]}{capability[1]}" + (f" ({but})" if but else "")
    return True, f"sm_{capability[0]}{capability[1]}"

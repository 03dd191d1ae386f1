"""What the kernels of other packages have in common: found without an import, checked in a process of their own, loaded on first use."""

from abc import abstractmethod
from typing import ClassVar

import torch

from . import child
from .contract import Kernel, Verdict
from .packages import Found, Package, find, install
from .probe import first_line


class ForeignKernel(Kernel):
    """A kernel whose code comes with a package that may not be there."""

    package: ClassVar[Package]

    @abstractmethod
    def runs_on(self, device: torch.device) -> Verdict:
        """Whether the package has code for this kind of device, from what is known of it."""

    @abstractmethod
    def load(self, found: Found) -> None:
        """Make the kernel callable in this process. Raises whatever the package raises, or ImportError that says what it lacks."""

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = self.runs_on(device)
        if not able:
            return False, why
        found = find(self.package)
        if found is None:
            return False, f"{self.package.name} is not installed ({install(self.package)})"
        finding = child.findings([(self.address, found.described)], device)[self.address]
        if not finding["works"]:
            return False, f"{found.described}: {finding['why']}"
        try:
            self.load(found)
        except Exception as problem:  # it loaded in the child; whatever is different here is its own affair
            return False, f"{found.described} can't be loaded here: {first_line(problem)}"
        return True, f"{found.described}: {finding['why']}"

    @property
    def address(self) -> str:
        """How the child's command line calls this kernel: the module's name and the class's."""
        return f"{type(self).__module__.rsplit('.', 1)[-1]}.{type(self).__name__}"


def nvidia(device: torch.device, lowest: tuple[int, int], highest: tuple[int, int] = (99, 0), but: str = "") -> Verdict:
    """Whether a device is an NVIDIA GPU of a capability in this range; but: why not beyond it."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False, f"it needs an NVIDIA GPU, this is {'an AMD GPU' if device.type == 'cuda' else f'the {device.type.upper()}'}"
    capability = torch.cuda.get_device_capability(device)
    if not lowest <= capability <= highest:
        needed = f"sm_{lowest[0]}{lowest[1]}" + (" and newer" if highest == (99, 0) else f" to sm_{highest[0]}{highest[1]}")
        return False, f"it needs {needed}, this GPU is sm_{capability[0]}{capability[1]}" + (f" ({but})" if but else "")
    return True, f"sm_{capability[0]}{capability[1]}"

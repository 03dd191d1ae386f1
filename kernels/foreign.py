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

    def found(self) -> Found | None:
        """Where the package is installed."""
        return find(self.package)

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
        found = self.found()
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

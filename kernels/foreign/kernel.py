"""What the kernels of other packages have in common: found without an import, checked in a process of their own, loaded on first use."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from ..checks import in_child
from ..checks.finding import Finding
from ..checks.numeric import first_line, thorough_check
from ..contract import UNCHECKED, Foreseen, Kernel, Verdict
from .packages import Found, Package, find, install

_KERNELS = __package__.rpartition(".")[0]


class Foreign(ABC):
    """Code that comes with a package that may not be there, whatever it computes."""

    package: ClassVar[Package]

    def found(self) -> Found | None:
        """Where the package is installed."""
        return find(self.package)

    @abstractmethod
    def runs_on(self, device: torch.device) -> Verdict:
        """Whether the package has code for this kind of device, from what is known of it."""

    @abstractmethod
    def load(self, found: Found, device: torch.device) -> None:
        """Make the kernel callable on the device. Raises whatever the package raises, or ImportError that says what it lacks."""

    @abstractmethod
    def examine(self, found: Found, device: torch.device) -> Finding:
        """What many computations of many shapes show; it loads the kernel, and may end the process."""

    def known(self, device: torch.device, finding: Finding | None) -> Foreseen:
        """Whether it runs on the device as far as can be told without running anything; None where that is for a check to find.

        finding: of its check, None where it has not been made.
        """
        able, why = self.runs_on(device)
        if not able:
            return False, why
        found = self.found()
        if found is None:
            return False, f"{self.package.name} is not installed ({install(self.package)})"
        return (None, UNCHECKED) if finding is None else (finding.works, f"{found.described}: {finding.why}")

    def foreseen(self, device: torch.device) -> Foreseen:
        found = self.found()
        recalled = in_child.recalled([(self.address, found.described)], device) if found else {}
        return self.known(device, recalled.get(self.address))

    def is_supported(self, device: torch.device) -> Verdict:
        """Whether its check, made now if it is not remembered, was passed on the device, and it can be loaded here."""
        works, why = self.known(device, None)
        if works is not None:
            return works, why
        found = self.found()
        works, why = self.known(device, in_child.findings([(self.address, found.described)], device)[self.address])
        if works:
            try:
                self.load(found, device)
            except Exception as problem:  # it loaded in the child; whatever is different here is its own affair
                return False, f"{found.described} can't be loaded here: {first_line(problem)}"
        return works, why

    def check(self, device: torch.device) -> Finding:
        """The same as `examine`, for the child's command line."""
        found = self.found()
        if found is None:
            return Finding(False, f"{self.package.name} is not installed", lasting=False)
        return self.examine(found, device)

    @property
    def address(self) -> str:
        """How the child's command line calls this kernel: the module, as seen from `kernels`, and the class."""
        return f"{type(self).__module__.removeprefix(f'{_KERNELS}.')}.{type(self).__name__}"


class ForeignKernel(Foreign, Kernel):
    """A linear's kernel whose code comes with a package that may not be there."""

    def examine(self, found: Found, device: torch.device) -> Finding:
        return thorough_check(self, device, lambda: self.load(found, device))

"""Whether kernels work is seen, not read off a version: small products, in this process or in one of their own, and what they have shown."""

from . import remembered
from .once import forget as forget_here


def forget() -> None:
    """Let every check be made again, those of this process and those that are kept. Raises KernelError where the file can't be removed."""
    forget_here()
    remembered.forget()

"""The code that computes attention: one file a package, and a registry of the same kind as the linears'. Nothing in it knows ComfyUI."""

from .contract import AttentionKernel, Call
from .registry import KERNELS, OWN, Choice, check_all, known_findings, report, select

__all__ = ["KERNELS", "OWN", "AttentionKernel", "Call", "Choice", "check_all", "known_findings", "report", "select"]

"""The code that multiplies: one file a package, and a registry that knows what runs here and why the rest does not."""

from .contract import Kernel, Rows, Verdict
from .registry import Selection, best_variant, report, select, variants

__all__ = ["Kernel", "Rows", "Selection", "Verdict", "best_variant", "report", "select", "variants"]

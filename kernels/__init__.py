"""The code that multiplies: one file a package, and a registry that knows what runs here and why the rest does not."""

from .activation import Activation
from .contract import Kernel, Verdict
from .registry import VARIANTS, Selection, Selections, best_variant, check_all, report, select
from .rows import Coding, Rows

__all__ = [
    "VARIANTS", "Activation", "Coding", "Kernel", "Rows", "Selection", "Selections", "Verdict", "best_variant", "check_all", "report", "select",
]  # fmt: skip

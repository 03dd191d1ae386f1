"""Which scheme, format and offload setting fit a card, and how fast they are: `fit(Wish(...))`, calculated from measured figures."""

from .answer import Fit, fit
from .wish import Wish

__all__ = ["Fit", "Wish", "fit"]

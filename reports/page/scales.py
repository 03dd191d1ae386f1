"""Where numbers lie on an axis, and which of them are written beside it."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import NamedTuple


class Axis(NamedTuple):
    """A range of numbers on a range of pixels. logarithmic: equal factors lie equally far apart."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (log10(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers within the range, few enough to be written."""
        return _powers(self.low, self.high) if self.logarithmic else _steps(self.low, self.high)


def linear(values: Iterable[float], start: float, stop: float) -> Axis:
    """From nought to a round number above the values."""
    top = max(values, default=0) or 1
    step = _round_step(top)
    return Axis(0, step * ceil(top / step), start, stop)


def logarithmic(values: Sequence[float], start: float, stop: float) -> Axis:
    """From below the least to above the largest; the values are positive."""
    low, high = min(values, default=1), max(values, default=1)
    return Axis(low / 1.25, high * 1.25, start, stop, logarithmic=True)


def classes(values: Sequence[float], count: int) -> list[float]:
    """The count - 1 bounds between classes of positive values, in equal factors; the first and the last class are open.

    They cover what lies between the 2nd and the 98th hundredth, so that one layer far off leaves the others their shades.
    """
    ordered = sorted(values) or [1.0]
    low, high = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
    factor = max(1.05, (high / low) ** (1 / count))
    return [low * factor**number for number in range(1, count)]


def _round_step(span: float, most: int = 5) -> float:
    """1, 2 or 5 times a power of ten, of which `most` cover the span."""
    power = 10.0 ** floor(log10(span / most))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit * most >= span * (1 - 1e-9))


def _steps(low: float, high: float) -> list[float]:
    step = _round_step(high - low)
    return [step * number for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; where those are many, the powers alone; where they are hardly any, steps."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
        if len(found) <= 7:
            break
    return found if len(found) > 1 else _steps(low, high)

"""The plots of the results: `python3 benchmarks/plots.py` writes NAME.svg beside each NAME.json that has one.

Standard library only; the same result always gives the same file, which a test compares.
"""

import json
from collections.abc import Callable
from pathlib import Path

import linear_plot
import step_plot

RESULTS = Path(__file__).resolve().parent / "results"

PLOTS: dict[str, Callable[[dict], str]] = {
    "h200_linear": linear_plot.svg,
    "h200_dit_schemes": step_plot.svg,
    "h200_dit_schemes_720p": step_plot.svg,
}
"""Result -> what draws it."""


def main() -> None:
    for name, svg in PLOTS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            path.with_suffix(".svg").write_text(svg(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

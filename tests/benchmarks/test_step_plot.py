"""The plot of whole steps."""

import re
from xml.etree import ElementTree

import pytest
import step_plot

PROFILE = {"attention_s": 1.0, "products_s": 0.5, "between_s": 0.25, "copies_s": 0.1}
RESULT = {
    "options": {"latent": [21, 60, 104]},
    "environment": {"gpu": "GPU", "torch": "2", "comfyui": "0"},
    "rows": [{"variant": "bf16", "median_step_s": 4.0}, {"variant": "fp8 <best>", "median_step_s": 2.0, "profile": PROFILE}],
}


def bars(svg: str) -> list[tuple[str, float]]:
    """Colour and length of each, from the top."""
    found = re.findall(rf'<rect x="[\d.]+" y="\d+" width="([\d.]+)" height="{step_plot.BAR}" fill="(.*?)"/>', svg)
    return [(colour, float(width)) for width, colour in found]


def test_a_bar_is_as_long_as_the_step_and_in_the_parts_of_its_profile():
    svg = step_plot.svg(RESULT)
    ElementTree.fromstring(svg)
    assert svg.index("fp8 &lt;best&gt;") < svg.index(">bf16<")
    *parts, whole = bars(svg)
    assert whole == (step_plot.WHOLE, step_plot.WIDTH)
    assert [colour for colour, _ in parts] == list(step_plot.COLOURS.values())
    assert [width / step_plot.WIDTH for _, width in parts] == pytest.approx([0.25, 0.125, 0.0625, 0.0625])
    assert "832x480, 81 frames" in svg
    assert ">2.00<" in svg
    assert ">not profiled<" in svg


def test_a_profile_longer_than_the_step_has_no_rest():
    row = {"median_step_s": 1.5, "profile": PROFILE}
    assert sum(step_plot.parts_of(row).values()) == pytest.approx(1.75)
    assert min(step_plot.parts_of(row).values()) == 0

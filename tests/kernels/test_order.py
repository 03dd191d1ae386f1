"""The order of speed that `auto` follows: complete on every GPU, and true of what was measured."""

import json
from pathlib import Path

import linear_summary
import pytest
import torch
from lightquant.formats import FORMATS
from lightquant.kernels.order import last_resort, order_of
from lightquant.schemes import schemes_of

MEASURED = Path(linear_summary.__file__).parent / "results" / "h200_linear.json"
GPU = torch.device("cuda", 0)
SCATTER = 1.03
"""Two kernels that take the same time but for this factor may stand in either order."""


@pytest.mark.parametrize("capability", [(7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)], ids=str)
@pytest.mark.parametrize("format_name", list(FORMATS))
def test_every_gpu_has_an_order_that_ends_in_what_runs_everywhere(monkeypatch, capability, format_name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    order = order_of(format_name, GPU)
    assert set(order.schemes) <= set(schemes_of(format_name))
    assert order.schemes[-1] == last_resort(format_name)
    assert len(set(order.schemes[:-1])) == len(order.schemes[:-1])
    assert "H200" not in order.basis or capability == (9, 0)


@pytest.mark.parametrize("format_name", list(FORMATS))
def test_what_is_no_nvidia_gpu_has_the_last_resort_alone(monkeypatch, format_name):
    assert order_of(format_name, torch.device("cpu")).schemes == (last_resort(format_name),)
    monkeypatch.setattr(torch.version, "hip", "6.3")
    assert order_of(format_name, GPU).schemes == (last_resort(format_name),)


@pytest.mark.parametrize("format_name", list(FORMATS))
def test_on_hopper_it_is_the_order_measured_on_an_h200_and_says_so(monkeypatch, format_name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    order = order_of(format_name, GPU)
    if not MEASURED.exists():
        assert order.basis.startswith("expected"), "nothing that is committed shows it"
        pytest.skip(f"{MEASURED.name} has not been measured yet")
    assert order.basis == "measured on an H200"
    times = {scheme: figures["all_ms"] for scheme, figures in linear_summary.summary(json.loads(MEASURED.read_text()))["kernels"].items()}
    ranked = [scheme for scheme in dict.fromkeys(order.schemes) if scheme in times]
    assert all(times[faster] <= SCATTER * times[slower] for place, faster in enumerate(ranked) for slower in ranked[place + 1 :]), times

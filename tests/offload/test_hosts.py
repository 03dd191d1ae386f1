import gc

import pytest
import torch
from lightquant.offload.hosts import Hosts
from lightquant.offload.lanes import Lane
from lightquant.offload.units import layers_of, units_of, views


@pytest.fixture
def units(model):
    return units_of(layers_of(model.model), "block")


@pytest.fixture
def pinned():
    """What is pinned now."""
    return []


@pytest.fixture
def hosts(pinned):
    """Makes Hosts of a limit, whose device pins only so often."""

    def make(limit: int, times: int = 100) -> Hosts:
        def pin(tensor):
            if len(pinned) >= times:
                return False
            pinned.append(tensor.data_ptr())
            return True

        return Hosts(pin, lambda tensor: pinned.remove(tensor.data_ptr()), limit)

    return make


def fill(hosts: Hosts, unit, may_copy: bool = True, size: int = 0) -> None:
    """Bring a unit into a buffer and hold it to the model."""
    buffer = torch.full((max(size, unit.nbytes),), 77, dtype=torch.uint8)
    hosts.fill(unit, buffer, Lane(torch.device("cpu")), may_copy)
    tensors = unit.tensors()
    for view, tensor in zip(views(buffer, tensors), tensors, strict=True):
        assert torch.equal(view.view(torch.uint8), tensor.contiguous().view(torch.uint8))


def test_copies_are_made_once_and_given_back(hosts, units, pinned):
    made = hosts(10**9)
    for unit in [*units, *units]:
        fill(made, unit)
    assert len(pinned) == len(units)
    assert made.pinned_bytes == made.copied_bytes == sum(unit.nbytes for unit in units)
    made.close()
    assert not pinned
    assert made.pinned_bytes == 0


def test_over_the_limit_units_pass_through_two_small_buffers(hosts, units, pinned):
    made, size = hosts(units[0].nbytes), max(unit.nbytes for unit in units)
    for unit in [*units, *units]:
        fill(made, unit, size=size)
    assert made.copied_bytes == units[0].nbytes
    assert made.pinned_bytes == units[0].nbytes + 2 * size
    made.close()
    assert not pinned


def test_from_disk_keeps_nothing_but_the_two_buffers(hosts, units):
    made = hosts(0)
    for unit in units * 3:
        fill(made, unit)
    assert made.copied_bytes == 0
    assert made.pinned_bytes == 2 * units[0].nbytes
    made.close()


@pytest.mark.parametrize("times", [0, 1, 2])
def test_where_no_more_can_be_pinned_it_is_copied_all_the_same(hosts, units, pinned, times):
    made = hosts(10**9, times)
    for unit in units * 2:
        fill(made, unit)
    assert len(pinned) <= times
    made.close()
    assert not pinned


def test_no_copy_is_used_of_weights_that_change(hosts, units):
    made = hosts(10**9)
    fill(made, units[0])
    units[0].layers[0].module.bias = torch.nn.Parameter(units[0].layers[0].module.bias + 1, requires_grad=False)
    fill(made, units[0], may_copy=False)
    made.close()


def test_nothing_stays_pinned_when_they_are_forgotten(hosts, units, pinned):
    made = hosts(10**9)
    fill(made, units[0])
    assert pinned
    del made
    gc.collect()
    assert not pinned

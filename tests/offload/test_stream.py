import itertools

import pytest
import torch
from lightquant.offload.hosts import Hosts
from lightquant.offload.settings import BLOCK, PHASE
from lightquant.offload.stream import Stream, Surroundings
from lightquant.offload.units import layers_of, units_of
from offloading import LANES, AtOnce

X = torch.zeros(1, dtype=torch.bfloat16)


@pytest.fixture
def streams(model):
    """Makes streams over the model's units; closes them."""
    made = []

    def make(granularity: str = PHASE, lane: type = AtOnce, **surroundings) -> Stream:
        units = units_of(layers_of(model.model), granularity)
        hosts = Hosts(lambda buffer: False, lambda buffer: None, 0)
        made.append(Stream(units, lane(torch.device("cpu")), hosts, Surroundings(**surroundings)))
        made[-1].units = units
        return made[-1]

    yield make
    for stream in made:
        stream.close()


def run(stream: Stream, order: list[int]) -> list:
    """Lend every layer of these units; each must be what the model has. Returns the addresses of the units' first weights."""
    addresses = []
    for number in order:
        for place, layer in enumerate(stream.units[number].layers):
            weight, bias = stream.lend(layer.module, X)
            if place == 0:
                addresses.append(weight._qdata.data_ptr())
            assert torch.equal(weight.dequantize(), layer.module.weight.dequantize())
            assert torch.equal(bias, layer.module.bias.to(X.dtype))
    return addresses


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
@pytest.mark.parametrize("granularity", [BLOCK, PHASE])
def test_every_layer_is_lent_as_the_model_has_it_from_two_buffers(streams, lane, granularity):
    stream = streams(granularity, lane)
    addresses = run(stream, list(range(len(stream.units))) * 3)
    assert len(set(addresses)) == 2
    assert all(a != b for a, b in itertools.pairwise(addresses))
    assert stream.counts.late == 1


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
@pytest.mark.parametrize("order", [[0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [0, 0, 2, 2, 4], [1, 0, 1, 2]])
def test_another_order_is_learned(streams, lane, order):
    stream = streams(lane=lane)
    run(stream, order)
    late = stream.counts.late
    run(stream, order)
    learned = stream.counts.late - late
    run(stream, order)
    assert stream.counts.late - late - learned <= (2 if len(set(order)) < len(order) and order[0] == 1 else 0)


def test_no_memory_is_taken_before_the_first_layer(streams):
    stream = streams()
    assert not stream._slots
    run(stream, [0])
    assert [slot.buffer.nbytes for slot in stream._slots] == [max(unit.nbytes for unit in stream.units)] * 2


def test_without_a_wrap_nothing_is_copied_behind_the_last(streams):
    wrapping, ending = streams(), streams(wraps=False)
    for stream in (wrapping, ending):
        run(stream, list(range(6)))
    assert ending.counts.copied_bytes == sum(unit.nbytes for unit in ending.units)
    assert wrapping.counts.copied_bytes == ending.counts.copied_bytes + wrapping.units[0].nbytes


def test_a_weight_that_is_kept_past_its_turn_is_poison(streams):
    """The control: had a kernel kept it, the tests of whole models would show it."""
    stream = streams()
    first, second = (stream.units[number].layers[0] for number in (0, 1))
    kept, _ = stream.lend(first.module, X)
    stream.lend(second.module, X)
    assert not torch.equal(kept.dequantize(), first.module.weight.dequantize())


def test_patches_go_on_a_copy(streams):
    stream = streams()
    layer = stream.units[0].layers[0]
    patches = {layer.name + ".weight": [lambda weight: weight.add_(1)], layer.name + ".bias": [lambda bias: bias.mul_(2)]}
    stream = streams(patches=patches)
    for _ in range(2):
        weight, bias = stream.lend(layer.module, torch.zeros(1))
        assert torch.equal(weight, layer.module.weight.to(dtype=torch.float32).dequantize() + 1)
        assert torch.equal(bias, layer.module.bias.float() * 2)


def test_after_a_change_of_the_weights_the_new_ones_are_lent(streams):
    stream = streams()
    run(stream, [0, 1])
    module = stream.units[1].layers[0].module
    before = module.bias
    try:
        module.bias = torch.nn.Parameter(before + 1, requires_grad=False)
        stream.forget()
        run(stream, [1, 2, 3])
    finally:
        module.bias = before


def test_an_error_of_a_copy_reaches_whoever_needs_it(streams, monkeypatch):
    stream, fill = streams(lane=LANES["thread"]), Hosts.fill

    def fail_at_the_third(hosts, unit, *rest):
        if unit is stream.units[2]:
            raise OSError("the disk is gone")
        fill(hosts, unit, *rest)

    monkeypatch.setattr(Hosts, "fill", fail_at_the_third)
    run(stream, [0, 1])
    with pytest.raises(OSError, match="the disk is gone"):
        run(stream, [2])

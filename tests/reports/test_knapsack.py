"""The choice of options against all choices there are, where those can be gone through."""

import itertools
import random

import pytest
from lightquant.reports import knapsack
from lightquant.reports.knapsack import Option, choose


def brute_force(layers, capacity) -> float | None:
    fitting = [each for each in itertools.product(*layers) if sum(option.nbytes for option in each) <= capacity]
    return min((sum(option.error for option in each) for each in fitting), default=None)


def drawn(seed: int) -> list[list[Option]]:
    """Layers as they are: fewer bytes err more, mostly; some of one size, some alike."""
    draw = random.Random(seed)
    layers = []
    for _ in range(draw.randint(1, 6)):
        size, worst = draw.choice([100, 128, 1000]), 10 ** draw.uniform(-3, 1)
        sizes = [size // 4, size // 2, size // 2 + draw.randint(0, 3), size]
        options = [Option(each, worst * (1 - each / size) ** 2 * draw.uniform(0.5, 2)) for each in sizes]
        layers.append(draw.sample(options, draw.randint(1, 4)))
    return layers + layers[: draw.randint(0, 2)]


@pytest.mark.parametrize("seed", range(150))
def test_no_choice_that_fits_errs_less(seed):
    layers = drawn(seed)
    lowest, highest = (sum(pick(option.nbytes for option in options) for options in layers) for pick in (min, max))
    for capacity in {lowest, highest, *random.Random(seed).choices(range(lowest, highest + 1), k=6)}:
        found, expected = choose(layers, capacity), brute_force(layers, capacity)
        picked = [options[pick] for options, pick in zip(layers, found.picks, strict=True)]
        assert sum(option.nbytes for option in picked) <= capacity
        assert found.error == pytest.approx(sum(option.error for option in picked))
        assert found.error == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert found.least <= expected * (1 + 1e-9) + 1e-12


def test_what_does_not_fit_is_none():
    layers = [[Option(10, 1.0), Option(20, 0.0)], [Option(7, 3.0)]]
    assert choose(layers, 16) is None
    assert choose(layers, 17).picks == (0, 0)
    assert choose(layers, 26).picks == (0, 0)
    assert choose(layers, 27).picks == (1, 0)


def test_room_that_the_greedy_choice_leaves_is_used():
    """The best step a byte is small and shuts the larger one out, which is worth more in all."""
    layers = [[Option(0, 10.0), Option(6, 0.0)], [Option(0, 18.0), Option(10, 0.0)], [Option(0, 1.0), Option(4, 0.9)]]
    assert choose(layers, 10).picks == (0, 1, 0)
    assert choose(layers, 9).picks == (1, 0, 0)


def model(layers: int = 400) -> list[list[Option]]:
    """As large as a Wan 14B: ten layers a block, of two sizes, whose errors differ by a few per cent."""
    draw = random.Random(3)
    errors = {1.0: 0.0, 0.5002: 0.0007, 0.5: 0.00069, 0.2578: 0.012}
    sizes = [5120 * 5120 * 2] * 8 + [5120 * 13824 * 2] * 2
    return [
        [Option(int(size * share), size * error * draw.uniform(0.95, 1.05)) for share, error in errors.items()] for size in sizes * (layers // 10)
    ]


@pytest.mark.parametrize("most", [20_000, 40])
def test_a_large_model_is_chosen_for_within_its_bound(monkeypatch, most):
    monkeypatch.setattr(knapsack, "MOST_STATES", most)
    layers = model()
    for share in (0.3, 0.45, 0.7):
        capacity = int(share * sum(max(option.nbytes for option in options) for options in layers))
        found = choose(layers, capacity)
        assert sum(options[pick].nbytes for options, pick in zip(layers, found.picks, strict=True)) <= capacity
        assert found.least <= found.error <= found.least * (1.002 if most > 40 else 1.01)

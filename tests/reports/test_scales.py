import pytest
from lightquant.reports.page.scales import Axis, classes, linear, logarithmic


def test_values_lie_between_the_ends():
    axis = Axis(10, 1000, 100, 300, logarithmic=True)
    assert [round(axis.at(value)) for value in (10, 100, 1000)] == [100, 200, 300]
    assert Axis(0, 4, 200, 0).at(1) == 150


@pytest.mark.parametrize(("low", "high"), [(0.011, 0.034), (0.5, 900), (1e-9, 3.0), (1.0, 1.0), (29.5, 31.0)])
def test_ticks_are_few_and_within(low, high):
    axis = logarithmic([low, high], 0, 100)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 11
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_a_linear_axis_covers_its_values():
    axis = linear([3, 17], 0, 100)
    assert axis.high >= 17
    assert axis.ticks() == [0, 5, 10, 15, 20]
    assert linear([], 0, 100).high > 0


def test_one_layer_far_off_leaves_the_others_their_shades():
    values = [0.01 * 1.01**number for number in range(200)]
    assert classes([*values, 50.0], 8) == pytest.approx(classes(values, 8), rel=0.05)
    assert len(classes(values, 8)) == 7
    assert len(classes([], 8)) == len(classes([0.5], 8)) == 7

"""Reading ahead and writing behind: in order, never further than said, and what goes wrong there is raised here."""

import threading

import pytest
from lightquant.convert.overlap import Behind, ahead


def test_each_item_comes_with_its_result_and_only_the_next_is_under_way():
    asked, given = [], []
    for item, result in ahead(lambda item: asked.append(item) or item * 10, range(5)):
        given.append((item, result))
        assert len(asked) <= item + 2
    assert given == [(item, item * 10) for item in range(5)]


def test_what_reading_raises_is_raised_at_its_item():
    def read(item: int) -> int:
        if item == 2:
            raise ValueError("no third")
        return item

    seen = []
    with pytest.raises(ValueError, match="no third"):
        seen.extend(item for item, _ in ahead(read, range(5)))
    assert [*ahead(read, range(2))] == [(0, 0), (1, 1)]


def test_a_reader_that_is_left_early_ends():
    before = threading.active_count()
    reading = ahead(lambda item: item, range(100))
    next(reading)
    reading.close()
    assert threading.active_count() == before


def test_calls_are_carried_out_in_their_order_in_another_thread():
    done = []
    with Behind() as behind:
        for number in range(20):
            behind(lambda number: done.append((number, threading.current_thread().name)), number)
    assert [number for number, _ in done] == [*range(20)]
    assert {name.split("_")[0] for _, name in done} == {"lightquant-write"}


@pytest.mark.parametrize("last", [False, True])
def test_what_writing_raises_is_raised_at_the_next_call_or_at_the_end(last):
    def write() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Behind() as behind:  # noqa: PT012 - the second call is the point
        behind(write)
        if not last:
            behind(lambda: None)
            pytest.fail("the first call's error was lost")


def test_where_the_block_raises_the_call_under_way_is_waited_for():
    began, done = threading.Event(), []

    def write() -> None:
        began.set()
        done.append("written")

    with pytest.raises(KeyboardInterrupt), Behind() as behind:  # noqa: PT012 - the block is what raises
        behind(write)
        began.wait(10)
        raise KeyboardInterrupt
    assert done == ["written"]

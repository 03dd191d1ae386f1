"""What the benchmark of the page makes of Chromium's traces and profiles."""

import browser_frames
import pytest
from browser import rows_of
from browser_frames import AGAIN, FRAME, LARGE, STATES, WITH, WITHOUT, Turns

PAGE = {"pid": 1, "tid": 1}


def task(begin: int, spent: int, thread: dict = PAGE) -> dict:
    """A task that the processor worked on half of its time."""
    return {"name": "RunTask", "ph": "X", "ts": begin, "dur": 2 * spent, "tdur": spent, **thread}


def mark(at: int, turn: int, number: int) -> dict:
    return {"name": f"{FRAME}[{turn},{number}]", "ph": "I", "ts": at, **PAGE}


def test_a_frame_is_all_that_the_pages_thread_does_until_the_next():
    other = task(5000, 900, {"pid": 1, "tid": 2})
    events = [mark(4100, 0, 1), task(0, 500), task(4000, 2000), mark(2010, 0, 0), other, task(2000, 700), task(3900, 40), task(9000, 60)]
    assert browser_frames.frames_in(events) == [(0, 0, pytest.approx(0.74)), (0, 1, pytest.approx(2.06))]


def test_frames_about_a_change_count_for_no_state_and_a_cycle_with_none_is_left_out():
    turns = Turns("", frames=4, begin=1, cycles=2)
    order = [*STATES, *reversed(STATES)]
    frames = [(turn, number, 100.0 if number in (0, 3) else turn + number) for turn in range(8) for number in range(4)]
    first, second = browser_frames.in_cycles(frames, order, turns)
    assert first == {WITHOUT: 1.5, AGAIN: 2.5, LARGE: 3.5, WITH: 4.5}
    assert second == {WITH: 5.5, LARGE: 6.5, AGAIN: 7.5, WITHOUT: 8.5}
    assert browser_frames.in_cycles([frame for frame in frames if frame[:2] not in ((2, 1), (2, 2))], order, turns) == [second]


def test_what_a_state_adds_is_compared_within_a_cycle():
    cycles = [{WITHOUT: base, AGAIN: base, LARGE: base + 1, WITH: base + 1.5} for base in (20.0, 40.0, 30.0)]
    rows = rows_of("classic, close", [cycles, cycles[:2]])
    assert [rows[state].get("added_ms") for state in STATES] == [None, 0, 1, 1.5]
    assert rows[WITH]["variant"] == "classic, close, with"
    assert rows[WITHOUT]["samples_ms"] == [30, 30]


def test_the_extensions_time_is_that_of_its_functions_and_of_what_they_call():
    calls = {1: ("", [2, 4]), 2: ("http://host/extensions/lightquant/js/status/drawn.js", [3]), 3: ("", []), 4: ("http://host/assets/page.js", [])}
    nodes = [{"id": number, "callFrame": {"url": url}, "children": children} for number, (url, children) in calls.items()]
    profile = {"nodes": nodes, "samples": [1, 2, 3, 4, 3], "timeDeltas": [1000, 200, 300, 4000, 500]}
    assert browser_frames.spent_by(profile, "/extensions/lightquant/") == 1.0

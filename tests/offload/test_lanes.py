import threading

import pytest
import torch
from lightquant.offload.lanes import Lane, lane_for


@pytest.fixture
def cpu():
    lane = lane_for(torch.device("cpu"))
    yield lane
    lane.close()


def test_the_cpu_has_no_streams(cpu):
    assert type(cpu) is Lane
    assert cpu.here() is None


def test_copies_are_made_in_order_and_beside_the_caller(cpu):
    done, may_go = [], threading.Event()
    first = cpu.submit(lambda: (may_go.wait(), done.append((1, threading.current_thread()))), None)
    second = cpu.submit(lambda: done.append((2, threading.current_thread())), None)
    assert not first.done()
    may_go.set()
    cpu.wait(second)
    assert [number for number, _ in done] == [1, 2]
    assert threading.current_thread() not in [thread for _, thread in done]
    cpu.wait(first)


def test_jobs_may_write_what_inference_mode_has_made(cpu):
    target = torch.zeros(3)
    assert target.is_inference()
    cpu.wait(cpu.submit(lambda: target.copy_(torch.ones(3)), None))
    assert torch.equal(target, torch.ones(3))


def test_who_waits_gets_the_error(cpu):
    def fail():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        cpu.wait(cpu.submit(fail, None))


def test_closing_gives_up_what_has_not_begun_and_waits_for_the_rest():
    lane, begun, may_go, done = Lane(torch.device("cpu")), threading.Event(), threading.Event(), []

    def first():
        begun.set()
        may_go.wait()
        done.append(1)

    lane.submit(first, None)
    second = lane.submit(lambda: done.append(2), None)
    begun.wait()
    closing = threading.Thread(target=lane.close)
    closing.start()
    while not second.cancelled():
        pass
    may_go.set()
    closing.join()
    assert done == [1]

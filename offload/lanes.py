"""Copies beside the computation: in a thread of their own, and on a stream of their own where the device has streams."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch


class Lane:
    """Copies one after the other in a thread; for devices without streams, the CPU among them, whose copies are done when they return.

    The thread is there because reading a mapped file blocks whoever does it, and the computation has to go on being fed meanwhile.
    A point is a moment in the work of the device; None: it has passed.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lightquant-offload")

    def here(self) -> object:
        """The point at which the computation has done all that it was given so far."""
        return None

    def copied(self) -> object:
        """In a job: the point at which the copies that it was given so far are done."""
        return None

    def reach(self, point: object) -> None:
        """Wait on the host for a point."""

    def submit(self, job: Callable[[], None], after: object) -> Future:
        """Have a job's copies made, behind those of the last one and after a point. The future is for `wait`."""
        return self._thread.submit(self._run, job, after)

    def wait(self, copies: Future) -> None:
        """Let the computation go on only when the copies are there. Raises what the job raised."""
        copies.result()

    def released(self, buffer: torch.Tensor) -> None:
        """The computation has been given all that reads the buffer. For tests: whoever still reads it later is wrong."""

    def close(self) -> None:
        """Give up what has not begun, and return when nothing is being copied any more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Callable[[], None], after: object) -> object:
        with torch.inference_mode():
            job()
        return self.copied()


class StreamLane(Lane):
    """The same on a device with streams: the thread gives the copies to a side stream, and nobody waits on the host for them."""

    def __init__(self, device: torch.device):
        super().__init__(device)
        self._api = torch.get_device_module(device)
        self._side = self._api.Stream(device)

    def here(self) -> object:
        return self._api.current_stream(self.device).record_event()

    def copied(self) -> object:
        return self._side.record_event()

    def reach(self, point: object) -> None:
        if point is not None:
            point.synchronize()

    def wait(self, copies: Future) -> None:
        self._api.current_stream(self.device).wait_event(copies.result())

    def close(self) -> None:
        super().close()
        self._side.synchronize()

    def _run(self, job: Callable[[], None], after: object) -> object:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._api.device(self.device))
            stack.enter_context(self._api.stream(self._side))
            if after is not None:
                self._side.wait_event(after)
            return super()._run(job, after)


def lane_for(device: torch.device) -> Lane:
    """The lane of a device."""
    return StreamLane(device) if device.type in ("cuda", "xpu") else Lane(device)

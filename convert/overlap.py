"""Reading one tensor ahead and writing one behind, in threads, so that disk and arithmetic work at the same time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Each item with function(item), which for the next item is under way meanwhile. What it raises is raised at its item."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    worker = ThreadPoolExecutor(1, "lightquant-read")
    try:
        for item in items:
            waiting.append((item, worker.submit(function, item)))
            if len(waiting) > 1:
                yield _finished(waiting)
        while waiting:
            yield _finished(waiting)
    finally:
        worker.shutdown(cancel_futures=True)


def _finished(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, future = waiting.popleft()
    return item, future.result()


class Behind:
    """A context manager that carries out one call after the other in a thread, and makes whoever brings the next wait for the last.

    What a call raises is raised at the next one, or at the end. Where the block itself raises, the call under way is waited for.
    """

    def __enter__(self) -> "Behind":
        self._worker = ThreadPoolExecutor(1, "lightquant-write")
        self._last: Future[None] | None = None
        return self

    def __call__(self, call: Callable[..., None], *arguments: object) -> None:
        self._settle()
        self._last = self._worker.submit(call, *arguments)

    def __exit__(self, kind, problem, trace) -> None:
        try:
            if kind is None:
                self._settle()
        finally:
            self._worker.shutdown(cancel_futures=True)

    def _settle(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

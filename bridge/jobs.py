"""Work that the browser starts and watches: one thing at a time, the rest waits; told over the websocket, stopped between two steps."""

import atexit
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import JobError, LightQuantError
from ..texts import translate_all
from .language import in_users_language
from .status import prompt_server

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"

EVENT = "lightquant.job"
"""Of the websocket; its data is Job.as_dict."""

TELL_EVERY_S = 0.2
"""Progress is told no more often."""

KEPT = 50
"""Jobs that have ended and are still listed."""

_LONGEST_END_S = 10
"""How long ComfyUI's end waits for a job to clear up."""

Progress = Callable[[int, int], None]
Work = Callable[[Progress], dict]
"""Does the job, telling bytes done and bytes in all; what it gives is the job's result. What the progress raises stops it."""

log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - as asyncio's CancelledError it is no failure
    """A job was cancelled."""


@dataclass
class Job:
    """kind: what is done; source, target: names for the user; total, done: bytes; started: seconds since 1970; error, result: once it has ended."""

    kind: str
    source: str
    target: str
    total: int
    work: Work = field(repr=False)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: str = WAITING
    done: int = 0
    started: float | None = None
    ended: float | None = None
    error: str | None = None
    result: dict | None = None
    cancelled: bool = False

    def as_dict(self) -> dict:
        """For JSON. seconds: how long it has run."""
        named = ("id", "kind", "state", "done", "total", "source", "target", "started", "error", "result")
        seconds = 0.0 if self.started is None else (self.ended or time.time()) - self.started
        return {**{name: getattr(self, name) for name in named}, "seconds": round(seconds, 1)}


class Jobs:
    """A queue. tell: is given a job's dictionary when something of it changes; it is not to ask the queue in its turn."""

    def __init__(self, tell: Callable[[dict], None], clock: Callable[[], float] = time.monotonic):
        self._tell, self._clock = tell, clock
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def add(self, kind: str, source: str, target: str, total: int, work: Work) -> dict:
        """Queue a job. Raises JobError where one that has not ended has the same target."""
        job = Job(kind, source, target, total, work)
        with self._lock:
            if any(other.target == target and other.state in (WAITING, RUNNING) for other in self._jobs.values()):
                raise JobError(f"{target} is being written by another job. Wait for it, cancel it, or choose another name.")
            self._jobs[job.id] = job
            said = job.as_dict()
            self._tell(said)  # before the worker can take it, so that pages are told in the order of what happens
            if self._worker is None:
                # A daemon, as Python would wait for any other to the end of all jobs; `close` has it stop and clear up.
                atexit.unregister(self.close)
                atexit.register(self.close)
                self._worker = threading.Thread(target=self._run_all, name="lightquant-jobs", daemon=True)
                self._worker.start()
        return said

    def all(self) -> list[dict]:
        """Every job that is known, the oldest first."""
        with self._lock:
            return [job.as_dict() for job in self._jobs.values()]

    def get(self, job_id: str) -> dict | None:
        with self._lock:
            return self._jobs[job_id].as_dict() if job_id in self._jobs else None

    def cancel(self, job_id: str) -> dict | None:
        """Stop a job, or keep it from being begun; one that has ended stays as it is. None where there is none of that id."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return None
            job.cancelled = True
            was_waiting = job.state == WAITING
            if was_waiting:
                self._end(job, CANCELLED)
            said = job.as_dict()
        if was_waiting:
            self._tell(said)
        return said

    def close(self) -> None:
        """Cancel everything and wait a little for what runs to clear up."""
        for job in self.all():
            self.cancel(job["id"])
        worker = self._worker
        if worker is not None:
            worker.join(_LONGEST_END_S)

    def _run_all(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)

    def _next(self) -> Job | None:
        with self._lock:
            job = next((job for job in self._jobs.values() if job.state == WAITING), None)
            if job is None:
                self._worker = None
            else:
                job.state, job.started = RUNNING, time.time()
            return job

    def _run(self, job: Job) -> None:
        self._tell(job.as_dict())
        told = self._clock()

        def progress(done: int, total: int) -> None:
            nonlocal told
            if job.cancelled:
                raise Stopped
            job.done, job.total = done, total
            if self._clock() - told >= TELL_EVERY_S:
                told = self._clock()
                self._tell(job.as_dict())

        state, error, result = DONE, None, None
        try:
            result = job.work(progress)
        except Stopped:
            state = CANCELLED
        except LightQuantError as problem:
            state, error = FAILED, str(problem)
        except Exception as problem:  # whatever it is, the next job shall run and the page be told
            log.exception("LightQuant: the job %s to %s failed", job.kind, job.target)
            state, error = FAILED, str(problem) or type(problem).__name__
        with self._lock:
            self._end(job, state, error, result)
        self._tell(job.as_dict())

    def _end(self, job: Job, state: str, error: str | None = None, result: dict | None = None) -> None:
        job.state, job.error, job.result, job.ended = state, error, result, time.time()
        job.work = _nothing  # it may hold a model's headers
        ended = [job.id for job in self._jobs.values() if job.ended]
        for old in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[old]


def _nothing(progress: Progress) -> dict:
    return {}


def _tell(job: dict) -> None:
    """To every page, in the user's language: they show one list."""
    server = prompt_server()
    if server is not None:
        server.send_sync(EVENT, translate_all(job, in_users_language))


JOBS = Jobs(_tell)
"""This ComfyUI's."""

"""Requests wait in a queue with a bound, and one thread works it off: an engine generates one answer at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from specviz.engines.client import shared_client
from specviz.engines.errors import EngineCrashed
from specviz.engines.messages import Phase
from specviz.models.defaults import NGRAM
from specviz.pair import Prompt
from specviz.server.catalogue import Choice
from specviz.server.errors import ApiError
from specviz.server.loaded import LoadedPairs
from specviz.trace import Event, StopReason, Trace

POLL_SECONDS = 0.05
"""Between two looks whether a client has gone, where the engine says nothing."""
CANCEL_SECONDS = 10.0
"""That an engine may take to end a generation after it was told to."""
STUCK_SECONDS = 60.0
"""After which an engine that did not is ended; the next request starts a new one."""
LONGEST_RETRY = 60

log = logging.getLogger("specviz.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One generation as it is asked for, whichever dialect it came in."""

    id: str
    choice: Choice
    prompt: Prompt
    raw: bool
    settings: dict[str, Any]
    """Of `Pair.stream`."""
    tools: tuple[dict[str, Any], ...] = ()
    parallel_tool_calls: bool = True
    ttl: float | None = None
    prompt_param: str = "messages"
    """The field that carries the prompt."""
    created: float = field(default_factory=time.time)


class Job:
    """An `Ask` on its way: events come from the worker's thread, and are read in the event loop that made it."""

    def __init__(self, ask: Ask, seconds: float, cancel: Callable[[Job], None]) -> None:
        self.ask = ask
        self.trace: Trace | None = None
        self.engine = ""
        self.cancelled = False
        self.timed_out = False
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._over = False

    def put(self, event: Event | BaseException | None) -> None:
        """Deliver an event, the error that ends the job, or None: the end. From any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        """Stop it; it ends within a round."""
        self._cancel(self)

    async def next(self) -> Event | None:
        """Return the next event, None at the end. Past the time limit the generation is stopped and ends early.

        Raises
        ------
        ApiError, EngineError
            If it failed, or no token came within the time limit.
        """
        if self._over:
            return None
        try:
            event = await self._within_time()
        except TimeoutError:
            self._over = True
            message = f"there was no answer within the {self._seconds:g} seconds that a request may take"
            raise ApiError(503, message, code="time_limit", retry_after=1) from None
        if event is None:
            self._over = True
        if isinstance(event, BaseException):
            self._over = True
            raise event
        return event

    async def _within_time(self) -> Event | BaseException | None:
        if not self.timed_out:
            try:
                return await asyncio.wait_for(self._events.get(), max(0.0, self._deadline - time.monotonic()))
            except TimeoutError:
                self.timed_out = True
                self.cancel()
                if self.trace is None:
                    raise
        return await asyncio.wait_for(self._events.get(), CANCEL_SECONDS)


class Jobs:
    """The queue and its worker.

    Parameters
    ----------
    pairs
        Used on the worker's thread only.
    bound
        Jobs that may wait.
    seconds
        That a request may take, waiting included.
    record
        A folder for the traces of all generations; None: they are not kept.
    on_end
        Called on the worker's thread with each job that was begun and the word for how it ended.
    """

    def __init__(
        self,
        pairs: LoadedPairs,
        *,
        bound: int,
        seconds: float,
        record: Path | None = None,
        on_end: Callable[[Job, str], None] = lambda job, how: None,
    ) -> None:
        self.pairs, self.bound, self.seconds, self.record = pairs, bound, seconds, record
        self._on_end = on_end
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._mean_seconds = 1.0
        self._thread = threading.Thread(target=self._work, name="specviz-server-jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs at work: one or none."""
        return int(self._running is not None)

    @property
    def under_way(self) -> tuple[list[Job], list[Job]]:
        """Jobs at work, and jobs in the queue."""
        with self._changed:
            return [self._running] if self._running is not None else [], list(self._waiting)

    def submit(self, ask: Ask) -> Job:
        """Queue a generation; called in an event loop.

        Raises
        ------
        ApiError
            429: the queue is full. 503: the server is about to end.
        """
        job = Job(ask, self.seconds, self._cancel)
        with self._changed:
            if self._closing:
                raise ApiError(503, "the server is shutting down", code="shutting_down", retry_after=1)
            if len(self._waiting) >= self.bound:
                seconds = min(LONGEST_RETRY, math.ceil(self._mean_seconds * (len(self._waiting) + 1)))
                raise ApiError(
                    429, f"{len(self._waiting)} requests are waiting already", code="queue_full", retry_after=seconds
                )
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def close(self, seconds: float) -> None:
        """Refuse new jobs, give up those that wait, give the running one some seconds, and free the models."""
        with self._changed:
            self._closing = True
            given_up = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for job in given_up:
            job.put(ApiError(503, "the server is shutting down", code="shutting_down", retry_after=1))
        self._thread.join(seconds)
        running = self._running
        if running is not None:
            running.cancelled = True
        self._thread.join(CANCEL_SECONDS)

    def _cancel(self, job: Job) -> None:
        with self._changed:
            job.cancelled = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.put(None)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)
            with self._changed:
                self._running = None
                self._changed.notify_all()
        self.pairs.close()

    def _next(self) -> Job | None:
        """Wait for a job, freeing idle pairs meanwhile; None: the server ends."""
        while True:
            idle = self.pairs.free_idle()
            with self._changed:
                if self._waiting:
                    self._running = self._waiting.popleft()
                    return self._running
                if self._closing:
                    return None
                self._changed.wait(None if idle is None else min(idle, threading.TIMEOUT_MAX))

    def _run(self, job: Job) -> None:
        began = time.monotonic()
        how = "failed"
        try:
            self._generate(job)
            how = "cancelled" if job.cancelled else "answered"
            job.put(None)
        except Exception as error:
            if isinstance(error, EngineCrashed):
                self.pairs.close()
            job.put(error)
        self._mean_seconds += 0.2 * (time.monotonic() - began - self._mean_seconds)
        self._keep(job)
        self._on_end(job, how)

    def _generate(self, job: Job) -> None:
        ask = job.ask
        if job.cancelled:
            return
        pair = self.pairs.pair(ask.choice, ask.ttl)
        job.engine = pair.engine
        draft = "auto" if ask.choice.draft is not None else NGRAM if ask.choice.ngram else None
        with pair.stream(ask.prompt, draft=draft, raw=ask.raw, tools=ask.tools, **ask.settings) as generation:
            told: float | None = None
            while True:
                if job.cancelled and told is None:
                    generation.cancel()
                    told = time.monotonic()
                if told is not None and time.monotonic() - told > STUCK_SECONDS:
                    shared_client().close()
                try:
                    event = generation.next_event(POLL_SECONDS)
                except queue.Empty:
                    continue
                finally:
                    job.trace = generation.trace
                if event is None:
                    break
                if not isinstance(event, Phase):
                    job.put(event)
        self.pairs.used(pair)

    def _keep(self, job: Job) -> None:
        """Save the trace where traces are recorded."""
        if self.record is None or job.trace is None:
            return
        time_of_day = datetime.fromtimestamp(job.ask.created, UTC).strftime("%Y%m%dT%H%M%S")
        try:
            job.trace.save(self.record / f"{time_of_day}-{job.ask.id}.jsonl")
        except OSError as error:
            log.warning("a trace could not be saved: %s", error)


def ended_early(job: Job) -> bool:
    """Whether the time limit cut an answer off."""
    trace = job.trace
    return (
        job.timed_out
        and trace is not None
        and trace.summary is not None
        and trace.summary.stop_reason == StopReason.USER_STOPPED
    )

"""The kernel's side of the engine host: start it, ask it, survive it."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from specviz.engines import messages as m
from specviz.engines.errors import BY_NAME, EngineCrashed, EngineError, ended_by
from specviz.engines.registry import make_engine
from specviz.engines.service import Service
from specviz.trace import Event

EXIT_GRACE_SECONDS = 2.0
STDERR_TAIL_BYTES = 4096


class Call:
    """One request under way: an iterator of its replies.

    Replies are taken off the pipe by another thread, so a slow reader never slows the engine.
    """

    def __init__(self, id: int, cancel: Callable[[], None]) -> None:
        self.id = id
        self._replies: queue.SimpleQueue[m.Reply | BaseException] = queue.SimpleQueue()
        self._cancel = cancel
        self._over = False

    def put(self, reply: m.Reply | BaseException) -> None:
        """Deliver a reply, or the error that ends the call."""
        self._replies.put(reply)

    def cancel(self) -> None:
        """Ask the engine to stop; the call then ends within a round."""
        self._cancel()

    def get(self, timeout: float | None = None) -> m.Reply | None:
        """Return the next reply; None when the call has ended.

        Raises
        ------
        EngineError
            If the call failed or the engine crashed.
        queue.Empty
            If nothing came within `timeout` seconds.
        """
        if self._over:
            return None
        reply = self._replies.get(timeout=timeout)
        if isinstance(reply, m.Done):
            self._over = True
            return None
        if isinstance(reply, m.Failed):
            self._over = True
            error = BY_NAME.get(reply.kind, EngineError)(reply.message)
            if reply.detail:
                error.add_note(reply.detail)
            raise error
        if isinstance(reply, BaseException):
            self._over = True
            raise reply
        return reply

    def __iter__(self) -> Iterator[m.Reply]:
        while (reply := self.get()) is not None:
            yield reply


@dataclass(slots=True)
class _Open:
    """A call that has not ended. One whose host died before its first reply is sent once more, to a new host."""

    call: Call
    request: m.Request
    process: subprocess.Popen[bytes] | None = None
    begun: bool = False
    resent: bool = False


_event_decoder = msgspec.msgpack.Decoder(Event)


def decode_event(reply: m.Happened) -> Event:
    """Return the trace event that a reply carries."""
    event: Event = _event_decoder.decode(reply.event)
    return event


class Client(Protocol):
    """Where requests go: to a host process, or to a thread of this one."""

    def call(self, request: Any, **fields: Any) -> Call:
        """Send a request of a class of `messages`; `id` is filled in."""

    def close(self) -> None:
        """End the engine and free its models."""


class HostClient:
    """An engine in a process of its own. Started on the first call, and again on the next call after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: Any = None
        self._calls: dict[int, _Open] = {}
        self._ids = itertools.count(1)
        self._encoder = msgspec.msgpack.Encoder()
        self._closing = False
        _open_clients.add(self)

    @property
    def pid(self) -> int | None:
        """Process id of the host; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def call(self, request: Any, **fields: Any) -> Call:
        """Send a request, starting the host if there is none.

        Raises
        ------
        EngineError
            If the host cannot be started.
        """
        id = next(self._ids)
        call = Call(id, partial(self._send_cancel, id))
        with self._lock:
            self._dispatch(_Open(call, request(id=id, **fields)))
        return call

    def _dispatch(self, open_call: _Open) -> None:
        """Send a request to the host. A pipe that broke is noticed by the receiving thread, which sends it again."""
        open_call.process = self._started()
        self._calls[open_call.call.id] = open_call
        with contextlib.suppress(OSError):
            self._send(open_call.process, open_call.request)

    def close(self) -> None:
        """End the host; calls under way end with `EngineCrashed`."""
        with self._lock:
            process, self._process = self._process, None
            self._closing = True
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(EXIT_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._closing = False
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the receiving thread
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "specviz.engines.host"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"the engine's process cannot be started: {error}") from error
        threading.Thread(
            target=self._receive, args=(self._process, stderr), name="specviz-engine-replies", daemon=True
        ).start()
        return self._process

    def _send(self, process: subprocess.Popen[bytes], request: m.Request) -> None:
        assert process.stdin is not None
        m.write_frame(process.stdin, self._encoder.encode(request))  # type: ignore[arg-type]

    def _send_cancel(self, request: int) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            open_call = self._calls.get(request)
            if open_call is not None and open_call.process is not None:
                self._send(open_call.process, m.Cancel(id=0, request=request))

    def _receive(self, process: subprocess.Popen[bytes], stderr: Any) -> None:
        """Deliver replies until the host is gone, then fail what it left open."""
        decoder = msgspec.msgpack.Decoder(m.Reply)
        assert process.stdout is not None
        with contextlib.suppress(EOFError, OSError, ValueError):
            while (frame := m.read_frame(process.stdout)) is not None:  # type: ignore[arg-type]
                reply = decoder.decode(frame)
                open_call = self._calls.get(reply.id)
                if open_call is not None:
                    open_call.begun = True
                    if isinstance(reply, m.Done | m.Failed):
                        self._calls.pop(reply.id, None)
                    open_call.call.put(reply)
        with self._lock:
            if self._process is process:
                self._process = None
        try:
            process.wait(EXIT_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stderr.seek(0, os.SEEK_END)
        stderr.seek(max(0, stderr.tell() - STDERR_TAIL_BYTES))
        tail = stderr.read().decode("utf-8", "replace")
        stderr.close()
        with self._lock:
            for open_call in [one for one in self._calls.values() if one.process is process]:
                del self._calls[open_call.call.id]
                if not open_call.begun and not open_call.resent and not self._closing:
                    open_call.resent = True
                    self._dispatch(open_call)
                    continue
                error = EngineCrashed(_cause(process.returncode, self._closing))
                if tail.strip():
                    error.add_note(tail)
                open_call.call.put(error)


def _cause(returncode: int, closing: bool) -> str:
    if closing:
        return "the engine was closed while it was at work"
    return f"the engine's process {ended_by(returncode)}; the next call starts a new one"


class InProcessClient:
    """The same service on one long-lived thread of this process: for tests and for the server's choice.

    A crash of the engine is a crash of the process.
    """

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._waiting: queue.SimpleQueue[m.Request | None] = queue.SimpleQueue()
        self._service = Service(make_engine, self._reply)
        self._thread = threading.Thread(target=self._serve, name="specviz-engine", daemon=True)
        self._thread.start()

    def call(self, request: Any, **fields: Any) -> Call:
        """Queue a request."""
        id = next(self._ids)
        call = self._calls[id] = Call(id, lambda: self._service.cancel(id))
        self._waiting.put(request(id=id, **fields))
        return call

    def close(self) -> None:
        """Free all models and end the thread."""
        self._waiting.put(m.Unload(id=0))
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (request := self._waiting.get()) is not None:
            self._service.handle(request)

    def _reply(self, reply: m.Reply) -> None:
        call = self._calls.get(reply.id)
        if call is None:
            return
        if isinstance(reply, m.Done | m.Failed):
            self._calls.pop(reply.id, None)
        call.put(reply)


_open_clients: weakref.WeakSet[HostClient] = weakref.WeakSet()
_shared: HostClient | None = None
_shared_lock = threading.Lock()


def shared_client() -> HostClient:
    """Return this process's one host, which chat, race and audit share so that models are loaded once."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = HostClient()
        return _shared


@atexit.register
def _close_all() -> None:
    started = time.monotonic()
    for client in list(_open_clients):
        if time.monotonic() - started < 2 * EXIT_GRACE_SECONDS:
            client.close()

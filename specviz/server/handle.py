"""The server in a notebook's hands: `serve` and the handle it returns."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct, structs

from specviz.models import NGRAM_LOOKUP, LocalModel, ModelNotFoundError
from specviz.pair import find_draft, find_main
from specviz.server.catalogue import Catalogue, Choice
from specviz.server.jobs import Job, Jobs
from specviz.server.loaded import LoadedPairs

try:
    import uvicorn

    from specviz.server.app import Limits, make_app
    from specviz.server.guard import is_loopback
    from specviz.server.metrics import Metrics
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f'the server needs {missing.name}: pip install "specviz-lab[server]"', name=missing.name
    ) from None

START_SECONDS = 20.0
END_SECONDS = 5.0
WAIT_SECONDS = 0.1
REMEMBERED = 100
"""Requests that have ended."""
MEMORY_SHARE = 0.75
"""Of this machine's memory that models may take, unless another amount is given."""


class ServerStatus(Struct, frozen=True, kw_only=True):
    """What a server is doing."""

    url: str
    running: int
    """Requests that are answered now: one or none."""
    waiting: int
    answered: int
    cancelled: int
    failed: int
    loaded: tuple[str, ...]
    """Models in memory."""
    stopped: bool


class Served(Struct, frozen=True, kw_only=True):
    """A request, as far as it has come."""

    id: str
    created: float
    """Seconds since the epoch."""
    main: str
    draft: str | None
    """Ids; None: no drafting."""
    state: str
    """`waiting`, `running`, `answered`, `cancelled`, `failed`."""
    output_tokens: int = 0
    tokens_per_second: float | None = None
    acceptance_rate: float | None = None
    """accepted / drafted"""

    @classmethod
    def of(cls, job: Job, state: str) -> Served:
        """Read off a job how far it has come."""
        choice, stats = job.ask.choice, None if job.trace is None else job.trace.stats
        row = cls(id=job.ask.id, created=job.ask.created, main=choice.main.id, draft=choice.draft_id, state=state)
        if stats is None:
            return row
        return structs.replace(
            row,
            output_tokens=stats.output_tokens,
            tokens_per_second=stats.tokens_per_second,
            acceptance_rate=stats.draft_acceptance_rate,
        )


def serve(
    main: str | Path = "auto",
    draft: str | Path | None = "auto",
    *,
    host: str = "127.0.0.1",
    port: int = 1234,
    api_key: str | None = None,
    record: str | Path | None = None,
    ttl: float = 3600.0,
    memory_bytes: int | None = None,
    queue: int = 64,
    time_limit: float = 600.0,
    max_body: int = 4 << 20,
    cors: Sequence[str] = (),
    on_end: Callable[[Job, str], None] | None = None,
    **options: Any,
) -> Server:
    """Start a server for OpenAI's and LM Studio's clients, in the background; returns when it is ready.

    Parameters
    ----------
    main, draft
        As for `specviz.load`: the model of requests that name none, and its draft where a request names none. A main
        model that is named here is loaded now, others (and the demo model) when a request wants them.
    host, port
        Where it listens; port 0: a free one. Other machines can reach it only if `host` is not a loopback address,
        and then an `api_key` is needed.
    api_key
        What clients must send; None: nothing.
    record
        A folder in which the trace of every generation is saved.
    ttl
        Seconds after which a pair that nobody uses is freed.
    memory_bytes
        What loaded models together may take; None: three quarters of this machine's memory.
    queue
        Requests that may wait; more are refused.
    time_limit
        Seconds that a request may take, waiting included; then the answer is cut off.
    max_body
        Bytes of a request.
    cors
        Origins of web pages whose scripts may ask; `"*"`: all.
    on_end
        Called with each generation's `Job` and `answered`, `cancelled` or `failed`, on a thread of the server.
    **options
        How models are placed: keywords of `specviz.load`.

    Raises
    ------
    ValueError
        If the address is no loopback address and there is no key, or a number is out of range.
    OSError
        If the port is taken.
    ModelNotFoundError, EngineError
        If the models cannot be found or loaded.

    Examples
    --------
    >>> with sv.serve() as server:
    ...     client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
    """
    if not is_loopback(host) and not api_key:
        raise ValueError(f"at {host} other machines can reach the server: give it an api_key, or take 127.0.0.1")
    for name, value, least in (
        ("ttl", ttl, 0),
        ("queue", queue, 1),
        ("time_limit", time_limit, 0),
        ("max_body", max_body, 1),
    ):
        if value < least or (name == "time_limit" and value == 0):
            raise ValueError(
                f"{name} must be {'above 0' if name == 'time_limit' else f'at least {least}'}, got {value}"
            )
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port must be from 0 to 65535, got {port}")
    folder = None if record is None else Path(record).expanduser()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    budget = int(psutil.virtual_memory().total * MEMORY_SHARE) if memory_bytes is None else memory_bytes
    pairs = LoadedPairs(ttl, budget, options)
    try:
        return Server(
            _catalogue(main, draft, pairs),
            pairs,
            host=host,
            port=port,
            api_key=api_key,
            record=folder,
            queue=queue,
            time_limit=time_limit,
            limits=Limits(body_bytes=max_body),
            cors=cors,
            on_end=on_end,
        )
    except BaseException:
        pairs.close()
        raise


def _catalogue(main: str | Path, draft: str | Path | None, pairs: LoadedPairs) -> Catalogue:
    """Find the default pair, and load it where a main model was named."""
    named = str(main) != "auto"
    try:
        main_model = find_main(main)
    except ModelNotFoundError:
        if named:
            raise
        return Catalogue()
    draft_model = find_draft(draft, main_model)
    own = [model for model in (main_model, draft_model) if model is not None and model is not NGRAM_LOOKUP]
    catalogue = Catalogue(own=own)
    catalogue.default = catalogue.offered(main_model)
    if draft is None or str(draft) != "auto":
        catalogue.set_draft(main_model, draft_model)
    if named:
        pairs.pair(_choice(catalogue, draft_model))
    return catalogue


def _choice(catalogue: Catalogue, draft: LocalModel | None) -> Choice:
    assert catalogue.default is not None
    if draft is None or draft is NGRAM_LOOKUP:
        return Choice(catalogue.default, ngram=draft is NGRAM_LOOKUP)
    return Choice(catalogue.default, catalogue.offered(draft))


class Server:
    """A running server. Made by `serve`; stop it, or use it as a context manager.

    Attributes
    ----------
    url : str
        Where it is, without `/v1`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pairs: LoadedPairs,
        *,
        host: str,
        port: int,
        api_key: str | None,
        record: Path | None,
        queue: int,
        time_limit: float,
        limits: Limits,
        cors: Sequence[str],
        on_end: Callable[[Job, str], None] | None,
    ) -> None:
        self.catalogue = catalogue
        self._ended = {"answered": 0, "cancelled": 0, "failed": 0}
        self._served: deque[Served] = deque(maxlen=REMEMBERED)
        self._on_end = on_end
        self._jobs = Jobs(pairs, bound=queue, seconds=time_limit, record=record, on_end=self._count)
        self._metrics = Metrics(lambda: self._jobs.running, lambda: self._jobs.waiting)
        self._stopped = False
        self._lock = threading.Lock()
        app = make_app(
            catalogue,
            self._jobs,
            self._metrics,
            limits=limits,
            api_key=api_key,
            check_host=is_loopback(host),
            cors=cors,
        )
        self._socket = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=int(END_SECONDS)
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [self._socket]}, name="specviz-server", daemon=True
        )
        self._thread.start()
        self._jobs.start()
        end = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the server at {self.url} did not start")
            time.sleep(0.005)
        catalogue.search(wait=False)

    @property
    def status(self) -> ServerStatus:
        """What it is doing now."""
        return ServerStatus(
            url=self.url,
            running=self._jobs.running,
            waiting=self._jobs.waiting,
            loaded=self._jobs.pairs.ids,
            stopped=self._stopped,
            **self._ended,
        )

    @property
    def requests(self) -> list[Served]:
        """The latest requests, those under way first, then the newest first."""
        running, waiting = self._jobs.under_way
        now = [Served.of(job, "running") for job in running] + [Served.of(job, "waiting") for job in waiting]
        return [*now, *reversed(self._served)]

    def stop(self, grace: float = END_SECONDS) -> None:
        """Refuse new requests, let the one at work end (for some seconds, then it is cut off), free the models.

        Does nothing the second time.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        self._jobs.close(grace)
        self._uvicorn.should_exit = True
        self._thread.join(2 * END_SECONDS)
        self._socket.close()

    def wait(self) -> None:
        """Wait until it is stopped.

        Not by `join`: one that is interrupted takes the thread for dead (CPython 3.11).
        """
        while self._thread.is_alive():
            time.sleep(WAIT_SECONDS)

    def _count(self, job: Job, how: str) -> None:
        self._ended[how] += 1
        self._served.append(Served.of(job, how))
        self._metrics.ended(job, how)
        if self._on_end is not None:
            with contextlib.suppress(Exception):
                self._on_end(job, how)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from specviz.widgets.server_panel import ServerPanel

        display(ServerPanel(self))  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        status = self.status
        if status.stopped:
            return f"<Server {self.url}, stopped>"
        return f"<Server {self.url}: {status.answered} answered, {status.running} running, {status.waiting} waiting>"


def _listen(host: str, port: int) -> socket.socket:
    """Bind now, so that a taken port is an error of the caller's and not a line in a log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.set_inheritable(False)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"the server cannot listen at {host}, port {port}: {error.strerror}") from None
    return listening

"""A server by its URL, in the place of an engine's process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

import msgspec

from specviz.engines import messages as m
from specviz.engines.client import Call
from specviz.engines.errors import EngineError
from specviz.engines.remote.capabilities import Capabilities
from specviz.engines.remote.detect import detect
from specviz.engines.remote.http import Server
from specviz.trace import Header, ModelInfo, StopReason, Summary
from specviz.trace.events import Event


class RemoteEngine(Protocol):
    """A kind of server."""

    capabilities: Capabilities

    @property
    def engine(self) -> str:
        """Name and version."""

    @property
    def main(self) -> ModelInfo:
        """The main model."""

    @property
    def draft(self) -> ModelInfo | None:
        """The draft, as far as it is known."""

    def tokenize(self, text: str) -> list[int]:
        """Return token ids."""

    def generate(self, request: m.Generate, stopped: threading.Event) -> Iterator[Event]:
        """Yield the events of one generation; end soon after `stopped` is set."""


class RemoteClient:
    """Sends requests to a running server (`specviz.engines.client.Client`).

    Parameters
    ----------
    url
        Of the server.
    model, draft
        Ids of models, where the server has several.
    api_key
        That it wants; None: none.

    Raises
    ------
    EngineError
        If nothing answers, or it is no server that is known here.
    """

    def __init__(
        self, url: str, *, model: str | None = None, draft: str | None = None, api_key: str | None = None
    ) -> None:
        self._server = Server(url, api_key)
        self.remote: RemoteEngine = detect(self._server, model, draft)
        self._ids = itertools.count(1)
        self._encoder = msgspec.msgpack.Encoder()

    @property
    def capabilities(self) -> Capabilities:
        """What the server can tell."""
        return self.remote.capabilities

    def call(self, request: Any, **fields: Any) -> Call:
        """Start a request on a thread of its own."""
        stopped = threading.Event()
        call = Call(next(self._ids), stopped.set)
        asked = request(id=call.id, **fields)
        threading.Thread(target=self._serve, args=(call, asked, stopped), name="specviz-remote", daemon=True).start()
        return call

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _serve(self, call: Call, request: m.Request, stopped: threading.Event) -> None:
        try:
            match request:
                case m.Load():
                    remote = self.remote
                    call.put(m.Loaded(id=call.id, main=remote.main, draft=remote.draft, engine=remote.engine))
                case m.Generate():
                    self._generate(call, request, stopped)
                case m.Tokenize():
                    call.put(m.Tokens(id=call.id, ids=tuple(self.remote.tokenize(request.text))))
                case m.Unload():
                    pass
                case _:
                    raise EngineError(f"a remote server cannot do this: {type(request).__name__}")
            call.put(m.Done(id=call.id))
        except EngineError as error:
            call.put(m.Failed(id=call.id, kind=type(error).__name__, message=str(error)))
        except Exception as error:
            call.put(m.Failed(id=call.id, kind="EngineError", message=f"{type(error).__name__}: {error}"))

    def _generate(self, call: Call, request: m.Generate, stopped: threading.Event) -> None:
        begun = False

        def happened(event: Event) -> None:
            call.put(m.Happened(id=call.id, event=msgspec.Raw(self._encoder.encode(event))))

        call.put(m.Phase(id=call.id, phase="prefill"))
        try:
            for event in self.remote.generate(request, stopped):
                if isinstance(event, Header):
                    begun = True
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    event = msgspec.structs.replace(event, created=now, specviz=version("specviz-lab"))
                happened(event)
        except EngineError as error:
            if begun:
                happened(Summary(stop_reason=StopReason.FAILED, error=str(error)))
            raise

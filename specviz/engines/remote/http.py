"""Requests to a server, and streams of server-sent events that can be given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from specviz.engines.errors import EngineError

CONNECT_SECONDS, READ_SECONDS = 5.0, 600.0
MOST_MESSAGE = 500


class Server:
    """A server by its URL.

    Parameters
    ----------
    url
        Without a path, or with one that its endpoints stand under; a `/v1` at the end is dropped.
    api_key
        Sent as `Authorization: Bearer`; None: none.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """Return the answer to a GET, whatever its status.

        Raises
        ------
        EngineError
            If there is no answer.
        """
        with self._failing():
            return self._http.get(path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON that answers a POST.

        Raises
        ------
        EngineError
            If there is no answer, or it is an error.
        """
        with self._failing():
            response = self._http.post(path, json=body)
            _check(response)
            return response.json()

    def stream(self, path: str, body: dict[str, Any], stopped: threading.Event) -> Iterator[dict[str, Any]]:
        """Yield the JSON of each event that answers a POST, until the last, or until `stopped` is set by `close_when`.

        Raises
        ------
        EngineError
            If there is no answer, it is an error, or it breaks off.
        """
        with self._failing(stopped), self._http.stream("POST", path, json=body) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                _check(response)
            with _closed_when(stopped, response):
                for line in response.iter_lines():
                    if stopped.is_set():
                        return
                    if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
                        event = json.loads(data)
                        if isinstance(event, dict):
                            _raise_error(event)
                            yield event

    @contextmanager
    def _failing(self, stopped: threading.Event | None = None) -> Iterator[None]:
        """Turn what can go wrong on the way into errors in words; after a stop nothing is one."""
        try:
            yield
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            if stopped is not None and stopped.is_set():
                return
            raise EngineError(f"no answer from {self.url}: {error or type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@contextmanager
def _closed_when(stopped: threading.Event, response: httpx.Response) -> Iterator[None]:
    """Close a response as soon as a stop is asked for: the server sees its client go, and the reader wakes."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stopped.wait(0.05):
                if not over.is_set():
                    response.close()
                return

    thread = threading.Thread(target=watch, name="specviz-remote-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    with suppress(ValueError):
        _raise_error(response.json())
    raise EngineError(f"the server answered with {response.status_code}: {response.text[:MOST_MESSAGE]}")


def _raise_error(body: Any) -> None:
    """Raise the error that a body carries, in OpenAI's shape or as a text."""
    error = body.get("error") if isinstance(body, dict) else None
    if error:
        message = error.get("message") if isinstance(error, dict) else error
        raise EngineError(f"the server says: {str(message)[:MOST_MESSAGE]}")

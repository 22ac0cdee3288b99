"""Who may ask, and how much: the ASGI layer before all endpoints."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specviz.server.errors import ApiError

BODY_SECONDS = 30.0
"""That a client may take to send its request."""
DRAINED_BYTES = 64 << 20
"""Of a body that is too large, so many are read and dropped, since a client reads no answer before it has sent all."""
OPEN_PATHS = ("/health",)
"""Without a key."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


class Guard:
    """Refuses requests that name another host, have no key, or are too large.

    Parameters
    ----------
    api_key
        What `Authorization: Bearer` must carry; None: nothing.
    check_host
        Refuse requests that are not addressed to this machine by a loopback name: a web page may have made the name
        of its own server lead here (DNS rebinding).
    max_body
        Bytes of a request.
    """

    def __init__(self, app: ASGIApp, *, api_key: str | None, check_host: bool, max_body: int) -> None:
        self._app, self._check_host, self._max_body = app, check_host, max_body
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            self._authorise(scope, headers)
            if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
                receive = await self._body(headers, receive)
        except ApiError as error:
            await send_error(error, send)
            return
        if receive is not None:
            await self._app(scope, receive, send)

    def _authorise(self, scope: Scope, headers: Headers) -> None:
        if self._check_host and not is_loopback(_host(headers.get("host", ""))):
            message = "this server answers to localhost only; the request's Host header names another"
            raise ApiError(403, message, code="host_not_allowed")
        if self._key is None or scope["path"] in OPEN_PATHS:
            return
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip().encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._key) or scheme.lower() != "bearer":
            raise ApiError(401, "the API key is missing or wrong: Authorization: Bearer KEY", code="invalid_api_key")

    async def _body(self, headers: Headers, receive: Receive) -> Any:
        """Read the body, and return what hands it on; None: the client has gone."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        body = bytearray()
        too_large = False
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if _length(headers) > DRAINED_BYTES:
                    raise self._too_large()
                read = 0
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    read += len(part)
                    too_large |= len(body) + len(part) > self._max_body
                    if not too_large:
                        body += part
                    if not message.get("more_body", False) or read > DRAINED_BYTES:
                        break
        except TimeoutError:
            raise ApiError(408, f"the request was not sent within {BODY_SECONDS:g} seconds", code="timeout") from None
        if too_large:
            raise self._too_large()
        if kind != "application/json":
            raise ApiError(415, "the request must be JSON: Content-Type: application/json", code="not_json")
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return replay

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request has more than {self._max_body:,} bytes", code="body_too_large")


def _host(value: str) -> str:
    """Return a Host header's host, without the port."""
    if value.startswith("["):
        return value.partition("]")[0] + "]"
    return value.rpartition(":")[0] if value.count(":") == 1 else value


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


async def send_error(error: ApiError, send: Send) -> None:
    """Answer with an error."""
    body = msgspec.json.encode(error.body)
    headers = {"content-type": "application/json", "content-length": str(len(body))} | error.headers
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

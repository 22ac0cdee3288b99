"""The endpoints: one shape of request, one path of generation, two dialects."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import StreamingResponse
from starlette.types import Receive

from specviz.decoding import check_settings
from specviz.server.answer import Answer
from specviz.server.catalogue import Catalogue, Offered
from specviz.server.errors import ApiError, api_error
from specviz.server.guard import Guard
from specviz.server.jobs import Ask, Job, Jobs
from specviz.server.lmstudio import LMStudio, model_shape
from specviz.server.metrics import Metrics
from specviz.server.openai import Asked, ChatRequest, CompletionRequest, OpenAI
from specviz.server.tools import readable
from specviz.trace import Header, Round, Summary

MAX_PROMPT_CHARACTERS = 1_000_000
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server grants."""

    body_bytes: int = 4 << 20
    """Of a request."""
    prompt_characters: int = MAX_PROMPT_CHARACTERS


class Endpoints:
    """What is behind the URLs."""

    def __init__(self, catalogue: Catalogue, jobs: Jobs, metrics: Metrics, limits: Limits) -> None:
        self.catalogue, self.jobs, self.metrics, self.limits = catalogue, jobs, metrics, limits

    async def models(self) -> list[Offered]:
        """All models."""
        return await to_thread.run_sync(self.catalogue.known)

    async def model(self, id: str) -> Offered:
        """One model."""
        return await to_thread.run_sync(partial(self.catalogue.find, id))

    async def generate(self, asked: Asked, request: Request, dialect: type[OpenAI]) -> Response:
        """Answer a request, at once or in a stream."""
        asked.check()
        chat = isinstance(asked, ChatRequest)
        ask = await self._ask(asked)
        writer = dialect(ask, chat=chat)
        answer = Answer(ask, asked.top_logprobs_asked)
        job = self.jobs.submit(ask)
        watch = asyncio.create_task(_cancel_when_gone(request.receive, job))
        streams = False
        try:
            try:
                header = await job.next()
            except Exception as error:
                raise api_error(error, ask.prompt_param) from error
            if not isinstance(header, Header):
                return Response(status_code=499)
            if asked.stream:
                options = asked.stream_options
                usage = options is not None and bool(options.include_usage)
                events = self._stream(answer, job, writer, watch, usage=usage)
                streams = True
                return StreamingResponse(
                    events,
                    media_type="text/event-stream",
                    headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
                )
            try:
                while (event := await job.next()) is not None:
                    assert job.trace is not None
                    answer.feed(event, job.trace)
            except Exception as error:
                raise api_error(error, ask.prompt_param) from error
            return json_response(writer.whole(answer, job))
        finally:
            if not streams:
                watch.cancel()

    async def _stream(
        self, answer: Answer, job: Job, writer: OpenAI, watch: asyncio.Task[None], *, usage: bool
    ) -> AsyncIterator[bytes]:
        """Yield server-sent events; the first comes with the first token, so that clients can time it."""
        try:
            first = writer.first()
            while (event := await job.next()) is not None:
                assert job.trace is not None
                delta = answer.feed(event, job.trace)
                if first is not None and isinstance(event, Round | Summary):
                    yield _sse(first)
                    first = None
                if delta:
                    yield _sse(writer.part(answer, delta))
            yield _sse(writer.last(answer, job))
            if usage:
                yield _sse(writer.usage(answer, job))
        except Exception as error:
            yield _sse(api_error(error).body)
        finally:
            job.cancel()
            watch.cancel()
        yield b"data: [DONE]\n\n"

    async def _ask(self, asked: Asked) -> Ask:
        """Turn a request into what the engine is asked."""
        settings = asked.settings()
        top = asked.top_logprobs_asked
        record = self.jobs.record is not None
        settings["detail"] = top is not None or record
        if top is not None:
            settings["n_candidates"] = max(top, 5 if record else 0)
        try:
            check_settings(**settings)
        except (ValueError, TypeError) as error:
            name = str(error).split()[0]
            raise ApiError(400, str(error), param=name if name in settings else None) from None
        draft_given = "draft_model" in asked.model_fields_set
        choose = partial(self.catalogue.choose, asked.model, asked.draft_model, draft_given=draft_given)
        chat = isinstance(asked, ChatRequest)
        ask = partial(
            Ask, id=("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12), settings=settings, ttl=asked.ttl
        )
        if isinstance(asked, ChatRequest):
            messages = asked.plain_messages()
            self._check_length(sum(len(message["content"]) for message in messages), "messages")
            return ask(
                choice=await to_thread.run_sync(choose),
                prompt=readable(messages),
                raw=False,
                tools=asked.plain_tools(),
                parallel_tool_calls=asked.parallel_tool_calls is not False,
            )
        assert isinstance(asked, CompletionRequest)
        self._check_length(len(asked.text), "prompt")
        return ask(choice=await to_thread.run_sync(choose), prompt=asked.text, raw=True, prompt_param="prompt")

    def _check_length(self, characters: int, param: str) -> None:
        most = self.limits.prompt_characters
        if characters > most:
            message = f"the prompt has {characters:,} characters, more than the {most:,} that this server reads"
            raise ApiError(400, message, param=param, code="context_length_exceeded")


async def _cancel_when_gone(receive: Receive, job: Job) -> None:
    """Cancel a job as soon as its client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    job.cancel()


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON; numbers that JSON cannot write become null."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _sse(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def error_response(error: ApiError) -> Response:
    """Answer with an error."""
    return json_response(error.body, error.status, error.headers)


ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def make_app(
    catalogue: Catalogue,
    jobs: Jobs,
    metrics: Metrics,
    *,
    limits: Limits,
    api_key: str | None,
    check_host: bool,
    cors: Sequence[str],
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    cors
        Origins of web pages that may ask; none: CORS is off.
    """
    from specviz import __version__

    problem = {"description": "An error, in OpenAI's shape.", "content": {"application/json": {"schema": ERROR}}}
    app = FastAPI(
        title="specviz",
        version=__version__,
        description="OpenAI's and LM Studio's API over a main model and its draft.",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": problem, "5XX": problem},
    )
    endpoints = Endpoints(catalogue, jobs, metrics, limits)

    def add(path: str, method: str, summary: str) -> Callable[[F], F]:
        return app.api_route(path, methods=[method], summary=summary, response_class=Response, response_model=None)

    @add("/health", "GET", "Whether the server is up")
    async def health() -> Response:
        return json_response({"status": "ok"})

    @add("/metrics", "GET", "Counters for Prometheus")
    async def read_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @add("/v1/models", "GET", "The models (OpenAI)")
    async def openai_models() -> Response:
        return json_response({"object": "list", "data": [_openai_model(one) for one in await endpoints.models()]})

    @add("/v1/models/{id:path}", "GET", "One model (OpenAI)")
    async def openai_model(id: str) -> Response:
        return json_response(_openai_model(await endpoints.model(id)))

    @add("/v1/chat/completions", "POST", "Answer a chat (OpenAI)")
    async def openai_chat(asked: ChatRequest, request: Request) -> Response:
        return await endpoints.generate(asked, request, OpenAI)

    @add("/v1/completions", "POST", "Continue a text (OpenAI)")
    async def openai_completion(asked: CompletionRequest, request: Request) -> Response:
        return await endpoints.generate(asked, request, OpenAI)

    @add("/api/v0/models", "GET", "The models (LM Studio)")
    async def lmstudio_models() -> Response:
        models = await endpoints.models()
        return json_response({"object": "list", "data": [model_shape(one, jobs.pairs) for one in models]})

    @add("/api/v0/models/{id:path}", "GET", "One model (LM Studio)")
    async def lmstudio_model(id: str) -> Response:
        return json_response(model_shape(await endpoints.model(id), jobs.pairs))

    @add("/api/v0/chat/completions", "POST", "Answer a chat (LM Studio)")
    async def lmstudio_chat(asked: ChatRequest, request: Request) -> Response:
        return await endpoints.generate(asked, request, LMStudio)

    @add("/api/v0/completions", "POST", "Continue a text (LM Studio)")
    async def lmstudio_completion(asked: CompletionRequest, request: Request) -> Response:
        return await endpoints.generate(asked, request, LMStudio)

    @app.exception_handler(ApiError)
    async def on_api_error(request: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(_invalid(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        return error_response(_http(request, error))

    @app.exception_handler(Exception)
    async def on_failure(request: Request, error: Exception) -> Response:
        return error_response(api_error(error))

    app.add_middleware(Guard, api_key=api_key, check_host=check_host, max_body=limits.body_bytes)
    if cors:
        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["GET", "POST"], allow_headers=["*"])
    return app


def _openai_model(offered: Offered) -> dict[str, Any]:
    created = 0
    with suppress(OSError):
        created = int(offered.model.readable.stat().st_mtime)
    owner = offered.card.source if offered.card is not None else "specviz"
    return {"id": offered.id, "object": "model", "created": created, "owned_by": owner}


def _invalid(error: RequestValidationError) -> ApiError:
    """Say what is wrong with a request: the first of what was found."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the request is not JSON: {first.get('ctx', {}).get('error', '')}", code="invalid_json")
    where = ".".join(str(part) for part in first["loc"][1:])
    return ApiError(
        400, f"{where}: {first['msg']}" if where else first["msg"], param=where or None, code="invalid_value"
    )


def _http(request: Request, error: HTTPException) -> ApiError:
    if error.status_code == 404:
        return ApiError(404, f"there is nothing at {request.method} {request.url.path[:200]}", code="not_found")
    return ApiError(error.status_code, str(error.detail))

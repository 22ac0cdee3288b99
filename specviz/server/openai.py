"""What OpenAI's clients send and read."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from specviz.decoding.settings import MAX_DRAFT_TOKENS, MAX_SEED, MAX_TEMPERATURE
from specviz.server.answer import Answer, Delta, TokenProbability
from specviz.server.errors import ApiError
from specviz.server.jobs import Ask, Job
from specviz.trace import Stats

MAX_TOP_LOGPROBS = 20
MAX_STOPS = 16
MAX_TOOLS = 128
MAX_SCHEMA_CHARACTERS = 65_536
SETTINGS = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "repeat_last_n",
    "rule",
    "num_draft_tokens",
    "p_min",
    "n_min",
    "entropy_max",
    "seed",
    "ignore_eos",
)
"""Fields of a request that are settings of `specviz.trace.Settings` by the same name."""

Stop = Annotated[str, Field(min_length=1, max_length=1000)]
Texts = Annotated[list[Stop], Field(max_length=MAX_STOPS)]


class Shape(BaseModel):
    """Types are taken as they are written in JSON; fields that we do not know are passed over."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


class StreamOptions(Shape):
    """How a stream ends."""

    include_usage: bool | None = None


class Asked(Shape):
    """What both kinds of completion take. A field that is absent or null leaves the default."""

    model: str | None = Field(None, description="Id of the main model; absent: the server's default model.")
    draft_model: str | None = Field(
        None, description='Id of the draft model, or "ngram"; "" or null: no drafting; absent: the default draft.'
    )
    max_tokens: int | None = Field(None, ge=-1, description="Output tokens at most; -1: until the context is full.")
    temperature: float | None = Field(None, ge=0, le=MAX_TEMPERATURE, description="0, the default, is greedy.")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    repeat_penalty: float | None = Field(None, ge=0.01, le=100)
    repeat_last_n: int | None = Field(None, ge=0)
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    stop: Stop | Texts | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, description="1: there is one answer.")
    frequency_penalty: float | None = Field(None, description="0: not supported; `repeat_penalty` is.")
    presence_penalty: float | None = Field(None, description="0: not supported; `repeat_penalty` is.")
    num_draft_tokens: Annotated[int, Field(ge=0, le=MAX_DRAFT_TOKENS)] | Literal["auto"] | None = None
    p_min: float | None = Field(None, ge=0, le=1)
    n_min: int | None = Field(None, ge=0, le=MAX_DRAFT_TOKENS)
    entropy_max: float | None = Field(None, ge=0)
    rule: Literal["match", "rejection"] | None = None
    ignore_eos: bool | None = None
    ttl: float | None = Field(None, ge=0, description="Seconds after which idle models are freed.")

    def check(self) -> None:
        """Refuse what is understood but not offered.

        Raises
        ------
        ApiError
            400.
        """
        if self.n not in (None, 1):
            raise ApiError(400, f"n must be 1, got {self.n}: there is one answer to a request", param="n")
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(self, name):
                raise ApiError(400, f"{name} is not supported; repeat_penalty is", param=name)

    def settings(self) -> dict[str, Any]:
        """Return the settings that the request names."""
        given = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        stop = self.stop
        given["stop"] = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
        limit = self.limit
        return given | {"max_tokens": None if limit in (None, -1) else limit}

    @property
    def limit(self) -> int | None:
        """Output tokens at most."""
        return self.max_tokens

    @property
    def top_logprobs_asked(self) -> int | None:
        """Alternatives of each token; None: no probabilities."""
        return None


class Part(Shape):
    """A part of a message's content."""

    type: str
    text: str | None = None


class Function(Shape):
    """A function that was called."""

    name: str
    arguments: str


class Called(Shape):
    """A tool call in an earlier answer."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: Function


class Message(Shape):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None

    def plain(self, i: int) -> dict[str, Any]:
        """Return the message as a chat template reads it.

        Raises
        ------
        ApiError
            400: the content is missing, or is not text.
        """
        content = self.content
        if isinstance(content, list):
            for part in content:
                if part.type != "text" or part.text is None:
                    problem = f"messages.{i}.content has a part of type {part.type!r}: only text is read"
                    raise ApiError(400, problem, param=f"messages.{i}.content")
            content = "".join(part.text or "" for part in content)
        if content is None and not self.tool_calls:
            raise ApiError(400, f"messages.{i} has no content", param=f"messages.{i}.content")
        role = "system" if self.role == "developer" else self.role
        message: dict[str, Any] = {"role": role, "content": content or ""}
        if self.tool_calls:
            message["tool_calls"] = [call.model_dump(exclude_none=True) for call in self.tool_calls]
        return message | {key: value for key in ("name", "tool_call_id") if (value := getattr(self, key)) is not None}


class ToolFunction(Shape):
    """A function that may be called; its parameters are a JSON schema."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Shape):
    """A tool that the model may call."""

    type: Literal["function"]
    function: ToolFunction


class JsonSchema(Shape):
    """A JSON schema and its name."""

    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Shape):
    """What an answer has to look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def schema_text(self) -> str:
        """The schema as JSON text; empty: the answer is free.

        Raises
        ------
        ApiError
            400: it is missing, or too long.
        """
        if self.type == "text":
            return ""
        if self.type == "json_object":
            return '{"type": "object"}'
        if self.json_schema is None:
            message = "response_format.json_schema is missing"
            raise ApiError(400, message, param="response_format.json_schema")
        return _schema_text(self.json_schema.schema_, "response_format.json_schema")


def _schema_text(schema: dict[str, Any], param: str) -> str:
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_CHARACTERS:
        message = f"{param} has {len(text):,} characters, more than {MAX_SCHEMA_CHARACTERS:,}"
        raise ApiError(400, message, param=param)
    return text


def _call_schema(function: ToolFunction) -> dict[str, Any]:
    """Return the schema of a call, as `specviz.server.tools` reads it without a mark around it."""
    properties = {"name": {"const": function.name}, "arguments": function.parameters or {"type": "object"}}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"]}


class ChatRequest(Asked):
    """A chat that is to be answered."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=-1, description="The same as max_tokens, and goes before it.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None

    def check(self) -> None:
        """Refuse what is understood but not offered."""
        super().check()
        if self.top_logprobs is not None and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs")
        if self._must_call() and self.response_format is not None and self.response_format.type != "text":
            message = "response_format and a tool_choice that asks for a call exclude each other"
            raise ApiError(400, message, param="response_format")

    def settings(self) -> dict[str, Any]:
        """Return the settings that the request names."""
        must_call = self._must_call()
        if must_call:
            calls = [_call_schema(tool.function) for tool in must_call]
            schema = _schema_text(calls[0] if len(calls) == 1 else {"anyOf": calls}, "tools")
        else:
            schema = "" if self.response_format is None else self.response_format.schema_text
        return super().settings() | ({"json_schema": schema} if schema else {})

    def _must_call(self) -> list[Tool]:
        """Return the tools of which one must be called; none: the model is free."""
        choice, tools = self.tool_choice, self.tools or []
        if choice in (None, "auto", "none"):
            return []
        function = choice.get("function") if isinstance(choice, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        found = tools if choice == "required" else [tool for tool in tools if tool.function.name == name]
        if not found:
            message = 'tool_choice must be "auto", "none", "required" or name one of the tools that are given'
            raise ApiError(400, message, param="tool_choice")
        return found

    @property
    def limit(self) -> int | None:
        """Output tokens at most."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def top_logprobs_asked(self) -> int | None:
        """Alternatives of each token; None: no probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None

    def plain_messages(self) -> list[dict[str, Any]]:
        """Return the messages as chat templates read them."""
        return [message.plain(i) for i, message in enumerate(self.messages)]

    def plain_tools(self) -> tuple[dict[str, Any], ...]:
        """Return the tools as chat templates read them; none where they are not to be called."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool.model_dump(exclude_unset=True) for tool in self.tools or ())


class CompletionRequest(Asked):
    """A text that is to be continued."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    def check(self) -> None:
        """Refuse what is understood but not offered."""
        super().check()
        for name, offered in (("echo", (None, False)), ("best_of", (None, 1)), ("suffix", (None, ""))):
            if getattr(self, name) not in offered:
                raise ApiError(400, f"{name} is not supported", param=name)

    @property
    def top_logprobs_asked(self) -> int | None:
        """Alternatives of each token; None: no probabilities."""
        return self.logprobs

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class OpenAI:
    """How an answer is written for OpenAI's clients, whole and in chunks."""

    def __init__(self, ask: Ask, *, chat: bool) -> None:
        self.ask, self.chat = ask, chat

    def frame(self, *, chunk: bool) -> dict[str, Any]:
        """Return what every object begins with."""
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self.chat else "text_completion"
        return {
            "id": self.ask.id,
            "object": kind,
            "created": int(self.ask.created),
            "model": self.ask.choice.main.id,
        }

    def whole(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return the answer as one object."""
        said = answer.whole
        choice: dict[str, Any] = {"index": 0}
        if self.chat:
            message: dict[str, Any] = {"role": "assistant", "content": said.text}
            if said.calls:
                message |= {"content": said.text.strip() or None, "tool_calls": [call.shape for call in said.calls]}
            choice["message"] = message
        else:
            choice["text"] = said.text
        choice |= {"logprobs": self._logprobs(answer, said), "finish_reason": answer.finish_reason(job)}
        return self.frame(chunk=False) | {"choices": [choice], "usage": usage(job)} | self.more(answer, job)

    def first(self) -> dict[str, Any] | None:
        """Return the chunk that opens a stream."""
        if not self.chat:
            return None
        return self._chunk({"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None})

    def part(self, answer: Answer, delta: Delta) -> dict[str, Any]:
        """Return a chunk with what has come."""
        logprobs = self._logprobs(answer, delta)
        if not self.chat:
            return self._chunk({"text": delta.text, "logprobs": logprobs, "finish_reason": None})
        said: dict[str, Any] = {"content": delta.text} if delta.text or not delta.calls else {}
        if delta.calls:
            before = len(answer.whole.calls) - len(delta.calls)
            said["tool_calls"] = [{"index": before + i} | call.shape for i, call in enumerate(delta.calls)]
        return self._chunk({"delta": said, "logprobs": logprobs, "finish_reason": None})

    def last(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return the chunk that closes the answer."""
        said: dict[str, Any] = {"delta": {}} if self.chat else {"text": ""}
        chunk = self._chunk(said | {"logprobs": None, "finish_reason": answer.finish_reason(job)})
        return chunk | self.more(answer, job)

    def usage(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return the chunk with the usage, where the client asked for one."""
        return self.frame(chunk=True) | {"choices": [], "usage": usage(job)} | self.more(answer, job)

    def more(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return what stands beside the answer: LM Studio's `stats` and our own summary."""
        return {"stats": stats(answer, job), "specviz": summary(job)}

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return self.frame(chunk=True) | {"choices": [{"index": 0} | choice]}

    def _logprobs(self, answer: Answer, delta: Delta) -> dict[str, Any] | None:
        if answer.top is None:
            return None
        return chat_logprobs(delta.tokens) if self.chat else text_logprobs(delta.tokens)


def chat_logprobs(tokens: list[TokenProbability]) -> dict[str, Any]:
    """Return probabilities as chat completions carry them."""
    content = [
        _alternative(token.text, token.logprob) | {"top_logprobs": [_alternative(*one) for one in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _alternative(text: bytes, logprob: float) -> dict[str, Any]:
    return {"token": text.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(text)}


def text_logprobs(tokens: list[TokenProbability]) -> dict[str, Any]:
    """Return probabilities as text completions carry them."""
    return {
        "tokens": [token.text.decode("utf-8", "replace") for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{text.decode("utf-8", "replace"): p for text, p in token.top} for token in tokens],
        "text_offset": [token.start for token in tokens],
    }


def usage(job: Job) -> dict[str, Any]:
    """Return the numbers of tokens."""
    trace = job.trace
    assert trace is not None and trace.summary is not None
    prompt, output = len(trace.header.prompt_ids), len(trace)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": trace.summary.prompt_reused},
    }


DRAFT_KEYS = (
    "draft_model",
    "total_draft_tokens_count",
    "accepted_draft_tokens_count",
    "rejected_draft_tokens_count",
    "ignored_draft_tokens_count",
)


def stats(answer: Answer, job: Job) -> dict[str, Any]:
    """Return LM Studio's statistics; those of drafting only where there was a draft."""
    assert job.trace is not None
    found: Stats = job.trace.stats
    told: dict[str, Any] = {
        "tokens_per_second": found.tokens_per_second,
        "time_to_first_token": found.time_to_first_token,
        "generation_time": found.generation_time,
        "stop_reason": answer.stop_reason(job),
    }
    if job.trace.header.drafter != "none":
        told |= {key: getattr(found, key) for key in DRAFT_KEYS} | {"draft_model": job.ask.choice.draft_id}
    return told


def summary(job: Job) -> dict[str, Any]:
    """Return what specviz knows beyond that: how each round went, and the rates under their usual names."""
    trace = job.trace
    assert trace is not None and trace.summary is not None
    found = trace.stats.to_dict()
    settings = trace.header.settings
    names = (
        "rounds",
        "drafting_rounds",
        "draft_acceptance_rate",
        "mean_acceptance_length",
        "alpha",
        "tokens_per_round",
        "refused",
        "discarded",
        "unsent",
        "past_end",
        "draft_seconds",
        "verify_seconds",
        "other_seconds",
        "per_position",
    )
    notes = [*trace.summary.notes]
    if job.timed_out:
        notes.append("the answer was cut off: the time that a request may take was over")
    return {
        "drafter": trace.header.drafter,
        "rule": trace.header.rule,
        "num_draft_tokens": settings.num_draft_tokens,
        "p_min": settings.p_min,
        "n_min": settings.n_min,
        "seed": settings.seed,
        "prompt_seconds": trace.summary.prompt_seconds,
        "calibration_seconds": trace.summary.calibration_seconds,
        **{name: found[name] for name in names},
        "drafted_per_round": [len(round.drafted) for round in trace.rounds],
        "accepted_per_round": [round.accepted for round in trace.rounds],
        "notes": notes,
    }

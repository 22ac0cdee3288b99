"""llama.cpp's server (`llama-server`): every round of a generation, from the counts that come with each token.

With `timings_per_token` each token carries the tokens drafted and accepted so far. Where they rise, a round begins, and
it has as many accepted tokens as they rose by, and one more. What was refused is not told.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from specviz.engines.errors import EngineError
from specviz.engines.messages import Generate
from specviz.engines.remote.capabilities import LLAMA_SERVER_TELLS, Capabilities
from specviz.engines.remote.http import Server
from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, StopReason, Summary
from specviz.trace.events import UNTOLD, Event

STOP_REASONS = {
    "eos": StopReason.EOS_FOUND,
    "word": StopReason.STOP_STRING_FOUND,
    "limit": StopReason.MAX_TOKENS,
}
SYNTHETIC = 1 << 30
"""Ids from here on stand for a text that a token had in one place only: part of a character, say."""
PROBE = "Count to twenty: 1, 2, 3, 4,"
PROBE_TOKENS = 12


class LlamaServer:
    """A `llama-server` that is running."""

    def __init__(self, server: Server, props: dict[str, Any]) -> None:
        self._server, self._props = server, props
        self.capabilities: Capabilities = LLAMA_SERVER_TELLS
        self.drafts = self._drafts()
        """Whether it drafts: seen in a few tokens."""

    @property
    def engine(self) -> str:
        """Name and version."""
        return f"llama-server ({self._props.get('build_info', 'unknown build')})"

    @property
    def main(self) -> ModelInfo:
        """Its main model."""
        path = str(self._props.get("model_path") or self._props.get("model_alias") or "model")
        settings = self._props.get("default_generation_settings") or {}
        name = PurePath(path.replace("\\", "/")).name.removesuffix(".gguf")
        return ModelInfo(name=name, n_ctx=int(settings.get("n_ctx") or 0))

    @property
    def draft(self) -> ModelInfo | None:
        """Its draft model, of which it does not tell the name."""
        return ModelInfo(name="the server's draft") if self.drafts else None

    def tokenize(self, text: str, *, chat: bool = False) -> list[int]:
        """Return token ids."""
        body = {"content": text, "add_special": True, "parse_special": chat}
        return list(map(int, self._server.post("/tokenize", body)["tokens"]))

    def generate(self, request: Generate, stopped: threading.Event) -> Iterator[Event]:
        """Yield the events of one generation."""
        prompt, ids = self._prompt(request)
        settings = request.settings
        yield Header(
            engine=self.engine,
            main=self.main,
            draft=self.draft,
            drafter="model" if self.drafts else "none",
            settings=settings,
            prompt=request.prompt,
            prompt_ids=tuple(ids),
            continued=request.continued,
        )
        yield Pieces(text={UNTOLD: "▯"})
        rounds = _Rounds()
        timings: dict[str, Any] = {}
        reason = StopReason.USER_STOPPED
        for event in self._server.stream("/completion", _body(prompt, settings), stopped):
            timings = event.get("timings") or timings
            for token in event.get("tokens") or ():
                yield from rounds.add(int(token), str(event.get("content") or ""), timings)
            if event.get("stop"):
                reason = STOP_REASONS.get(str(event.get("stop_type")), StopReason.FAILED)
        yield from rounds.end()
        prompt_seconds = float(timings.get("prompt_ms") or 0) / 1000
        yield Summary(
            stop_reason=reason,
            prompt_reused=int(timings.get("cache_n") or 0),
            prompt_seconds=prompt_seconds,
            time_to_first_token=prompt_seconds if rounds.n_output else None,
            notes=(self.capabilities.note,),
        )

    def _prompt(self, request: Generate) -> tuple[str | list[int], list[int]]:
        """Return the prompt as it is sent, and its token ids."""
        if request.token_ids is not None:
            return list(request.token_ids), list(request.token_ids)
        if request.messages is not None:
            body = {"messages": list(request.messages)} | ({"tools": list(request.tools)} if request.tools else {})
            text = str(self._server.post("/apply-template", body)["prompt"])
            return text, self.tokenize(text, chat=True)
        text = request.text or ""
        ids = self.tokenize(text)
        return ids, ids

    def _drafts(self) -> bool:
        body = _body(PROBE, Settings(max_tokens=PROBE_TOKENS, ignore_eos=True)) | {"stream": False}
        timings = self._server.post("/completion", body).get("timings") or {}
        return bool(timings.get("draft_n"))


def _body(prompt: str | list[int], settings: Settings) -> dict[str, Any]:
    """Return a request for `/completion`; the samplers in the order in which they are specified here."""
    if settings.rule != "match":
        raise EngineError(f"llama-server has no rule {settings.rule!r}: it accepts by match")
    body: dict[str, Any] = {
        "prompt": prompt,
        "stream": True,
        "n_predict": -1 if settings.max_tokens is None else settings.max_tokens,
        "temperature": settings.temperature,
        "samplers": ["penalties", "top_k", "top_p", "min_p", "temperature"],
        "top_k": settings.top_k,
        "top_p": settings.top_p,
        "min_p": settings.min_p,
        "repeat_penalty": settings.repeat_penalty,
        "repeat_last_n": settings.repeat_last_n,
        "ignore_eos": settings.ignore_eos,
        "stop": list(settings.stop),
        "cache_prompt": True,
        "return_tokens": True,
        "timings_per_token": True,
    }
    if settings.seed is not None:
        body["seed"] = settings.seed
    if settings.json_schema:
        body["json_schema"] = json.loads(settings.json_schema)
    return body


class _Rounds:
    """Tokens, put together into rounds."""

    def __init__(self) -> None:
        self.n_output = 0
        self._index = 0
        self._drafted = self._accepted = 0
        """By the server's counts."""
        self._seconds = 0.0
        self._ids: list[int] = []
        """Of the round that is coming in."""
        self._round = (0, 0)
        """Its drafted and accepted tokens."""
        self._texts: dict[int, str] = {}
        self._n_synthetic = 0

    def add(self, token: int, text: str, timings: dict[str, Any]) -> Iterator[Event]:
        """Take a token; yield what is known then."""
        if not self._ids:
            drafted, accepted = int(timings.get("draft_n") or 0), int(timings.get("draft_n_accepted") or 0)
            self._round = max(0, drafted - self._drafted), max(0, accepted - self._accepted)
            self._drafted, self._accepted = drafted, accepted
        id = self._named(token, text)
        if id not in self._texts:
            self._texts[id] = text
            yield Pieces(text={id: text})
        self._ids.append(id)
        seconds = float(timings.get("predicted_ms") or 0) / 1000
        if len(self._ids) > self._round[1]:
            yield self._made(closing=True, seconds=seconds)

    def end(self) -> Iterator[Event]:
        """Yield the round that a stop cut off, if there is one."""
        if self._ids:
            yield self._made(closing=False, seconds=self._seconds)

    def _named(self, token: int, text: str) -> int:
        """Return the token's id, or another where the server gave it another text before."""
        if self._texts.get(token, text) == text:
            return token
        for id, known in self._texts.items():
            if id >= SYNTHETIC and known == text:
                return id
        self._n_synthetic += 1
        return SYNTHETIC + self._n_synthetic

    def _made(self, *, closing: bool, seconds: float) -> Round:
        drafted, accepted = self._round
        ids, self._ids = self._ids, []
        kept = len(ids) - closing
        untold = drafted - kept
        took = max(0.0, seconds - self._seconds)
        made = Round(
            index=self._index,
            start=self.n_output,
            drafted=(*ids[:kept], *[UNTOLD] * untold),
            sent=drafted,
            accepted=kept,
            past_end=accepted - kept,
            closing=ids[-1] if closing else None,
            time=self._seconds,
            other_seconds=took,
        )
        self._index += 1
        self.n_output += len(ids)
        self._seconds = max(self._seconds, seconds)
        return made

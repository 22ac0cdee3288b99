"""LM Studio, `specviz serve` and vLLM: the text as it comes, and totals at the end."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from specviz.engines.errors import EngineError
from specviz.engines.messages import Generate
from specviz.engines.remote.capabilities import LM_STUDIO_TELLS, SPECVIZ_TELLS, VLLM_TELLS, Capabilities
from specviz.engines.remote.http import Server
from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, StopReason, Summary
from specviz.trace.events import Event, Reported

FINISHED = {"stop": StopReason.EOS_FOUND, "length": StopReason.MAX_TOKENS, "tool_calls": StopReason.TOOL_CALLS}
COUNTER = re.compile(
    r"^vllm:spec_decode_num_(drafts|draft_tokens|accepted_tokens)(?:_total)?(?:\{[^}]*\})? ([0-9.e+]+)$", re.M
)


class _Streaming:
    """What these servers share: OpenAI's stream of chunks, each taken as one token that nobody knows the origin of."""

    capabilities: Capabilities
    engine: str
    prefix: str
    """Of the paths."""

    def __init__(self, server: Server, model: str | None, draft: str | None) -> None:
        self._server, self._model, self._draft = server, model, draft

    @property
    def main(self) -> ModelInfo:
        """The model that is asked."""
        return ModelInfo(name=self._model or "the server's default model")

    @property
    def draft(self) -> ModelInfo | None:
        """The draft that is asked for; None: whatever the server takes."""
        return ModelInfo(name=self._draft) if self._draft else None

    def tokenize(self, text: str) -> list[int]:
        """These servers do not say."""
        raise EngineError(f"{self.engine} does not tell token ids")

    def generate(self, request: Generate, stopped: threading.Event) -> Iterator[Event]:
        """Yield the events of one generation."""
        header: Header | None = Header(
            engine=self.engine,
            main=self.main,
            draft=self.draft,
            drafter="remote",
            settings=request.settings,
            prompt=request.prompt,
        )
        path, body = self._asked(request)
        before = self._counted()
        started = perf_counter()
        first = last = 0.0
        n, n_output, reason = 0, 0, StopReason.USER_STOPPED
        stats: dict[str, Any] = {}
        for chunk in self._server.stream(path, body, stopped):
            now = perf_counter() - started
            if header is not None:
                yield replace(header, main=ModelInfo(name=str(chunk.get("model") or self.main.name)))
                header = None
            choice = (chunk.get("choices") or [{}])[0]
            text = (choice.get("delta") or {}).get("content") or choice.get("text") or ""
            stats = chunk.get("stats") or stats
            n_output = (chunk.get("usage") or {}).get("completion_tokens") or n_output
            if text:
                first = first or now
                yield Pieces(text={n: text})
                yield Round(index=n, start=n, closing=n, time=last, other_seconds=now - (last or first))
                n, last = n + 1, now
            if choice.get("finish_reason"):
                reason = FINISHED.get(choice["finish_reason"], StopReason.FAILED)
        if header is not None:
            yield header
        if "stop_reason" in stats and stats["stop_reason"] in set(StopReason):
            reason = StopReason(stats["stop_reason"])
        yield Summary(
            stop_reason=reason,
            prompt_seconds=first,
            time_to_first_token=first if n else None,
            reported=self._reported(stats, before, int(n_output)),
            notes=(self.capabilities.note,),
        )

    def _asked(self, request: Generate) -> tuple[str, dict[str, Any]]:
        if request.token_ids is not None:
            raise EngineError(f"{self.engine} cannot continue an answer: it takes texts only")
        body: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        if self._model is not None:
            body["model"] = self._model
        body |= self._settings(request.settings)
        if request.messages is not None:
            more = {"tools": list(request.tools)} if request.tools else {}
            return f"{self.prefix}/chat/completions", body | {"messages": list(request.messages)} | more
        return f"{self.prefix}/completions", body | {"prompt": request.text or ""}

    def _settings(self, settings: Settings) -> dict[str, Any]:
        asked: dict[str, Any] = {"temperature": settings.temperature, "top_p": settings.top_p}
        if settings.max_tokens is not None:
            asked["max_tokens"] = settings.max_tokens
        if settings.seed is not None:
            asked["seed"] = settings.seed
        if settings.stop:
            asked["stop"] = list(settings.stop)
        for name, off in (("top_k", 0), ("min_p", 0.0), ("repeat_penalty", 1.0)):
            if getattr(settings, name) != off:
                asked[name] = getattr(settings, name)
        return asked

    def _counted(self) -> dict[str, int]:
        """Return the server's counters before a generation, where they are needed."""
        return {}

    def _reported(self, stats: dict[str, Any], before: dict[str, int], n_output: int) -> Reported | None:
        """Return the totals of a generation."""
        raise NotImplementedError


class LMStudio(_Streaming):
    """LM Studio's REST API, version 0, which `specviz serve` speaks, too."""

    prefix = "/api/v0"

    def __init__(self, server: Server, model: str | None, draft: str | None, *, ours: bool) -> None:
        super().__init__(server, model, draft)
        self.capabilities = SPECVIZ_TELLS if ours else LM_STUDIO_TELLS
        self.engine = "specviz serve" if ours else "LM Studio"
        self._ours = ours

    def _settings(self, settings: Settings) -> dict[str, Any]:
        asked = super()._settings(settings)
        if settings.max_tokens is None:
            asked["max_tokens"] = -1
        if self._draft is not None:
            asked["draft_model"] = self._draft
        if self._ours:
            asked |= {
                name: getattr(settings, name) for name in ("num_draft_tokens", "p_min", "n_min", "rule", "ignore_eos")
            }
        return asked

    def _reported(self, stats: dict[str, Any], before: dict[str, int], n_output: int) -> Reported | None:
        try:
            counts = {name: int(stats[f"{name}_draft_tokens_count"]) for name in ("accepted", "rejected", "ignored")}
        except (KeyError, TypeError, ValueError):
            return None
        speed = stats.get("tokens_per_second")
        return Reported(
            **counts,
            tokens_per_second=speed if isinstance(speed, float) else None,
            draft_model=str(stats.get("draft_model") or ""),
            output_tokens=n_output,
        )


class VLLM(_Streaming):
    """vLLM's OpenAI server; its counters are those of all requests."""

    prefix = "/v1"
    capabilities = VLLM_TELLS

    def __init__(self, server: Server, model: str, version: str) -> None:
        super().__init__(server, model, None)
        self.engine = f"vLLM ({version})"

    def _counted(self) -> dict[str, int]:
        text = self._server.get("/metrics").text
        counts: dict[str, int] = {}
        for name, value in COUNTER.findall(text):
            counts[name] = counts.get(name, 0) + int(float(value))
        return counts

    def _reported(self, stats: dict[str, Any], before: dict[str, int], n_output: int) -> Reported | None:
        after = self._counted()
        if not after:
            return None
        drafted, accepted = (after.get(name, 0) - before.get(name, 0) for name in ("draft_tokens", "accepted_tokens"))
        return Reported(
            accepted=max(0, accepted), rejected=max(0, drafted - accepted), ignored=0, output_tokens=n_output
        )

"""An answer as it comes: text, token probabilities and tool calls, from the events of a generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from specviz.server.jobs import Ask, Job
from specviz.server.tools import WRITTEN, ToolCall, ToolCallParser, held_back
from specviz.trace import Event, Round, StopReason, Summary, TokenDecoder, Trace
from specviz.trace.events import Candidates

LEAST_LOGPROB = -9999.0
"""For probability 0, as OpenAI writes it."""
FINISHED = {
    StopReason.EOS_FOUND: "stop",
    StopReason.STOP_STRING_FOUND: "stop",
    StopReason.TOOL_CALLS: "tool_calls",
}
"""Anything else is `length`: the answer was cut off."""


@dataclass(frozen=True, slots=True)
class TokenProbability:
    """An output token with its probability under the main model, and the most probable ones at its place."""

    start: int
    """Where its text begins in the answer, in characters."""
    text: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...]


@dataclass(slots=True)
class Delta:
    """What has come."""

    text: str = ""
    tokens: list[TokenProbability] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.text or self.tokens or self.calls)


class Answer:
    """Turns the events of a job into what a client sees.

    Parameters
    ----------
    ask
        What was asked for.
    top_logprobs
        How many alternatives of each token are told; None: no probabilities at all.
    """

    def __init__(self, ask: Ask, top_logprobs: int | None) -> None:
        self.whole = Delta()
        """Everything so far."""
        self._parallel = ask.parallel_tool_calls
        self._stops = ask.settings.get("stop") or ()
        self.top = top_logprobs
        self._decoder = TokenDecoder()
        self._text = ""
        """Decoded, stop strings included."""
        self._shown = 0
        """Characters of it that are past being cut off."""
        self._waiting: list[TokenProbability] = []
        self._parser = ToolCallParser([tool["function"]["name"] for tool in ask.tools]) if ask.tools else None

    def feed(self, event: Event, trace: Trace) -> Delta:
        """Take an event; return what is new."""
        delta = Delta()
        if isinstance(event, Round):
            self._read(event, trace)
            found = self._text.find
            complete = [at for stop in self._stops if (at := found(stop, self._shown)) >= 0]
            self._show(min(complete, default=len(self._text) - held_back(self._text, self._stops)), delta)
        elif isinstance(event, Summary):
            self._text += self._decoder.flush()
            end = len(self._text)
            if event.stop_reason == StopReason.STOP_STRING_FOUND:
                end = min((at for stop in self._stops if (at := self._text.find(stop)) >= 0), default=end)
            self._show(end, delta)
            if self._parser is not None:
                said, calls = self._parser.end()
                self._add(delta, said, calls)
        self.whole.text += delta.text
        self.whole.tokens += delta.tokens
        self.whole.calls += delta.calls
        return delta

    def _read(self, round: Round, trace: Trace) -> None:
        for i, id in enumerate(round.emitted):
            piece = trace.piece(id)
            control = id in trace.control
            if control and not (self._parser is not None and piece.decode("utf-8", "replace") in WRITTEN):
                continue
            start = len(self._text)
            self._text += self._decoder.feed(piece)
            if self.top is not None and not control:
                p = round.p[i] if i < round.accepted else round.closing_p
                self._waiting.append(
                    TokenProbability(start, piece, logprob(p or 0.0), self._alternatives(round.main_top[i], trace))
                )

    def _alternatives(self, candidates: Candidates, trace: Trace) -> tuple[tuple[bytes, float], ...]:
        return tuple((trace.piece(id), logprob(p)) for id, p in candidates[: self.top])

    def _show(self, end: int, delta: Delta) -> None:
        text = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        while self._waiting and self._waiting[0].start < end:
            delta.tokens.append(self._waiting.pop(0))
        if self._parser is None:
            delta.text += text
        else:
            self._add(delta, *self._parser.feed(text))

    def _add(self, delta: Delta, said: str, calls: list[ToolCall]) -> None:
        delta.text += said
        room = len(calls) if self._parallel else 1 - len(self.whole.calls) - len(delta.calls)
        delta.calls += calls[: max(0, room)]

    def stop_reason(self, job: Job) -> str:
        """Why it ended, in LM Studio's words."""
        if self.whole.calls:
            return StopReason.TOOL_CALLS
        assert job.trace is not None and job.trace.summary is not None
        return job.trace.summary.stop_reason

    def finish_reason(self, job: Job) -> str:
        """Why it ended, in OpenAI's words."""
        return FINISHED.get(StopReason(self.stop_reason(job)), "length")


def logprob(p: float) -> float:
    """Return the natural logarithm of a probability."""
    return log(p) if p > 0 else LEAST_LOGPROB

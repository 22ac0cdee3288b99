"""What the views show, computed from trace events: the columns of docs/protocol.md.

A `Projection` is fed events and hands out what has come since it was last asked. A snapshot is a projection of
everything; there is no second bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from specviz.trace import dialects
from specviz.trace.curves import COLUMNS, Curves
from specviz.trace.events import Baseline, Event, Fate, Header, Pieces, Provenance, Round, Summary
from specviz.trace.reasoning import TAGS, Reasoning, Stretch
from specviz.trace.stats import Stats, Tally, ratio
from specviz.trace.text import TokenDecoder
from specviz.trace.trace import Trace

KIND = {
    Provenance.ACCEPTED: "a",
    Provenance.CORRECTION: "c",
    Provenance.BONUS: "b",
    Provenance.PLAIN: "p",
}
FATE = {Fate.REFUSED: "r", Fate.DISCARDED: "d", Fate.UNSENT: "u", Fate.PAST_END: "e"}
DIGITS = 6
"""Digits of probabilities, curves and times on their way to the page."""
SLOWER = 0.95
"""Speedup below which an answer is called slower; nearer to 1 a baseline of some tokens cannot tell."""
ROUND_COLUMNS = ("draft", "verify", "other", "drafted", "sent", "accepted", "agreed", "tokens")
"""Of each round: three times (s), then counts; `agreed` is accepted + past the end, `tokens` those of the output."""


class Projection:
    """Turns the events of one or several consecutive traces (an answer and its continuations) into columns.

    Parameters
    ----------
    reasoning_tags
        What a reasoning block begins and ends with; two empty strings: none is looked for.
    """

    def __init__(self, reasoning_tags: Sequence[str] = TAGS) -> None:
        self.header: Header | None = None
        self.summary: Summary | None = None
        self.tally = Tally()
        self.baseline: Baseline | None = None
        self._curves = Curves()
        self._pieces: dict[int, bytes] = {}
        self._control: set[int] = set()
        self._decoder = TokenDecoder()
        self.reasoning_tags = reasoning_tags
        self._reasoning = Reasoning(reasoning_tags)
        self._worded = False
        self._n_output = 0
        self._baseline_at = 0
        self._clock = 0.0
        self._clear()

    def _clear(self) -> None:
        self._tokens: dict[str, Any] = {"text": [], "kind": [], "round": [], "p": [], "q": []}
        self._dropped: dict[str, Any] = {"at": [], "text": [], "fate": [], "round": [], "q": [], "p": []}
        self._rows: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._rounds: dict[str, list[Any]] = {name: [] for name in ROUND_COLUMNS}

    def add(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Header():
                self.header, self.summary = event, None
                self._decoder = TokenDecoder()
            case Pieces():
                self._pieces.update(event.raw)
                self._pieces.update((id, text.encode()) for id, text in event.text.items())
                self._control.update(event.control)
            case Baseline():
                self.baseline, self._baseline_at = event, self._n_output
                self._curves.add_baseline(event)
                self.tally.add_baseline(event)
                self._clock = event.time + event.seconds
            case Round():
                self._add_round(event)
            case Summary():
                self.summary = event

    def _add_round(self, round: Round) -> None:
        index = self.tally.rounds
        self.tally.add(round)
        self._clock = round.time + round.seconds
        row = self._curves.add(round)
        for name, value in zip(COLUMNS, row, strict=True):
            self._rows[name].append(rounded(value))
        for name, value in zip(ROUND_COLUMNS, round_row(round), strict=True):
            self._rounds[name].append(value)
        dropped_at = self._n_output + round.accepted
        texts = self._dropped_texts(round.drafted[round.accepted :])
        for i, fate in enumerate(round.fates):
            if fate is Fate.ACCEPTED:
                continue
            column = self._dropped
            column["at"].append(dropped_at)
            column["text"].append(texts[i - round.accepted])
            column["fate"].append(FATE[fate])
            column["round"].append(index)
            column["q"].append(rounded(round.q[i]) if round.q else None)
            column["p"].append(rounded(round.p[i]) if i < len(round.p) else None)
        column = self._tokens
        for i, (id, provenance) in enumerate(zip(round.emitted, round.provenance, strict=True)):
            accepted = provenance is Provenance.ACCEPTED
            control = id in self._control
            column["text"].append(
                self._piece(id).decode("utf-8", "replace") if control else self._decoder.feed(self._piece(id))
            )
            column["kind"].append(KIND[provenance].upper() if control else KIND[provenance])
            column["round"].append(index)
            column["p"].append(rounded(round.p[i] if round.p else None) if accepted else rounded(round.closing_p))
            column["q"].append(rounded(round.q[i]) if accepted and round.q else None)
        self._n_output += len(round.emitted)
        self._reasoning.add(round, column["text"][len(column["text"]) - len(round.emitted) :])

    def _dropped_texts(self, ids: Sequence[int]) -> list[str]:
        """Texts of dropped tokens, which follow each other as the draft meant them."""
        decoder = TokenDecoder()
        texts = [decoder.feed(self._piece(id)) for id in ids]
        if texts:
            texts[-1] += decoder.flush()
        return texts

    def _piece(self, id: int) -> bytes:
        return self._pieces.get(id, b"<%d>" % id)

    @property
    def pending(self) -> bool:
        """Whether there is content that was not taken yet."""
        return bool(self._rows["x"])

    @property
    def stats(self) -> Stats:
        """Statistics over everything that was added."""
        header, summary = self.header, self.summary
        return Stats.of(
            self.tally,
            draft_model=header.draft.name if header is not None and header.draft is not None else None,
            stop_reason=None if summary is None else str(summary.stop_reason),
            time_to_first_token=None if summary is None else summary.time_to_first_token,
            reported=None if summary is None else summary.reported,
        )

    def take(self) -> dict[str, Any]:
        """Return the content since the last call; empty columns are left out."""
        stats = self.stats
        content: dict[str, Any] = {
            "stats": stats_rows(stats),
            "metrics": dialects.values(stats),
            "baseline": self._baseline_content(stats),
        }
        if not self._worded:
            content["metric_words"], self._worded = dialects.words(), True
        if self._tokens["text"]:
            content["tokens"] = self._tokens | {"kind": "".join(self._tokens["kind"])}
        if self._dropped["text"]:
            content["dropped"] = self._dropped | {"fate": "".join(self._dropped["fate"])}
        if self._rows["x"]:
            content |= {"curves": self._rows, "rounds": self._rounds}
        if self.header is not None:
            content["run_info"] = run_info(self.header)
        if (stretches := self._reasoning.take()) is not None:
            content["reasoning"] = reasoning_columns(*stretches)
        self._clear()
        return content

    def _baseline_content(self, stats: Stats) -> dict[str, Any] | None:
        if self.baseline is None:
            return None
        age = self._clock - self.baseline.time - self.baseline.seconds
        return {
            "tokens_per_second": round(self.baseline.tokens_per_second, 2),
            "n_tokens": self.baseline.n_tokens,
            "age_tokens": self._n_output - self._baseline_at,
            "age_s": round(max(0.0, age), 2),
            "account": account(stats),
        }


def account(stats: Stats) -> str:
    """Say where a speedup comes from: it is what a round brings, divided by what it takes in plain tokens' time."""
    if not stats.speedup or stats.tokens_per_round is None or not stats.drafting_rounds:
        return ""
    takes = stats.tokens_per_round / stats.speedup
    brings = f"a round brings {stats.tokens_per_round:.2f} tokens in the time of {takes:.2f} plain ones"
    if stats.speedup >= SLOWER:
        return brings.capitalize()
    parts = {"drafting": stats.draft_seconds, "verifying": stats.verify_seconds, "neither": stats.other_seconds}
    most = max(parts, key=parts.__getitem__)
    return f"Slower than without a draft: {brings}, {100 * parts[most] / stats.generation_time:.0f} % of it {most}"


def project(events: Iterable[Event], reasoning_tags: Sequence[str] = TAGS) -> Projection:
    """Return a projection of all events."""
    projection = Projection(reasoning_tags)
    for event in events:
        projection.add(event)
    return projection


def project_answer(traces: Iterable[Trace], reasoning_tags: Sequence[str] = TAGS) -> Projection:
    """Return a projection of an answer and its continuations."""
    return project((event for trace in traces for event in trace.events()), reasoning_tags)


def reasoning_columns(since: int, stretches: Sequence[Stretch]) -> dict[str, Any]:
    """Return the stretches from number `since` on, as columns."""
    return {
        "from": since,
        "start": [one.start for one in stretches],
        "kind": "".join(("r" if one.ended else "o") if one.thinking else "a" for one in stretches),
        "caption": [str(one) for one in stretches],
    }


def round_row(round: Round) -> tuple[float, ...]:
    """Return a round's times and counts, in the order of `ROUND_COLUMNS`."""
    times = (round.draft_seconds, round.verify_seconds, round.other_seconds)
    counts = (len(round.drafted), round.sent, round.accepted, round.accepted + round.past_end, len(round.emitted))
    return (*(rounded(seconds) or 0.0 for seconds in times), *counts)


def draft_name(header: Header, otherwise: str = "") -> str:
    """Return what drafted, in words; `otherwise` where nothing did."""
    if header.draft is not None:
        return header.draft.name
    return "n-gram lookup" if header.drafter == "ngram" else otherwise


def run_info(header: Header) -> dict[str, Any]:
    """What a view says about a run."""
    settings = header.settings
    return {
        "prompt": header.prompt,
        "main": header.main.name,
        "draft": draft_name(header),
        "drafter": header.drafter,
        "num_draft_tokens": settings.num_draft_tokens,
        "p_min": settings.p_min,
        "temperature": settings.temperature,
        "rule": header.rule,
        "max_tokens": settings.max_tokens,
    }


def stats_rows(stats: Stats) -> list[dict[str, str]]:
    """Return the statistics as a table: key, label, formatted value, and what the figure means."""
    sent = stats.total_draft_tokens_count - stats.unsent
    rows: list[tuple[str, str, str | None, str]] = [
        (
            "tokens_per_second",
            "Tokens/s",
            _number(stats.tokens_per_second, 1),
            "Output tokens divided by decoding time. Prompt processing and baseline stretches are left out.",
        ),
        (
            "speedup",
            "Speedup",
            _number(stats.speedup, 2, "×"),
            "Tokens/s divided by the speed of plain decoding, measured in this very run on the same prompt.",
        ),
        (
            "draft_acceptance_rate",
            "Acceptance rate",
            _percent(stats.draft_acceptance_rate),
            "Accepted tokens divided by all drafted tokens (LM Studio's and vLLM's draft acceptance rate).",
        ),
        (
            "mean_acceptance_length",
            "Acceptance length",
            _number(stats.mean_acceptance_length, 2),
            "1 + accepted tokens per drafting round: tokens that one verify pass yields (vLLM).",
        ),
        (
            "mean_draft_length",
            "Draft length",
            _number(ratio(sent, stats.rounds), 2) if stats.total_draft_tokens_count else None,
            "Drafted tokens sent to the main model per round: the average over all rounds, also those without a draft.",
        ),
        (
            "alpha",
            "Alpha",
            _number(stats.alpha, 3),
            "Chance that a compared token is accepted: accepted / (accepted + rounds that ended in a rejection).",
        ),
        (
            "output_tokens",
            "Output tokens",
            f"{stats.output_tokens:,}",
            "Tokens of the answer, its end token included.",
        ),
        ("rounds", "Rounds", f"{stats.rounds:,}", "Draft-then-verify steps."),
        (
            "total_draft_tokens_count",
            "Drafted",
            f"{stats.total_draft_tokens_count:,}",
            "All drafted tokens: accepted + rejected + ignored (LM Studio).",
        ),
        (
            "accepted_draft_tokens_count",
            "Accepted",
            f"{stats.accepted_draft_tokens_count:,}",
            "Drafted tokens that became part of the answer.",
        ),
        (
            "rejected_draft_tokens_count",
            "Rejected",
            f"{stats.rejected_draft_tokens_count:,}",
            f"Drafted tokens that were sent and dropped: {stats.refused:,} refused, and {stats.discarded:,} that stood "
            "after a refused one.",
        ),
        (
            "ignored_draft_tokens_count",
            "Ignored",
            f"{stats.ignored_draft_tokens_count:,}",
            f"Drafted tokens that were not used: {stats.unsent:,} never sent (cutoff, probe, stop), "
            f"{stats.past_end:,} past the end.",
        ),
        (
            "time_to_first_token",
            "Time to first token",
            _seconds(stats.time_to_first_token),
            "From the start of prompt processing to the first token.",
        ),
        (
            "generation_time",
            "Generation time",
            _seconds(stats.generation_time),
            "Decoding time of all rounds.",
        ),
        (
            "draft_seconds",
            "… drafting",
            _share(stats.draft_seconds, stats.generation_time),
            "Time the draft model took.",
        ),
        (
            "verify_seconds",
            "… verifying",
            _share(stats.verify_seconds, stats.generation_time),
            "Time the main model took.",
        ),
        (
            "other_seconds",
            "… other",
            _share(stats.other_seconds, stats.generation_time),
            "Sampling, recording, rewinding the caches.",
        ),
        (
            "stop_reason",
            "Stop reason",
            STOP_WORDS.get(stats.stop_reason or "", stats.stop_reason),
            "Why it ended.",
        ),
    ]
    return [
        {"key": key, "label": label, "value": value, "help": help}
        for key, label, value, help in rows
        if value is not None
    ]


STOP_WORDS = {
    "userStopped": "stopped by you",
    "eosFound": "end of text",
    "stopStringFound": "stop string",
    "maxPredictedTokensReached": "token limit",
    "contextLengthReached": "context full",
    "failed": "failed",
}


def rounded(value: float | None) -> float | None:
    """Shorten a figure for its way to the page."""
    return None if value is None else round(value, DIGITS)


def _number(value: float | None, digits: int, unit: str = "") -> str | None:
    return None if value is None else f"{value:.{digits}f}{unit}"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}".replace("%", " %")


def _seconds(value: float | None) -> str | None:
    if not value:
        return None
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.2f} s"


def _share(value: float, total: float) -> str | None:
    if not total:
        return None
    return f"{_seconds(value) or '0 ms'} ({value / total:.0%})".replace("%", " %")

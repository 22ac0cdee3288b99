"""The statistics of a generation, under the names that LM Studio, vLLM and the papers give them.

They disagree about words, so each rate says what it divides by what. Counts follow `specviz.trace.Fate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, structs

from specviz.trace.events import Baseline, Provenance, Reported, Round


@dataclass(slots=True)
class Tally:
    """Running counts over rounds; `add` is all there is to keep a trace's statistics current."""

    rounds: int = 0
    drafting_rounds: int = 0
    """Rounds that sent at least one drafted token."""
    rejecting_rounds: int = 0
    """Rounds that ended in a rejection."""
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    refused: int = 0
    discarded: int = 0
    unsent: int = 0
    past_end: int = 0
    provenance: dict[Provenance, int] = field(default_factory=lambda: dict.fromkeys(Provenance, 0))
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0
    other_seconds: float = 0.0
    accepted_at: list[int] = field(default_factory=list)
    """How many rounds accepted their i-th drafted token (i from 0)."""
    refused_at: list[int] = field(default_factory=list)
    baseline_tokens: int = 0
    baseline_seconds: float = 0.0

    def add(self, round: Round) -> None:
        """Count one round."""
        k, taken = len(round.drafted), round.accepted + round.past_end
        refused = int(round.refused)
        self.rounds += 1
        self.drafting_rounds += round.sent > 0
        self.rejecting_rounds += refused
        self.drafted += k
        self.accepted += round.accepted
        self.past_end += round.past_end
        self.refused += refused
        self.discarded += round.sent - taken - refused
        self.unsent += k - round.sent
        self.provenance[Provenance.ACCEPTED] += round.accepted
        self.tokens += round.accepted
        closing = round.closing_provenance
        if closing is not None:
            self.provenance[closing] += 1
            self.tokens += 1
        self.draft_seconds += round.draft_seconds
        self.verify_seconds += round.verify_seconds
        self.other_seconds += round.other_seconds
        longer = round.sent - len(self.accepted_at)
        if longer > 0:
            self.accepted_at += [0] * longer
            self.refused_at += [0] * longer
        for i in range(round.accepted):
            self.accepted_at[i] += 1
        if refused:
            self.refused_at[taken] += 1

    def add_baseline(self, baseline: Baseline) -> None:
        """Count one plain stretch."""
        self.baseline_tokens += baseline.n_tokens
        self.baseline_seconds += baseline.seconds

    @property
    def seconds(self) -> float:
        """Decoding time: all rounds, without prompt processing and baseline stretches."""
        return self.draft_seconds + self.verify_seconds + self.other_seconds


class PositionRate(Struct, frozen=True):
    """Acceptance at one position of the draft."""

    position: int
    """1 is the first drafted token."""
    accepted: int
    rounds: int
    """Drafting rounds: the denominator of `marginal`."""
    compared: int
    """Rounds in which the rule came to this position: the denominator of `conditional`."""

    @property
    def marginal(self) -> float | None:
        """Accepted / rounds: vLLM's per-position acceptance rate."""
        return ratio(self.accepted, self.rounds)

    @property
    def conditional(self) -> float | None:
        """Accepted / compared: acceptance given that all before it were accepted."""
        return ratio(self.accepted, self.compared)


def ratio(numerator: float, denominator: float) -> float | None:
    """Divide, or None where there is nothing to divide by."""
    return numerator / denominator if denominator else None


def acceptance_rate(accepted: int, drafted: int, sent: int) -> float | None:
    """Return accepted / drafted; None where nothing was sent: a draft that was never compared was not refused."""
    return ratio(accepted, drafted) if sent else None


class Stats(Struct, frozen=True, kw_only=True):
    """Statistics of a trace. The first nine fields are LM Studio's, name by name.

    Times in seconds, rates as fractions; None where nothing was measured.
    """

    tokens_per_second: float | None
    """Output tokens / generation_time."""
    time_to_first_token: float | None
    """From the start of prompt processing to the first output token, baseline stretches left out."""
    generation_time: float
    """Decoding time of all rounds; prompt processing and baseline stretches are apart."""
    stop_reason: str | None
    """Why it ended, in LM Studio's words (`StopReason`); None while it runs."""
    draft_model: str | None
    """Name of the draft model; None where there was none."""
    total_draft_tokens_count: int
    """Everything drafted: accepted + rejected + ignored."""
    accepted_draft_tokens_count: int
    """Drafted tokens that became part of the answer."""
    rejected_draft_tokens_count: int
    """Refused + discarded."""
    ignored_draft_tokens_count: int
    """Unsent + past the end."""

    output_tokens: int
    """Tokens of the answer, its end token included."""
    rounds: int
    """Draft-then-verify steps, also those without a draft."""
    drafting_rounds: int
    """Rounds that sent at least one drafted token."""
    refused: int
    """The first tokens that the rule did not keep, at most one a round."""
    discarded: int
    """Sent, but stood after a refused one: never compared."""
    unsent: int
    """Drafted, and dropped before the verify pass: a cutoff, `n_min` or a stop."""
    past_end: int
    """The rule took them, a stop cut them off."""
    draft_acceptance_rate: float | None
    """accepted / drafted (LM Studio's and vLLM's rate); None where nothing drafted was sent."""
    mean_acceptance_length: float | None
    """1 + accepted / drafting rounds (vLLM; the bonus or correction counts as one)."""
    alpha: float | None
    """accepted / (accepted + rounds that ended in a rejection): the estimate of the papers' alpha (2211.17192)."""
    tokens_per_round: float | None
    """output_tokens / rounds."""
    draft_seconds: float
    """Time of the drafter, all rounds."""
    verify_seconds: float
    """Time of the main model's passes."""
    other_seconds: float
    """All the rest: sampling, recording, rewinding the caches."""
    baseline_tokens_per_second: float | None
    """Plain decoding, measured in this run (all stretches pooled)."""
    speedup: float | None
    """tokens_per_second / baseline_tokens_per_second."""
    per_position: tuple[PositionRate, ...]
    """Acceptance at each position of the draft, with its denominators."""

    @classmethod
    def of(
        cls,
        tally: Tally,
        *,
        draft_model: str | None = None,
        stop_reason: str | None = None,
        time_to_first_token: float | None = None,
        reported: Reported | None = None,
    ) -> Stats:
        """Turn counts into statistics; what a remote server reported goes before counts of rounds that it did not."""
        speed = ratio(tally.tokens, tally.seconds)
        if reported is not None and reported.tokens_per_second is not None:
            speed = reported.tokens_per_second
        drafted, accepted = tally.drafted, tally.accepted
        rejected, ignored = tally.refused + tally.discarded, tally.unsent + tally.past_end
        if reported is not None:
            accepted, rejected, ignored = reported.accepted, reported.rejected, reported.ignored
            drafted = accepted + rejected + ignored
        plain = ratio(tally.baseline_tokens, tally.baseline_seconds)
        acceptance_length = ratio(tally.accepted, tally.drafting_rounds)
        return cls(
            tokens_per_second=speed,
            time_to_first_token=time_to_first_token,
            generation_time=tally.seconds,
            stop_reason=stop_reason,
            draft_model=(reported.draft_model or None) if reported is not None else draft_model,
            total_draft_tokens_count=drafted,
            accepted_draft_tokens_count=accepted,
            rejected_draft_tokens_count=rejected,
            ignored_draft_tokens_count=ignored,
            output_tokens=(reported and reported.output_tokens) or tally.tokens,
            rounds=tally.rounds if reported is None else 0,
            drafting_rounds=tally.drafting_rounds,
            refused=tally.refused,
            discarded=tally.discarded,
            unsent=tally.unsent,
            past_end=tally.past_end,
            draft_acceptance_rate=acceptance_rate(accepted, drafted, drafted - tally.unsent),
            mean_acceptance_length=None if acceptance_length is None else 1 + acceptance_length,
            alpha=ratio(tally.accepted, tally.accepted + tally.rejecting_rounds),
            tokens_per_round=ratio(tally.tokens, tally.rounds) if reported is None else None,
            draft_seconds=tally.draft_seconds,
            verify_seconds=tally.verify_seconds,
            other_seconds=tally.other_seconds,
            baseline_tokens_per_second=plain,
            speedup=None if speed is None or plain is None else speed / plain,
            per_position=tuple(
                PositionRate(i + 1, accepted, tally.drafting_rounds, accepted + refused)
                for i, (accepted, refused) in enumerate(zip(tally.accepted_at, tally.refused_at, strict=True))
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data; per-position rates with their numerators and denominators."""
        data = structs.asdict(self)
        data["per_position"] = [
            structs.asdict(rate) | {"marginal": rate.marginal, "conditional": rate.conditional}
            for rate in self.per_position
        ]
        return data

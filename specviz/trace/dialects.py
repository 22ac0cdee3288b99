"""The statistics as others tell them: LM Studio, vLLM, llama.cpp and the papers, under their own names and formats.

What each of them counts is read from their documentation and sources: LM Studio's REST API v0; vLLM's
`v1/spec_decode/metrics.py`; llama.cpp's `common/speculative.cpp` and `tools/server`; Leviathan et al., 2211.17192.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from specviz.trace.stats import Stats, ratio


@dataclass(frozen=True)
class Measure:
    """One figure of a dialect."""

    key: str
    label: str
    """As the dialect writes it."""
    help: str
    """What it counts, or divides by what."""
    figure: Callable[[Stats], Any]
    """Its value; None where there is none."""
    form: Callable[[Any], str] = str
    tile: str = ""
    """Key of the statistic (`projection.stats_rows`) in whose place among the headline figures it stands."""

    def told(self, stats: Stats) -> str | None:
        """Return the value as the dialect writes it."""
        value = self.figure(stats)
        return None if value is None else self.form(value)


def metrics(stats: Stats, dialect: str) -> dict[str, Any]:
    """Return the figures of one dialect by key; those that were not measured are None.

    Raises
    ------
    KeyError
        If there is no such dialect; `DIALECTS` names them.
    """
    return {measure.key: measure.figure(stats) for measure in DIALECTS[dialect]}


def words() -> dict[str, list[dict[str, str]]]:
    """Return what is said of each figure: key, label, help, and the tile in whose place it stands."""
    return {
        name: [{"key": one.key, "label": one.label, "help": one.help, "tile": one.tile} for one in measures]
        for name, measures in DIALECTS.items()
    }


def values(stats: Stats) -> dict[str, list[str | None]]:
    """Return the figures as they are written, in the order of `words`."""
    return {name: [measure.told(stats) for measure in measures] for name, measures in DIALECTS.items()}


def expected_tokens(alpha: float, gamma: float) -> float:
    """Return the tokens of a round in the papers' model: (1 - alpha^(gamma+1)) / (1 - alpha), equation 1 of 2211.17192.

    Parameters
    ----------
    alpha
        Chance that a drafted token is accepted, independent of the others.
    gamma
        Draft length.
    """
    return gamma + 1 if alpha == 1 else (1 - alpha ** (gamma + 1)) / (1 - alpha)


def _sent(stats: Stats) -> int:
    return stats.total_draft_tokens_count - stats.unsent


def _if_told(count: Callable[[Stats], int]) -> Callable[[Stats], int | None]:
    """A count of rounds, where there are any: a remote server may tell totals alone."""
    return lambda stats: count(stats) if stats.rounds else None


def _accepting(stats: Stats) -> int:
    return stats.per_position[0].accepted if stats.per_position else 0


def _marginal(stats: Stats) -> list[float] | None:
    return [rate.marginal or 0.0 for rate in stats.per_position] or None


def _generated(stats: Stats) -> tuple[int, int] | None:
    return (stats.accepted_draft_tokens_count, _sent(stats)) if _sent(stats) else None


def _accepted_share(stats: Stats) -> float | None:
    return ratio(stats.accepted_draft_tokens_count, _sent(stats))


def _gamma(stats: Stats) -> float | None:
    return ratio(_sent(stats), stats.drafting_rounds)


def _expected(stats: Stats) -> float | None:
    gamma = _gamma(stats)
    return None if stats.alpha is None or gamma is None else expected_tokens(stats.alpha, gamma)


def _cost(stats: Stats) -> float | None:
    per_drafted = ratio(stats.draft_seconds, stats.total_draft_tokens_count)
    plain = stats.baseline_tokens_per_second
    return None if per_drafted is None or plain is None else per_drafted * plain


def _improvement(stats: Stats) -> float | None:
    gamma, c, expected = _gamma(stats), _cost(stats), _expected(stats)
    return None if gamma is None or c is None or expected is None else expected / (gamma * c + 1)


def _number(digits: int, unit: str = "") -> Callable[[float], str]:
    return lambda value: f"{value:.{digits}f}{unit}"


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


LMSTUDIO = (
    Measure(
        "tokens_per_second",
        "tokens_per_second",
        "Output tokens divided by generation_time.",
        lambda stats: stats.tokens_per_second,
        _number(2),
    ),
    Measure(
        "time_to_first_token",
        "time_to_first_token",
        "Seconds from the start of prompt processing to the first token.",
        lambda stats: stats.time_to_first_token,
        _number(3),
    ),
    Measure(
        "generation_time",
        "generation_time",
        "Seconds of decoding; prompt processing is apart.",
        lambda stats: stats.generation_time,
        _number(3),
    ),
    Measure("stop_reason", "stop_reason", "Why it ended, in LM Studio's words.", lambda stats: stats.stop_reason),
    Measure("draft_model", "draft_model", "The draft model.", lambda stats: stats.draft_model),
    Measure(
        "total_draft_tokens_count",
        "total_draft_tokens_count",
        "All drafted tokens: accepted + rejected + ignored.",
        lambda stats: stats.total_draft_tokens_count,
    ),
    Measure(
        "accepted_draft_tokens_count",
        "accepted_draft_tokens_count",
        "Drafted tokens that the main model accepted.",
        lambda stats: stats.accepted_draft_tokens_count,
    ),
    Measure(
        "rejected_draft_tokens_count",
        "rejected_draft_tokens_count",
        "Drafted tokens that were sent to the main model and dropped.",
        lambda stats: stats.rejected_draft_tokens_count,
    ),
    Measure(
        "ignored_draft_tokens_count",
        "ignored_draft_tokens_count",
        "Draft tokens that were not sent to the main model for decoding, or stood past the end.",
        lambda stats: stats.ignored_draft_tokens_count,
    ),
)

VLLM = (
    Measure(
        "mean_acceptance_length",
        "Mean acceptance length",
        "1 + accepted tokens / drafts: the bonus token counts, as vLLM's log has it.",
        lambda stats: stats.mean_acceptance_length,
        _number(2),
        "mean_acceptance_length",
    ),
    Measure(
        "accepted_throughput",
        "Accepted throughput",
        "Accepted tokens per second of decoding. vLLM divides by the time between two lines of its log.",
        lambda stats: ratio(stats.accepted_draft_tokens_count, stats.generation_time),
        _number(2, " tokens/s"),
    ),
    Measure(
        "drafted_throughput",
        "Drafted throughput",
        "Drafted tokens per second of decoding.",
        lambda stats: ratio(stats.total_draft_tokens_count, stats.generation_time),
        _number(2, " tokens/s"),
    ),
    Measure(
        "per_position",
        "Per-position acceptance rate",
        "By position in the draft: accepted tokens there / drafts. All drafts count, also those refused before it.",
        _marginal,
        _list,
    ),
    Measure(
        "draft_acceptance_rate",
        "Avg Draft acceptance rate",
        "Accepted tokens / draft tokens.",
        lambda stats: stats.draft_acceptance_rate,
        lambda value: f"{100 * value:.1f}%",
        "draft_acceptance_rate",
    ),
    Measure(
        "num_drafts",
        "vllm:spec_decode_num_drafts",
        "Number of drafts: rounds that sent one to the main model.",
        _if_told(lambda stats: stats.drafting_rounds),
    ),
    Measure(
        "num_draft_tokens",
        "vllm:spec_decode_num_draft_tokens",
        "Number of draft tokens, also those that a cutoff kept back. vLLM has no cutoff.",
        lambda stats: stats.total_draft_tokens_count,
    ),
    Measure(
        "num_accepted_tokens",
        "vllm:spec_decode_num_accepted_tokens",
        "Number of accepted tokens.",
        lambda stats: stats.accepted_draft_tokens_count,
    ),
    Measure(
        "num_accepted_tokens_per_pos",
        "vllm:spec_decode_num_accepted_tokens_per_pos",
        "Accepted tokens by position in the draft, from position 0.",
        lambda stats: [rate.accepted for rate in stats.per_position] or None,
        lambda counts: ", ".join(map(str, counts)),
    ),
)

LLAMACPP = (
    Measure(
        "draft_acceptance",
        "draft acceptance",
        "Accepted tokens / generated draft tokens. A token at which a cutoff ended the draft is no part of it.",
        _generated,
        lambda pair: f"{pair[0] / pair[1]:.5f} ({pair[0]} accepted / {pair[1]} generated)",
    ),
    Measure(
        "accept",
        "accept",
        "The same in per cent, as llama-speculative-simple prints it: n_accept / n_drafted.",
        _accepted_share,
        lambda value: f"{100 * value:.3f}%",
        "draft_acceptance_rate",
    ),
    Measure(
        "mean_len",
        "mean len",
        "1 + accepted tokens / verification steps that had a draft.",
        lambda stats: stats.mean_acceptance_length,
        _number(2),
        "mean_acceptance_length",
    ),
    Measure(
        "acc_per_pos",
        "acc per pos",
        "By position in the draft: accepted tokens there / verification steps that had a draft.",
        _marginal,
        _list,
    ),
    Measure("n_drafted", "n_drafted", "Draft tokens that the main model was given.", _sent),
    Measure("n_accept", "n_accept", "Those it accepted.", lambda stats: stats.accepted_draft_tokens_count),
    Measure("calls", "#calls", "How often a draft was asked for: rounds.", _if_told(lambda stats: stats.rounds)),
    Measure(
        "gen_drafts",
        "#gen drafts",
        "Drafts with at least one token.",
        _if_told(lambda stats: stats.drafting_rounds),
    ),
    Measure("acc_drafts", "#acc drafts", "Drafts of which at least one token was accepted.", _if_told(_accepting)),
    Measure("gen_tokens", "#gen tokens", "Tokens of all drafts, refused ones included.", _sent),
    Measure("acc_tokens", "#acc tokens", "Tokens accepted.", lambda stats: stats.accepted_draft_tokens_count),
    Measure(
        "tokens_per_second",
        "tokens per second",
        "Output tokens / eval time.",
        lambda stats: stats.tokens_per_second,
        _number(2),
    ),
)

TEXTBOOK = (
    Measure(
        "alpha",
        "α",
        "Chance that a compared token is accepted: accepted / (accepted + rounds that ended in a rejection).",
        lambda stats: stats.alpha,
        _number(3),
        "draft_acceptance_rate",
    ),
    Measure(
        "gamma",
        "γ",
        "Draft length: drafted tokens sent per round that has a draft, on average.",
        _gamma,
        _number(2),
    ),
    Measure(
        "tau",
        "τ",
        "Tokens of a round that has a draft, measured: 1 + accepted / rounds with a draft.",
        lambda stats: stats.mean_acceptance_length,
        _number(2),
        "mean_acceptance_length",
    ),
    Measure(
        "expected_tokens",
        "E[tokens per round]",
        "What α and γ give for τ if every token stands the same chance: (1 − α^(γ+1)) / (1 − α).",
        _expected,
        _number(2),
    ),
    Measure(
        "c",
        "c",
        "Cost of a drafted token in plain tokens of the main model, both measured in this run.",
        _cost,
        _number(3),
    ),
    Measure(
        "improvement",
        "Expected improvement factor",
        "E[tokens per round] / (γc + 1), theorem 3.8: a verify pass is taken to cost what a plain one does.",
        _improvement,
        _number(2, "×"),
    ),
    Measure(
        "speedup",
        "Measured speedup",
        "Tokens/s divided by the speed of plain decoding in this run.",
        lambda stats: stats.speedup,
        _number(2, "×"),
    ),
)

DIALECTS = {"lmstudio": LMSTUDIO, "vllm": VLLM, "llamacpp": LLAMACPP, "textbook": TEXTBOOK}
"""Whose names they are -> the figures, in order."""

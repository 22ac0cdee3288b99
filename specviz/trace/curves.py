"""How acceptance, speed and speedup went, round by round: what the plots draw."""

from __future__ import annotations

from collections import deque

from specviz.trace.events import Baseline, Round
from specviz.trace.stats import acceptance_rate, ratio

WINDOW = 16
"""Rounds of the rolling curves."""

COLUMNS = (
    "x",
    "acceptance_rolling",
    "acceptance_cumulative",
    "tps_rolling",
    "tps_cumulative",
    "baseline_tps",
    "speedup_rolling",
    "speedup_cumulative",
)

Row = tuple[int, *tuple[float | None, ...]]


class Curves:
    """Builds the curves one round at a time; columns as in `COLUMNS`, one row per round.

    `x` is the number of output tokens at the round's end. Acceptance is accepted / drafted; rolling values are sums
    over the last `window` rounds divided by each other, never means of ratios. The baseline is the latest plain
    stretch for the rolling speedup, all stretches pooled for the cumulative one.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._last: deque[tuple[int, int, int, int, float]] = deque(maxlen=window)
        self._tokens = self._drafted = self._sent = self._accepted = 0
        self._seconds = 0.0
        self._plain: float | None = None
        self._plain_tokens = 0
        self._plain_seconds = 0.0

    def add_baseline(self, baseline: Baseline) -> None:
        """Take a new plain stretch into account."""
        self._plain = baseline.tokens_per_second or None
        self._plain_tokens += baseline.n_tokens
        self._plain_seconds += baseline.seconds

    def add(self, round: Round) -> Row:
        """Return the row of this round."""
        entry = (len(round.emitted), len(round.drafted), round.sent, round.accepted, round.seconds)
        self._last.append(entry)
        self._tokens += entry[0]
        self._drafted += entry[1]
        self._sent += entry[2]
        self._accepted += entry[3]
        self._seconds += entry[4]
        tokens, drafted, sent, accepted, seconds = (sum(column) for column in zip(*self._last, strict=True))
        speed, speed_now = ratio(self._tokens, self._seconds), ratio(tokens, seconds)
        pooled = ratio(self._plain_tokens, self._plain_seconds)
        return (
            self._tokens,
            acceptance_rate(accepted, drafted, sent),
            acceptance_rate(self._accepted, self._drafted, self._sent),
            speed_now,
            speed,
            self._plain,
            speed_now / self._plain if speed_now is not None and self._plain else None,
            speed / pooled if speed is not None and pooled else None,
        )

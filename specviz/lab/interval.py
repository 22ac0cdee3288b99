"""How sure a ratio is: a bootstrap interval over what it was measured on, and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
NORMAL_QUANTILE = 1.959963984540054
"""Of the normal distribution, for a two-sided interval of `LEVEL`."""


class Interval(NamedTuple):
    """A ratio with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def inside_the_noise(self) -> bool:
        """Whether the interval holds 1."""
        return self.low <= 1 <= self.high

    def __str__(self) -> str:
        if self.high == inf:
            return f"{self.ratio:.2f}x, measured once: no interval"
        return f"{self.ratio:.2f}x, 95 % CI {self.low:.2f}-{self.high:.2f}"


def geometric_mean(ratios: Sequence[float], seed: int = 0) -> Interval:
    """Return the geometric mean of paired ratios with its bootstrap interval.

    The percentile bootstrap is too narrow for few observations: its half-widths are expanded by the quotient of
    Student's and the normal quantile and by sqrt(n / (n - 1)) (Hesterberg 1411.5279, section 5.2). Of a single ratio
    the interval is everything.

    Parameters
    ----------
    ratios
        Above 0; one for each prompt.
    seed
        Of the resampling.

    Raises
    ------
    ValueError
        If there are no ratios, or one is not a positive number.
    """
    if not len(ratios) or not all(0 < ratio < inf for ratio in ratios):
        raise ValueError(f"an interval needs positive ratios, got {list(ratios)!r}")
    from scipy.special import stdtrit  # whose import no dashboard waits for

    logs = np.log(np.asarray(ratios, float))
    n, middle = len(logs), float(logs.mean())
    if n == 1:
        return Interval(float(np.exp(middle)), 0.0, inf)
    rng = np.random.default_rng(seed)
    means = rng.choice(logs, (RESAMPLES, n)).mean(axis=1)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail]) - middle
    wider = stdtrit(n - 1, 0.5 + LEVEL / 2) / NORMAL_QUANTILE * sqrt(n / (n - 1))
    return Interval(*(float(np.exp(middle + wider * part)) for part in (0.0, low, high)))

"""Probability distributions over the vocabulary, and what the samplers make of logits.

The samplers are specified here, in numpy, once: an engine may compute the same natively, and tests hold it to this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from specviz.trace import Settings

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Distribution:
    """Probabilities of the tokens `ids` (ascending, each once); all other tokens have none.

    Attributes
    ----------
    ids : integers, shape (n,)
    probabilities : floats, shape (n,), sum to 1
    """

    ids: Ids
    probabilities: Floats

    def probability(self, token: int) -> float:
        """Return a token's probability."""
        i = int(np.searchsorted(self.ids, token))
        return float(self.probabilities[i]) if i < len(self.ids) and self.ids[i] == token else 0.0

    def draw(self, u: float) -> int:
        """Return the token at `u` (0 <= u < 1) of the cumulative distribution."""
        cumulative = np.cumsum(self.probabilities, dtype=np.float64)
        i = int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))
        return int(self.ids[min(i, len(self.ids) - 1)])

    def residual(self, other: Distribution) -> Distribution:
        """Return norm(max(0, self - other)): what is sampled after a rejection (Leviathan 2211.17192, algorithm 1).

        Where the difference is nothing but rounding, return this distribution.
        """
        if other.ids is self.ids:
            taken = other.probabilities
        else:
            at = np.searchsorted(other.ids, self.ids).clip(max=len(other.ids) - 1)
            taken = np.where(other.ids[at] == self.ids, other.probabilities[at], 0.0)
        left = np.maximum(self.probabilities - taken, 0.0)
        total = left.sum(dtype=np.float64)
        return Distribution(self.ids, left / total) if total > 1e-12 else self


class Certainty(Distribution):
    """All of the probability on one token: greedy decoding, or a drafter without probabilities. Makes no arrays."""

    token: int

    def __init__(self, token: int) -> None:
        object.__setattr__(self, "token", token)

    @property
    def ids(self) -> Ids:
        """The token, shape (1,)."""
        return np.array([self.token])

    @property
    def probabilities(self) -> Floats:
        """One, shape (1,)."""
        return np.array([1.0])

    def probability(self, token: int) -> float:
        """Return 1 for the token, 0 for all others."""
        return float(token == self.token)

    def draw(self, u: float) -> int:
        """Return the token."""
        return self.token


def distribution(
    logits: NDArray[np.floating], settings: Settings, recent: Sequence[int], banned: Sequence[int]
) -> Distribution:
    """Return what the sampler draws from: the reference that engines are held to.

    In llama.cpp's order: repetition penalty, top-k, top-p, min-p, temperature, softmax. Tokens in `banned` cannot be
    drawn. At temperature 0 it is the most probable token (the lowest id among equals), after the penalty.

    Parameters
    ----------
    logits
        Shape (n_vocab,).
    recent
        The last tokens before the one to be drawn, prompt included; the repetition penalty looks at the last
        `settings.repeat_last_n` of them.
    """
    x = np.asarray(logits, np.float64).copy()
    x[list(banned)] = -np.inf
    if settings.repeat_penalty != 1.0 and settings.repeat_last_n > 0:
        seen = np.unique(np.asarray(recent[-settings.repeat_last_n :], int))
        x[seen] = np.where(x[seen] > 0, x[seen] / settings.repeat_penalty, x[seen] * settings.repeat_penalty)
    if settings.temperature == 0:
        return Certainty(int(x.argmax()))
    order = np.argsort(-x, kind="stable")
    order = order[np.isfinite(x[order])]
    if settings.top_k > 0:
        order = order[: settings.top_k]
    p = _softmax(x[order])
    if settings.top_p < 1:
        order = order[: int(np.searchsorted(np.cumsum(p), settings.top_p)) + 1]
    if settings.min_p > 0:
        order = order[x[order] >= x[order[0]] + np.log(settings.min_p)]
    order = np.sort(order)
    return Distribution(order, _softmax(x[order] / settings.temperature))


@lru_cache(maxsize=8)
def all_ids(n: int) -> Ids:
    """Return 0 .. n - 1, the same array for the same n: what two models may draw is compared by identity first."""
    ids = np.arange(n)
    ids.setflags(write=False)
    return ids


def _softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max())
    total: Floats = e / e.sum()
    return total

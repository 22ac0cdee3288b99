"""What engines share in reading logits."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from specviz.trace.events import Candidates

Logits = NDArray[np.float32]

UNREADABLE = 0
"""What a draft model reads in place of a token that it does not have: its first one, by custom a special token."""


class Row:
    """The logits after one position, and what was computed from them; valid until the next pass.

    Nothing here touches single entries in Python: the normaliser is one `exp` over the vocabulary (some 40 microseconds
    for 49k tokens; pairwise single precision is good to six digits), a candidate is one `argmax` (3 microseconds, where
    a partition takes 350).
    """

    __slots__ = ("_normaliser", "_scratch", "best", "logits")

    def __init__(self, logits: Logits, scratch: Logits) -> None:
        self.logits, self._scratch = logits, scratch
        self.best = int(logits.argmax())
        """The most probable token (the lowest id among equals)."""
        self._normaliser: float | None = None

    def greedy(self, banned: Sequence[int]) -> int:
        """Return the most probable token that is not banned."""
        if self.best not in banned:
            return self.best
        saved = self.logits[banned]
        self.logits[banned] = -np.inf
        token = int(self.logits.argmax())
        self.logits[banned] = saved
        return token

    def probability(self, token: int) -> float:
        """Return the token's probability: full softmax at temperature 1."""
        if self._normaliser is None:
            self._normaliser = normaliser(self.logits, float(self.logits[self.best]), self._scratch)
        return min(1.0, exp(float(self.logits[token]) - self._normaliser))

    def entropy(self) -> float:
        """Return the entropy of the full softmax at temperature 1, in nats."""
        np.subtract(self.logits, self.logits[self.best], out=self._scratch)
        weights = np.exp(self._scratch)
        total = float(weights.sum())
        return max(0.0, log(total) - float(weights @ self._scratch) / total)

    def top(self, k: int) -> Candidates:
        """Return the k most probable tokens; leaves the logits as they were."""
        ids, values, token = [self.best], [float(self.logits[self.best])], self.best
        while len(ids) < min(k, len(self.logits)):
            self.logits[token] = -np.inf
            token = int(self.logits.argmax())
            ids.append(token)
            values.append(float(self.logits[token]))
        self.logits[ids] = values
        return tuple((id, self.probability(id)) for id in ids[:k])


def normaliser(logits: Logits, highest: float, scratch: Logits) -> float:
    """Return log(sum(exp(logits))), given their maximum."""
    if -50 < highest < 70:  # single precision can hold the sum as it is
        np.exp(logits, out=scratch)
        return log(float(scratch.sum()))
    np.subtract(logits, np.float32(highest), out=scratch)
    np.exp(scratch, out=scratch)
    return highest + log(float(scratch.sum()))

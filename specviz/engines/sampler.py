"""The samplers of `specviz.decoding.distribution`, in single precision, sorting as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from specviz.decoding import Certainty, Distribution
from specviz.decoding.distribution import all_ids
from specviz.engines.row import Logits, Row
from specviz.trace import Settings

Recent = Callable[[int], list[int]]
"""Gives the last n tokens before the one to be drawn."""


class Sampler:
    """What is drawn from, of one model in one generation.

    Parameters
    ----------
    n_vocab
        Tokens that have a logit.
    end_tokens
        Never drawn where the settings say `ignore_eos`.
    n_allowed
        Ids from here on are never drawn: those that only the draft model has.
    """

    def __init__(
        self, settings: Settings, *, n_vocab: int, end_tokens: Collection[int], n_allowed: int | None = None
    ) -> None:
        self._settings = settings
        banned = set(end_tokens) if settings.ignore_eos else set()
        banned |= set(range(n_vocab if n_allowed is None else n_allowed, n_vocab))
        self.banned = sorted(id for id in banned if id < n_vocab)
        """Tokens that are never drawn."""
        self._all = all_ids(n_vocab)

    def favourite(self, row: Row, recent: Recent) -> int:
        """Return the most probable token that may be drawn."""
        if self._settings.repeat_penalty == 1:
            return row.greedy(self.banned)
        return int(self._penalised(row.logits, recent).argmax())

    def distribution(self, row: Row, recent: Recent) -> Distribution:
        """Return what is drawn from; `recent(n)` gives the last n tokens before the one to be drawn."""
        settings = self._settings
        if settings.temperature == 0:
            return Certainty(self.favourite(row, recent))
        logits = self._penalised(row.logits, recent)
        ids = self._all
        if settings.top_k > 0 or settings.top_p < 1 or settings.min_p > 0:
            ids = self._filtered(logits)
            logits = logits[ids]
        scaled = (logits - logits.max()) / np.float32(settings.temperature)
        np.exp(scaled, out=scaled)
        scaled /= scaled.sum(dtype=np.float64)
        return Distribution(ids, scaled)

    def _penalised(self, logits: Logits, recent: Recent) -> Logits:
        settings = self._settings
        if settings.repeat_penalty == 1 and not self.banned:
            return logits
        logits = logits.copy()
        if settings.repeat_penalty != 1 and settings.repeat_last_n > 0:
            seen = np.unique(recent(settings.repeat_last_n))
            seen = seen[seen < len(logits)]
            penalty, of_seen = np.float32(settings.repeat_penalty), logits[seen]
            logits[seen] = np.where(of_seen > 0, of_seen / penalty, of_seen * penalty)
        logits[self.banned] = -np.inf
        return logits

    def _filtered(self, logits: Logits) -> NDArray[np.int64]:
        """Return the ids, ascending, that top-k, top-p and min-p leave."""
        settings = self._settings
        left = self._all
        if 0 < settings.top_k < len(logits):
            left = np.argpartition(logits, -settings.top_k)[-settings.top_k :]
        left = left[logits[left] > -np.inf]
        if settings.top_p < 1:
            left = left[np.argsort(-logits[left], kind="stable")]
            p = np.exp(logits[left] - logits[left[0]], dtype=np.float64)
            left = left[: int(np.searchsorted(np.cumsum(p), settings.top_p * p.sum())) + 1]
        if settings.min_p > 0:
            left = left[logits[left] >= logits[left].max() + np.log(settings.min_p)]
        return np.sort(left)

    def close(self) -> None:
        """Nothing to free."""

"""A model of a few tokens, small enough to reason about: the next token depends on the last one only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from specviz.decoding import Certainty, Distribution, Draft, EvaluationStopped, Look, Policy
from specviz.trace import Pieces

END = 0


class ToyMain:
    """A main model over a table of probabilities, shape (n_vocab, n_vocab), that checks how it is used."""

    def __init__(
        self,
        table: np.ndarray,
        n_ctx: int = 1000,
        stopped: Callable[[], bool] = lambda: False,
        greedy: bool = True,
    ) -> None:
        self.table, self.n_ctx, self.stopped, self.greedy = table, n_ctx, stopped, greedy
        self.cache: list[int] = []
        self.last_pass: list[int] = []
        self.passes = 0

    def begin(self, prompt: Sequence[int]) -> int:
        self.cache = list(prompt[:-1])
        return 0

    def evaluate(self, tokens: Sequence[int]) -> None:
        if self.stopped():
            raise EvaluationStopped
        assert len(self.cache) + len(tokens) <= self.n_ctx, "the pass does not fit into the context"
        self.cache.extend(tokens)
        self.last_pass = list(tokens)
        self.passes += 1

    def rewind(self, n: int) -> None:
        assert n <= len(self.cache), "cannot rewind forwards"
        del self.cache[n:]

    def distribution(self, i: int) -> Distribution:
        row = self.table[self.last_pass[i]]
        if self.greedy:
            return Certainty(int(row.argmax()))
        return Distribution(np.arange(len(row)), row)

    def probability(self, i: int, token: int) -> float:
        return float(self.table[self.last_pass[i], token])

    def top(self, i: int) -> tuple[tuple[int, float], ...]:
        row = self.table[self.last_pass[i]]
        best = np.argsort(-row, kind="stable")[:3]
        return tuple((int(id), float(row[id])) for id in best)

    def is_end(self, token: int) -> bool:
        return token == END

    def text_piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([96 + token])

    def pieces(self, tokens: Sequence[int]) -> Pieces | None:
        return Pieces(text={id: self.text_piece(id).decode() or "<end>" for id in set(tokens)}, control=(END,))

    def close(self) -> None:
        """Nothing to free."""


class ToyDrafter:
    """Drafts from its own table, greedily or by sampling, and asks the policy as the real one does.

    `ends`: no further than to an end token, as the real one; otherwise past it, as a draft may that does not know it.
    """

    kind = "model"

    def __init__(self, table: np.ndarray, rng: np.random.Generator | None = None, *, ends: bool = False) -> None:
        self.table, self.rng, self.ends = table, rng, ends
        self.rows: list[np.ndarray] = []

    def begin(self, prompt: Sequence[int]) -> int:
        return 0

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        ids: list[int] = []
        qs: list[float] = []
        distributions: list[Distribution] = []
        looks: list[Look] = []
        self.rows = []
        last, kept = history[-1], 0
        while not (ended := "room" if kept == room else policy.more(kept)):
            row = self.table[last]
            self.rows.append(row)
            positive = row[row > 0]
            looks.append(Look(float(row.max()), float(-(positive * np.log(positive)).sum())))
            ended = policy.cutoff(kept, looks[-1])
            distribution = Distribution(np.arange(len(row)), row)
            last = int(row.argmax()) if self.rng is None else distribution.draw(self.rng.random())
            if self.rng is not None:
                distributions.append(distribution)
            ids.append(last)
            qs.append(float(row[last]))
            if ended:
                break
            kept += 1
            if self.ends and last == END:
                ended = "end"
                break
        return Draft(
            tuple(ids),
            kept if self.rng is not None else policy.send(kept),
            tuple(distributions),
            tuple(qs),
            (1.0,) * len(ids),
            decision=policy.decision(ended, kept, looks),
        )

    def rank(self, i: int, token: int) -> int | None:
        return 1 + int((self.rows[i] > self.rows[i][token]).sum())

    def close(self) -> None:
        """Nothing to free."""

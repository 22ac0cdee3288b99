"""MLX as the decoding loop sees it: a main model and a draft model on their own contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from specviz.decoding import NO_DRAFT, Distribution, Draft, Look, Policy, sampled_draft
from specviz.engines.mlx.context import Context
from specviz.engines.mlx.library import library
from specviz.engines.mlx.model import Model
from specviz.engines.row import Row
from specviz.engines.sampler import Sampler
from specviz.engines.sequences import DraftHistory, ScoringModel, recent
from specviz.trace import Settings
from specviz.trace.events import Candidates


class MlxMain(ScoringModel):
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, model: Model, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        sampler = Sampler(settings, n_vocab=context.n_vocab, end_tokens=model.end_tokens)
        super().__init__(model, context, settings, stopped, sampler, context.n_vocab)


class MlxDrafter:
    """A draft model (`specviz.decoding.Drafter`).

    Under the rule `match` it proposes its favourite token, under `rejection` it samples. A greedy draft that no policy
    looks at is computed in one go: each pass takes the token of the one before while it is still being computed, and
    the host waits once, at the end of the draft.
    """

    kind = "model"

    def __init__(
        self, model: Model, context: Context, settings: Settings, stopped: Callable[[], bool], *, n_vocab_main: int
    ) -> None:
        self.model, self.context, self.settings = model, context, settings
        self._mx = library().mx
        self._stopped = stopped
        self._n_vocab_main = n_vocab_main
        self._sampler = Sampler(settings, n_vocab=context.n_vocab, end_tokens=model.end_tokens, n_allowed=n_vocab_main)
        self._rng = np.random.default_rng((settings.seed or 0, 1)) if sampled_draft(settings) else None
        self._at_once = self._rng is None and settings.repeat_penalty == 1
        self._scratch = np.empty(context.n_vocab, np.float32)
        ban = np.zeros(context.n_vocab, np.float32)
        ban[self._sampler.banned] = -np.inf
        self._ban = self._mx.array(ban) if self._sampler.banned else None
        self._history = DraftHistory(context, stopped, n_vocab=context.n_vocab, n_vocab_main=n_vocab_main)
        self._rows: list[Row] = []
        """Of this round's positions."""

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        return self._history.begin(prompt)

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        """Propose as many tokens as the policy wants; fewer at an end token or the end of the draft's context."""
        self._rows = []
        room = min(room, self.context.n_ctx - len(history))
        if room < 1:
            return NO_DRAFT
        if self._at_once and not policy.looks:
            return self._draft_at_once(history, room, policy)
        return self._draft_one_by_one(history, room, policy)

    def _draft_at_once(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        mx, context = self._mx, self.context
        n = 0
        while not (ended := "room" if n == room else policy.more(n)):
            n += 1
        if n == 0 or self._stopped():
            return Draft(decision=policy.decision(ended, 0, ()))
        new = self._history.rewind(history)
        tokens, logits = [], []
        try:
            ids = mx.array(new)
            for _ in range(n):
                row = context.advance(ids)[-1]
                token = mx.argmax(row if self._ban is None else row + self._ban)
                mx.async_eval(token, row)
                tokens.append(token)
                logits.append(row)
                ids = token[None]
            mx.eval(tokens, logits)
        except BaseException:
            context.abandon()
            raise
        drafted = [int(token.item()) for token in tokens]
        context.settle([*new, *drafted[:-1]])
        for i, token in enumerate(drafted):
            if token in self.model.end_tokens:
                drafted, ended = drafted[: i + 1], "end"
                break
        if not self.settings.detail:
            return Draft(tuple(drafted), policy.send(len(drafted)), decision=policy.decision(ended, len(drafted), ()))
        self._rows = [Row(np.asarray(row), self._scratch) for row in logits[: len(drafted)]]
        return Draft(
            tuple(drafted),
            policy.send(len(drafted)),
            (),
            tuple(row.probability(token) for row, token in zip(self._rows, drafted, strict=True)),
            (1.0,) * len(drafted),
            tuple(map(self._top, self._rows)),
            policy.decision(ended, len(drafted), ()),
        )

    def _draft_one_by_one(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        new: Sequence[int] = ()
        settings = self.settings
        measure = settings.detail or policy.looks
        ids: list[int] = []
        qs: list[float] = []
        shaped: list[float] = []
        top: list[Candidates] = []
        distributions: list[Distribution] = []
        looks: list[Look] = []
        kept = 0
        while not (ended := "room" if kept == room else policy.more(kept)):
            if self._stopped():
                break
            self.context.evaluate(new or self._history.rewind(history))
            row = Row(self.context.logits(-1), self._scratch)
            before = partial(recent, history, ids.copy())
            token = favourite = self._sampler.favourite(row, before)
            if policy.looks:
                looks.append(Look(row.probability(favourite), row.entropy() if policy.wants_entropy else None))
                ended = policy.cutoff(kept, looks[-1])
            if self._rng is not None:
                distributions.append(self._sampler.distribution(row, before))
                token = distributions[-1].draw(self._rng.random())
            ids.append(token)
            if measure:
                qs.append(row.probability(token))
                shaped.append(distributions[-1].probability(token) if distributions else 1.0)
            if settings.detail:
                top.append(self._top(row))
                self._rows.append(row)
            if ended:
                break
            kept += 1
            if token in self.model.end_tokens:
                ended = "end"
                break
            new = [token]
        n_send = kept if self._rng is not None else policy.send(kept)
        decision = policy.decision(ended, kept, looks)
        return Draft(tuple(ids), n_send, tuple(distributions), tuple(qs), tuple(shaped), tuple(top), decision)

    def _top(self, row: Row) -> Candidates:
        return tuple(one for one in row.top(self.settings.n_candidates) if one[0] < self._n_vocab_main)

    def rank(self, i: int, token: int) -> int | None:
        """Rank of a token where the i-th drafted one came from."""
        if i >= len(self._rows) or token >= self.context.n_vocab:
            return None
        row = self._rows[i]
        return 1 if token == row.best else 1 + int(np.count_nonzero(row.logits > row.logits[token]))

    def close(self) -> None:
        """Forget the rows; the context stays, with its cache."""
        self._rows = []

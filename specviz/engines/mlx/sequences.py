"""MLX as the decoding loop sees it: a main model and a draft model on their own contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from specviz.decoding import NO_DRAFT, Distribution, Draft, Look, Policy, sampled_draft
from specviz.engines.mlx.context import Context
from specviz.engines.mlx.library import library
from specviz.engines.mlx.model import Model
from specviz.engines.mlx.sampler import Sampler
from specviz.engines.row import UNREADABLE, Row
from specviz.trace import Pieces, Settings
from specviz.trace.events import Candidates


class MlxMain:
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, model: Model, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        self.model, self.context, self.settings = model, context, settings
        self.n_ctx = context.n_ctx
        self._stopped = stopped
        self._sampler = Sampler(settings, n_vocab=context.n_vocab, end_tokens=model.end_tokens)
        self._scratch = np.empty(context.n_vocab, np.float32)
        self._rows: dict[int, Row] = {}
        self._distributions: dict[int, Distribution] = {}
        self._before = 0
        self._named: set[int] = set()

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it is not in the cache."""
        return self.context.prefill(prompt[:-1], self._stopped)

    def evaluate(self, tokens: Sequence[int]) -> None:
        """One verify pass, with logits at every position."""
        self._rows.clear()
        self._distributions.clear()
        self._before = len(self.context.tokens)
        self.context.evaluate(tokens)

    def _row(self, i: int) -> Row:
        row = self._rows.get(i)
        if row is None:
            row = self._rows[i] = Row(self.context.logits(i), self._scratch)
        return row

    def rewind(self, n: int) -> None:
        """Shorten the cache."""
        self.context.rewind(n)

    def distribution(self, i: int) -> Distribution:
        """What the sampler draws the token after position `i` from."""
        found = self._distributions.get(i)
        if found is None:
            history = self.context.tokens
            end = self._before + i + 1
            found = self._sampler.distribution(self._row(i), lambda n: history[max(0, end - n) : end])
            self._distributions[i] = found
        return found

    def probability(self, i: int, token: int) -> float:
        """Probability of a token after position `i`."""
        return self._row(i).probability(token)

    def top(self, i: int) -> Candidates:
        """The most probable tokens after position `i`."""
        return self._row(i).top(self.settings.n_candidates)

    def is_end(self, token: int) -> bool:
        """Whether a token ends the generation."""
        return token in self.model.end_tokens

    def text_piece(self, token: int) -> bytes:
        """Bytes of text of a token."""
        return b"" if token in self.model.control_tokens else self.model.piece(token)

    def pieces(self, tokens: Sequence[int]) -> Pieces | None:
        """Texts of tokens not asked for before."""
        new = set(tokens) - self._named
        if not new:
            return None
        self._named |= new
        return Pieces.of({token: self.model.piece(token) for token in new}, new & self.model.control_tokens)

    def close(self) -> None:
        """Nothing to free: the context stays, with its cache."""


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
        self._agreed = 0
        self._rows: list[Row] = []
        """Of this round's positions."""

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        if len(prompt) > self.context.n_ctx:
            return 0
        reused = self.context.prefill(self._readable(prompt[:-1]), self._stopped)
        self._agreed = len(prompt) - 1
        return reused

    def _readable(self, tokens: Sequence[int]) -> Sequence[int]:
        """Put UNREADABLE for ids that only the main model has."""
        n_vocab = self.context.n_vocab
        if n_vocab >= self._n_vocab_main:
            return tokens
        return [token if token < n_vocab else UNREADABLE for token in tokens]

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
        new = self._rewind(history)
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
            self.context.evaluate(new or self._rewind(history))
            row = Row(self.context.logits(-1), self._scratch)
            recent = partial(_recent, history, ids.copy())
            token = favourite = self._sampler.favourite(row, recent)
            if policy.looks:
                looks.append(Look(row.probability(favourite), row.entropy() if policy.wants_entropy else None))
                ended = policy.cutoff(kept, looks[-1])
            if self._rng is not None:
                distributions.append(self._sampler.distribution(row, recent))
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

    def _rewind(self, history: Sequence[int]) -> Sequence[int]:
        """Forget what the main model did not take; return what is still to be evaluated (at least the last token)."""
        held, agreed = self.context.tokens, self._agreed
        new = self._readable(history[agreed:])
        n = 0
        while agreed + n < len(held) and n < len(new) - 1 and held[agreed + n] == new[n]:
            n += 1
        self._agreed = agreed + n
        self.context.rewind(self._agreed)
        return new[n:]

    def rank(self, i: int, token: int) -> int | None:
        """Rank of a token where the i-th drafted one came from."""
        if i >= len(self._rows) or token >= self.context.n_vocab:
            return None
        row = self._rows[i]
        return 1 if token == row.best else 1 + int(np.count_nonzero(row.logits > row.logits[token]))

    def close(self) -> None:
        """Forget the rows; the context stays, with its cache."""
        self._rows = []


def _recent(history: Sequence[int], ids: Sequence[int], n: int) -> list[int]:
    """The last n tokens of the history as the draft would have it."""
    return [*history[-n:], *ids][-n:]

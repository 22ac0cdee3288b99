"""What the engines' main models and drafters share: everything but the forward passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from specviz.decoding import Distribution
from specviz.engines.row import UNREADABLE, Row
from specviz.engines.sampler import Sampler
from specviz.trace import Pieces, Settings
from specviz.trace.events import Candidates


class ScoringModel:
    """The main model in one generation (`specviz.decoding.MainModel`), over an engine's model and context.

    Parameters
    ----------
    model
        Has `end_tokens`, `control_tokens` and `piece`.
    context
        Has `tokens`, `n_ctx`, `prefill`, `evaluate`, `logits` and `rewind`.
    n_vocab
        Tokens that have a logit.
    """

    def __init__(
        self,
        model: Any,
        context: Any,
        settings: Settings,
        stopped: Callable[[], bool],
        sampler: Sampler,
        n_vocab: int,
    ) -> None:
        self.model, self.context, self.settings = model, context, settings
        self.n_ctx: int = context.n_ctx
        self._stopped = stopped
        self._sampler = sampler
        self._scratch = np.empty(n_vocab, np.float32)
        self._rows: dict[int, Row] = {}
        self._distributions: dict[int, Distribution] = {}
        self._before = 0
        self._named: set[int] = set()

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it is not in the cache."""
        reused: int = self.context.prefill(prompt[:-1], self._stopped)
        return reused

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

    def sampled_row(self, i: int) -> Row:
        """The logits that the sampler sees after position `i`."""
        return self._row(i)

    def rewind(self, n: int) -> None:
        """Shorten the cache."""
        self.context.rewind(n)

    def distribution(self, i: int) -> Distribution:
        """What the sampler draws the token after position `i` from."""
        found = self._distributions.get(i)
        if found is None:
            history = self.context.tokens
            end = self._before + i + 1
            found = self._sampler.distribution(self.sampled_row(i), lambda n: history[max(0, end - n) : end])
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
        """Free the sampler; the context stays, with its cache."""
        self._sampler.close()


class DraftHistory:
    """What a draft model has read of a generation: how far its cache agrees with what was decided."""

    def __init__(self, context: Any, stopped: Callable[[], bool], *, n_vocab: int, n_vocab_main: int) -> None:
        self._context, self._stopped = context, stopped
        self._n_vocab, self._n_vocab_main = n_vocab, n_vocab_main
        self._agreed = 0

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        if len(prompt) > self._context.n_ctx:
            return 0
        reused: int = self._context.prefill(self._readable(prompt[:-1]), self._stopped)
        self._agreed = len(prompt) - 1
        return reused

    def _readable(self, tokens: Sequence[int]) -> Sequence[int]:
        """Put UNREADABLE for ids that only the main model has (llama.cpp takes pairs that differ by up to 128)."""
        if self._n_vocab >= self._n_vocab_main:
            return tokens
        return [token if token < self._n_vocab else UNREADABLE for token in tokens]

    def rewind(self, history: Sequence[int]) -> Sequence[int]:
        """Forget what the main model did not take; return what is still to be evaluated (at least the last token)."""
        held, agreed = self._context.tokens, self._agreed
        new = self._readable(history[agreed:])
        n = 0
        while agreed + n < len(held) and n < len(new) - 1 and held[agreed + n] == new[n]:
            n += 1
        self._agreed = agreed + n
        self._context.rewind(self._agreed)
        return new[n:]


def recent(history: Sequence[int], ids: Sequence[int], n: int) -> list[int]:
    """Return the last n tokens of the history as a draft would have it."""
    return [*history[-n:], *ids][-n:]


def cannot_rewind(name: str) -> str:
    """Say why a pair is decoded plainly, given the name of the model that is in the way; empty if there is none."""
    if not name:
        return ""
    return f"decoded plainly: {name} is a recurrent or hybrid model, whose memory cannot forget a refused draft"

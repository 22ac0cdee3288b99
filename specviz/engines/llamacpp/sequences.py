"""llama.cpp as the decoding loop sees it: a main model and a draft model on their own contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log
from typing import Any

import numpy as np

from specviz.decoding import NO_DRAFT, Choice, Draft
from specviz.engines.llamacpp.context import Context, Logits
from specviz.trace import Pieces, Settings
from specviz.trace.events import Candidates


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

    def shaped_probability(self, token: int, temperature: float, banned: Sequence[int]) -> float:
        """Return the token's probability under the sampler."""
        if temperature == 0:
            return float(token == self.greedy(banned))
        if temperature == 1 and not banned:
            return self.probability(token)
        shaped = self.logits / np.float32(temperature)
        shaped[banned] = -np.inf
        return min(1.0, exp(float(shaped[token]) - normaliser(shaped, float(shaped.max()), self._scratch)))

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


class LlamaMain:
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        self.context, self.settings = context, settings
        self.model = context.model
        self.n_ctx = context.n_ctx
        self._stopped = stopped
        self._banned = sorted(self.model.end_tokens) if settings.ignore_eos else []
        self._scratch = np.empty(self.model.n_vocab, np.float32)
        self._rows: dict[int, Row] = {}
        self._named: set[int] = set()
        self._sampler = self._chain() if settings.temperature > 0 else None

    def _chain(self) -> Any:
        """The sampler as llama.cpp's own chain: ban, temperature, draw."""
        lib = self.context.lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if self._banned:
            biases = (lib.llama_logit_bias * len(self._banned))(
                *(lib.llama_logit_bias(token=token, bias=-np.inf) for token in self._banned)
            )
            add = lib.llama_sampler_init_logit_bias(self.model.n_vocab, len(self._banned), biases)
            lib.llama_sampler_chain_add(chain, add)
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(self.settings.temperature))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(self.settings.seed or 0))
        return chain

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it is not in the cache."""
        return self.context.prefill(prompt[:-1], self._stopped)

    def evaluate(self, tokens: Sequence[int]) -> None:
        """One verify pass, with logits at every position."""
        self._rows.clear()
        self.context.evaluate(tokens)

    def _row(self, i: int) -> Row:
        row = self._rows.get(i)
        if row is None:
            row = self._rows[i] = Row(self.context.logits(i), self._scratch)
        return row

    def rewind(self, n: int) -> None:
        """Shorten the cache."""
        self.context.rewind(n)

    def sample(self, i: int) -> int:
        """Draw the token after position `i`."""
        if self._sampler is None:
            return self._row(i).greedy(self._banned)
        return int(self.context.lib.llama_sampler_sample(self._sampler, self.context.handle, i))

    def peek(self, i: int) -> int:
        """Draw without advancing the sampler."""
        if self._sampler is None:
            return self.sample(i)
        lib = self.context.lib
        clone = lib.llama_sampler_clone(self._sampler)
        try:
            return int(lib.llama_sampler_sample(clone, self.context.handle, i))
        finally:
            lib.llama_sampler_free(clone)

    def probability(self, i: int, token: int) -> Choice:
        """Probability of a token after position `i`."""
        row = self._row(i)
        return Choice(row.probability(token), row.shaped_probability(token, self.settings.temperature, self._banned))

    def top(self, i: int) -> Candidates:
        """The most probable tokens after position `i`."""
        return self._row(i).top(self.settings.top_k)

    def is_end(self, token: int) -> bool:
        """Whether a token ends the generation."""
        return self.model.is_end(token)

    def text_piece(self, token: int) -> bytes:
        """Bytes of text of a token."""
        return b"" if self.model.is_control(token) else self.model.piece(token)

    def pieces(self, tokens: Sequence[int]) -> Pieces | None:
        """Texts of tokens not asked for before."""
        new = set(tokens) - self._named
        if not new:
            return None
        self._named |= new
        return Pieces.of({token: self.model.piece(token) for token in new}, new & self.model.control_tokens)

    def close(self) -> None:
        """Free the sampler; the context stays, with its cache."""
        if self._sampler is not None:
            self.context.lib.llama_sampler_free(self._sampler)
            self._sampler = None


class LlamaDrafter:
    """A draft model (`specviz.decoding.Drafter`): always its favourite token, as llama.cpp drafts.

    Its cache keeps what it evaluated while drafting, so that a round costs one pass per drafted token and nothing for
    those that were accepted.
    """

    kind = "model"

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool], *, n_vocab_main: int) -> None:
        self.context, self.settings = context, settings
        self.model = context.model
        self._n_shared = min(self.model.n_vocab, n_vocab_main)
        self._stopped = stopped
        self._banned = [id for id in sorted(self.model.end_tokens) if settings.ignore_eos and id < self._n_shared]
        self._scratch = np.empty(self.model.n_vocab, np.float32)
        self._agreed = 0
        self._kept = np.empty((max(1, settings.num_draft_tokens), self.model.n_vocab), np.float32)
        self._n_kept = 0

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        if len(prompt) > self.context.n_ctx:
            return 0
        reused = self.context.prefill(prompt[:-1], self._stopped)
        self._agreed = len(prompt) - 1
        return reused

    def draft(self, history: Sequence[int], k: int) -> Draft:
        """Propose up to `k` tokens; fewer at a cutoff, an end token, or the end of its context."""
        self._n_kept = 0
        k = min(k, self.context.n_ctx - len(history))
        if k < 1:
            return NO_DRAFT
        new = self._rewind(history)
        settings = self.settings
        measure = settings.detail or settings.p_min > 0
        ids: list[int] = []
        qs: list[float] = []
        top: list[Candidates] = []
        n_send = 0
        while len(ids) < k and not self._stopped():
            self.context.evaluate(new, all_logits=False)
            row = Row(self.context.logits(-1), self._scratch)
            token = self._favourite(row)
            ids.append(token)
            if measure:
                qs.append(row.probability(token))
            if settings.detail:
                top.append(row.top(settings.top_k))
                np.copyto(self._kept[self._n_kept], row.logits)
                self._n_kept += 1
            if settings.p_min > 0 and qs[-1] < settings.p_min:
                break
            n_send += 1
            if self.model.is_end(token):
                break
            new = [token]
        return Draft(tuple(ids), n_send, tuple(qs), (1.0,) * len(qs), tuple(top))

    def _favourite(self, row: Row) -> int:
        """The most probable token that the main model has too and that is not banned."""
        if row.best < self._n_shared:
            return row.greedy(self._banned)
        return Row(row.logits[: self._n_shared], self._scratch).greedy(self._banned)

    def _rewind(self, history: Sequence[int]) -> Sequence[int]:
        """Forget what the main model did not take; return what is still to be evaluated (at least the last token)."""
        held, n = self.context.tokens, self._agreed
        last = len(history) - 1
        while n < len(held) and n < last and held[n] == history[n]:
            n += 1
        self.context.rewind(n)
        self._agreed = n
        return history[n:]

    def rank(self, i: int, token: int) -> int | None:
        """Rank of a token where the i-th drafted one came from."""
        if i >= self._n_kept or token >= self.model.n_vocab:
            return None
        logits = self._kept[i]
        return 1 + int(np.count_nonzero(logits > logits[token]))

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


class Softmax:
    """Probabilities out of one row of logits, without touching each of them in Python.

    The normaliser costs one pass over the vocabulary (about 40 microseconds for 49k tokens; pairwise single precision
    is good to six digits) and is kept until the row changes; the top candidates take one `argmax` each (3 microseconds) instead of a partition (350).
    """

    def __init__(self, n_vocab: int) -> None:
        self._scratch = np.empty(n_vocab, np.float32)

    def normaliser(self, logits: Logits, temperature: float = 1.0) -> float:
        """Return log(sum(exp(logits / temperature)))."""
        scratch, highest = self._scratch, float(logits.max())
        np.subtract(logits, np.float32(highest), out=scratch)
        if temperature != 1.0:
            np.multiply(scratch, np.float32(1 / temperature), out=scratch)
        np.exp(scratch, out=scratch)
        return highest / temperature + log(float(scratch.sum()))

    @staticmethod
    def top(logits: Logits, k: int, normaliser: float) -> Candidates:
        """Return the k most probable tokens; leaves the logits as they were."""
        ids: list[int] = []
        values: list[float] = []
        for _ in range(min(k, len(logits))):
            i = int(logits.argmax())
            ids.append(i)
            values.append(float(logits[i]))
            logits[i] = -np.inf
        logits[ids] = values
        return tuple((id, probability(value, normaliser)) for id, value in zip(ids, values, strict=True))


def probability(logit: float, normaliser: float) -> float:
    """Return exp(logit - normaliser), kept within 0..1 against rounding."""
    return min(1.0, exp(logit - normaliser))


class LlamaMain:
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        self.context, self.settings = context, settings
        self.model = context.model
        self.n_ctx = context.n_ctx
        self._stopped = stopped
        self._banned = self.model.end_tokens if settings.ignore_eos else []
        self._softmax = Softmax(self.model.n_vocab)
        self._normalisers: dict[tuple[int, float], float] = {}
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
        self._normalisers.clear()
        self.context.evaluate(tokens)

    def rewind(self, n: int) -> None:
        """Shorten the cache."""
        self.context.rewind(n)

    def sample(self, i: int) -> int:
        """Draw the token after position `i`."""
        if self._sampler is None:
            return greedy(self.context.logits(i), self._banned)
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
        logits, temperature = self.context.logits(i), self.settings.temperature
        p = probability(float(logits[token]), self._normaliser(i, logits, 1.0))
        if temperature == 0:
            return Choice(p, float(token == greedy(logits, self._banned)))
        allowed = logits
        if self._banned:
            allowed = logits.copy()
            allowed[self._banned] = -np.inf
        elif temperature == 1.0:
            return Choice(p, p)
        normaliser = self._normaliser(i, allowed, temperature, shaped=True)
        return Choice(p, probability(float(allowed[token]) / temperature, normaliser))

    def top(self, i: int) -> Candidates:
        """The most probable tokens after position `i`."""
        logits = self.context.logits(i)
        return self._softmax.top(logits, self.settings.top_k, self._normaliser(i, logits, 1.0))

    def _normaliser(self, i: int, logits: Logits, temperature: float, *, shaped: bool = False) -> float:
        key = (i, -temperature if shaped else temperature)
        value = self._normalisers.get(key)
        if value is None:
            value = self._normalisers[key] = self._softmax.normaliser(logits, temperature)
        return value

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
        text: dict[int, str] = {}
        raw: dict[int, bytes] = {}
        for token in sorted(new):
            piece = self.model.piece(token)
            try:
                text[token] = piece.decode()
            except UnicodeDecodeError:
                raw[token] = piece
        return Pieces(text=text, raw=raw, control=tuple(sorted(filter(self.model.is_control, new))))

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
        self._banned = [token for token in self.model.end_tokens if settings.ignore_eos and token < self._n_shared]
        self._softmax = Softmax(self.model.n_vocab)
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
            logits = self.context.logits(-1)
            token = greedy(logits[: self._n_shared], self._banned)
            ids.append(token)
            if measure:
                normaliser = self._softmax.normaliser(logits)
                qs.append(probability(float(logits[token]), normaliser))
            if settings.detail:
                top.append(self._softmax.top(logits, settings.top_k, normaliser))
                np.copyto(self._kept[self._n_kept], logits)
                self._n_kept += 1
            if settings.p_min > 0 and qs[-1] < settings.p_min:
                break
            n_send += 1
            if self.model.is_end(token):
                break
            new = [token]
        return Draft(tuple(ids), n_send, tuple(qs), (1.0,) * len(qs), tuple(top))

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


def greedy(logits: Logits, banned: Sequence[int]) -> int:
    """Return the most probable token that is not banned (the lowest id among equals)."""
    if not banned:
        return int(logits.argmax())
    saved = logits[banned]
    logits[banned] = -np.inf
    token = int(logits.argmax())
    logits[banned] = saved
    return token

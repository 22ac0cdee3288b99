"""llama.cpp as the decoding loop sees it: a main model and a draft model on their own contexts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specviz.decoding import NO_DRAFT, Certainty, Distribution, Draft, Look, Policy, sampled_draft
from specviz.decoding.distribution import all_ids
from specviz.engines.llamacpp.context import Context, Logits
from specviz.engines.llamacpp.model import Model
from specviz.engines.row import UNREADABLE, Row
from specviz.trace import Pieces, Settings
from specviz.trace.events import Candidates

Recent = Callable[[int], list[int]]
"""Gives the last n tokens before the one to be drawn."""


class NativeSampler:
    """The samplers of `specviz.decoding.distribution`, run by llama.cpp's C chain where they sort.

    Without top-k, top-p and min-p nothing has to be sorted, and numpy is quicker than the chain.

    Parameters
    ----------
    n_allowed
        Ids from here on are never drawn: those that only the draft model has.
    """

    def __init__(self, model: Model, settings: Settings, n_allowed: int | None = None) -> None:
        self._lib, self._settings = model.lib, settings
        self._banned = sorted(model.end_tokens) if settings.ignore_eos else []
        if n_allowed is not None and n_allowed < model.n_vocab:
            self._banned += [id for id in range(n_allowed, model.n_vocab) if id not in self._banned]
        self._all = all_ids(model.n_vocab)
        self._chain = None
        if settings.temperature > 0 and (settings.top_k > 0 or settings.top_p < 1 or settings.min_p > 0):
            self._data = np.zeros(model.n_vocab, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
            self._chain = self._make_chain()

    def _make_chain(self) -> Any:
        lib, settings = self._lib, self._settings
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if settings.top_k > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(settings.top_k))
        if settings.top_p < 1:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(settings.top_p, 1))
        if settings.min_p > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_min_p(settings.min_p, 1))
        return chain

    def favourite(self, row: Row, recent: Recent) -> int:
        """Return the most probable token that may be drawn."""
        if self._settings.repeat_penalty == 1:
            return row.greedy(self._banned)
        return int(self._penalised(row.logits, recent).argmax())

    def distribution(self, row: Row, recent: Recent) -> Distribution:
        """Return what is drawn from; `recent(n)` gives the last n tokens before the one to be drawn."""
        settings = self._settings
        if settings.temperature == 0:
            return Certainty(self.favourite(row, recent))
        logits = self._penalised(row.logits, recent)
        ids = self._all
        if self._chain is not None:
            ids, logits = self._filtered(logits)
        scaled = logits - logits.max()
        if settings.temperature != 1:
            scaled /= np.float32(settings.temperature)
        np.exp(scaled, out=scaled)
        scaled /= scaled.sum(dtype=np.float64)
        return Distribution(ids, scaled)

    def _penalised(self, logits: Logits, recent: Recent) -> Logits:
        settings = self._settings
        if settings.repeat_penalty == 1 and not self._banned:
            return logits
        logits = logits.copy()
        if settings.repeat_penalty != 1 and settings.repeat_last_n > 0:
            seen = np.unique(recent(settings.repeat_last_n))
            penalty, of_seen = np.float32(settings.repeat_penalty), logits[seen]
            logits[seen] = np.where(of_seen > 0, of_seen / penalty, of_seen * penalty)
        logits[self._banned] = -np.inf
        return logits

    def _filtered(self, logits: Logits) -> tuple[NDArray[np.int64], Logits]:
        """Apply top-k, top-p and min-p; return the ids that are left, ascending, with their logits."""
        lib, data = self._lib, self._data
        data["id"], data["logit"] = self._all, logits
        array = lib.llama_token_data_array(
            data=ctypes.cast(data.ctypes.data, lib.llama_token_data_p), size=len(data), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        left = data[: array.size]
        left = left[left["logit"] > -np.inf]
        left = left[np.argsort(left["id"])]
        return left["id"].astype(np.int64), left["logit"]

    def close(self) -> None:
        """Free the chain."""
        if self._chain is not None:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None


class LlamaMain:
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        self.context, self.settings = context, settings
        self.model = context.model
        self.n_ctx = context.n_ctx
        self._stopped = stopped
        self._sampler = NativeSampler(self.model, settings)
        self._scratch = np.empty(self.model.n_vocab, np.float32)
        self._rows: dict[int, Row] = {}
        self._distributions: dict[int, Distribution] = {}
        self._before = 0
        self._named: set[int] = set()
        self._control = self.model.control_tokens

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
        return Pieces.of({token: self.model.piece(token) for token in new}, new & self._control)

    def close(self) -> None:
        """Free the sampler; the context stays, with its cache."""
        self._sampler.close()


class LlamaDrafter:
    """A draft model (`specviz.decoding.Drafter`).

    Under the rule `match` it proposes its favourite token, as llama.cpp drafts; under `rejection` it samples, as its
    proof wants, from what the same sampler makes of its logits. Its cache keeps what it evaluated while drafting, so
    that a round costs one pass per drafted token and nothing for those that were accepted.
    """

    kind = "model"

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool], *, n_vocab_main: int) -> None:
        self.context, self.settings = context, settings
        self.model = context.model
        self._stopped = stopped
        self._n_vocab_main = n_vocab_main
        self._sampler = NativeSampler(self.model, settings, n_vocab_main)
        self._rng = np.random.default_rng((settings.seed or 0, 1)) if sampled_draft(settings) else None
        self._scratch = np.empty(self.model.n_vocab, np.float32)
        self._agreed = 0
        self._kept: list[Logits] = []
        """Copies of the logits of this round's positions, in buffers that are used again."""
        self._n_kept = 0
        self._best: list[int] = []
        """The most probable token of each of those positions."""

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        if len(prompt) > self.context.n_ctx:
            return 0
        reused = self.context.prefill(self._readable(prompt[:-1]), self._stopped)
        self._agreed = len(prompt) - 1
        return reused

    def _readable(self, tokens: Sequence[int]) -> Sequence[int]:
        """Put UNREADABLE for ids that only the main model has (llama.cpp takes pairs that differ by up to 128)."""
        n_vocab = self.model.n_vocab
        if n_vocab >= self._n_vocab_main:
            return tokens
        return [token if token < n_vocab else UNREADABLE for token in tokens]

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        """Propose as many tokens as the policy wants; fewer at an end token or the end of the draft's context."""
        self._n_kept = 0
        self._best.clear()
        room = min(room, self.context.n_ctx - len(history))
        if room < 1:
            return NO_DRAFT
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
        while True:
            if kept == room:
                ended = "room"
                break
            ended = policy.more(kept)
            if ended or self._stopped():
                break
            self.context.evaluate(new or self._rewind(history), all_logits=False)
            row = Row(self.context.logits(-1), self._scratch)
            recent = partial(self._recent, history, ids.copy())
            favourite = self._sampler.favourite(row, recent)
            if policy.looks:
                entropy = row.entropy() if policy.wants_entropy else None
                looks.append(Look(row.probability(favourite), entropy))
                ended = policy.cutoff(kept, looks[-1])
            token = favourite
            if self._rng is not None:
                distributions.append(self._sampler.distribution(row, recent))
                token = distributions[-1].draw(self._rng.random())
            ids.append(token)
            if measure:
                qs.append(row.probability(token))
                shaped.append(distributions[-1].probability(token) if distributions else 1.0)
            if settings.detail:
                top.append(tuple(one for one in row.top(settings.n_candidates) if one[0] < self._n_vocab_main))
                self._keep(row)
            if ended:
                break
            kept += 1
            if self.model.is_end(token):
                ended = "end"
                break
            new = [token]
        n_send = kept if self._rng is not None else policy.send(kept)
        decision = policy.decision(ended, kept, looks)
        return Draft(tuple(ids), n_send, tuple(distributions), tuple(qs), tuple(shaped), tuple(top), decision)

    def _keep(self, row: Row) -> None:
        if self._n_kept == len(self._kept):
            self._kept.append(np.empty_like(row.logits))
        np.copyto(self._kept[self._n_kept], row.logits)
        self._best.append(row.best)
        self._n_kept += 1

    @staticmethod
    def _recent(history: Sequence[int], ids: Sequence[int], n: int) -> list[int]:
        """The last n tokens of the history as the draft would have it."""
        return [*history[-n:], *ids][-n:]

    def close(self) -> None:
        """Free the sampler; the context stays, with its cache."""
        self._sampler.close()

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
        if i >= self._n_kept or token >= self.model.n_vocab:
            return None
        logits = self._kept[i]
        if token == self._best[i]:
            return 1
        return 1 + int(np.count_nonzero(logits > logits[token]))

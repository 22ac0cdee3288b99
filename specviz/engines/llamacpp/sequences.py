"""llama.cpp as the decoding loop sees it: a main model and a draft model on their own contexts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specviz.decoding import NO_DRAFT, Distribution, Draft, Look, Policy, sampled_draft
from specviz.engines.llamacpp.context import Context, Logits
from specviz.engines.llamacpp.grammar import Grammar
from specviz.engines.llamacpp.model import Model
from specviz.engines.row import Row
from specviz.engines.sampler import Sampler
from specviz.engines.sequences import DraftHistory, ScoringModel, recent
from specviz.trace import Settings
from specviz.trace.events import Candidates


class NativeSampler(Sampler):
    """The samplers, run by llama.cpp's C chain where they sort.

    Without top-k, top-p and min-p nothing has to be sorted, and numpy is quicker than the chain.
    """

    def __init__(self, model: Model, settings: Settings, n_allowed: int | None = None) -> None:
        super().__init__(settings, n_vocab=model.n_vocab, end_tokens=model.end_tokens, n_allowed=n_allowed)
        self._lib = model.lib
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

    def _filtered(self, logits: Logits) -> NDArray[np.int64]:
        """Return the ids, ascending, that top-k, top-p and min-p leave."""
        lib, data = self._lib, self._data
        data["id"], data["logit"] = self._all, logits
        array = lib.llama_token_data_array(
            data=ctypes.cast(data.ctypes.data, lib.llama_token_data_p), size=len(data), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        left = data[: array.size]
        return np.sort(left["id"][left["logit"] > -np.inf]).astype(np.int64)

    def close(self) -> None:
        """Free the chain."""
        if self._chain is not None:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None


class LlamaMain(ScoringModel):
    """The main model in one generation (`specviz.decoding.MainModel`)."""

    def __init__(self, context: Context, settings: Settings, stopped: Callable[[], bool]) -> None:
        model = context.model
        super().__init__(model, context, settings, stopped, NativeSampler(model, settings), model.n_vocab)
        self._grammar = Grammar(model, settings.json_schema) if settings.json_schema else None
        self._n_prompt = 0

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it is not in the cache."""
        self._n_prompt = len(prompt)
        return super().begin(prompt)

    def rewind(self, n: int) -> None:
        """Shorten the cache."""
        super().rewind(n)
        if self._grammar is not None:
            self._grammar.rewind(n - self._n_prompt)

    def sampled_row(self, i: int) -> Row:
        """The logits that the sampler sees: with a grammar, only those of tokens that may follow."""
        row = super().sampled_row(i)
        if self._grammar is None:
            return row
        answer = self.context.tokens[self._n_prompt : self._before + i + 1]
        if (
            self.settings.temperature == 0
            and self.settings.repeat_penalty == 1
            and self._grammar.allows(answer, row.best)
        ):
            return row
        return Row(self._grammar.masked(answer, row.logits), self._scratch)

    def close(self) -> None:
        """Free the sampler and the grammar; the context stays, with its cache."""
        super().close()
        if self._grammar is not None:
            self._grammar.close()


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
        self._history = DraftHistory(context, stopped, n_vocab=self.model.n_vocab, n_vocab_main=n_vocab_main)
        self._kept: list[Logits] = []
        """Copies of the logits of this round's positions, in buffers that are used again."""
        self._n_kept = 0
        self._best: list[int] = []
        """The most probable token of each of those positions."""

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token, as far as it fits and is not in the cache."""
        return self._history.begin(prompt)

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
            self.context.evaluate(new or self._history.rewind(history), all_logits=False)
            row = Row(self.context.logits(-1), self._scratch)
            before = partial(recent, history, ids.copy())
            favourite = self._sampler.favourite(row, before)
            if policy.looks:
                entropy = row.entropy() if policy.wants_entropy else None
                looks.append(Look(row.probability(favourite), entropy))
                ended = policy.cutoff(kept, looks[-1])
            token = favourite
            if self._rng is not None:
                distributions.append(self._sampler.distribution(row, before))
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

    def close(self) -> None:
        """Free the sampler; the context stays, with its cache."""
        self._sampler.close()

    def rank(self, i: int, token: int) -> int | None:
        """Rank of a token where the i-th drafted one came from."""
        if i >= self._n_kept or token >= self.model.n_vocab:
            return None
        logits = self._kept[i]
        if token == self._best[i]:
            return 1
        return 1 + int(np.count_nonzero(logits > logits[token]))

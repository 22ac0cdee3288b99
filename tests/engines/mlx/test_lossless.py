"""Both rules keep the distribution of plain sampling, through MLX's models, caches and sampler."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.decoding import check_settings, decode, distribution, policy_of
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.engines.row import Row
from specviz.engines.sampler import Sampler
from specviz.trace import Round
from tests.decoding.test_lossless import POLICIES, SAMPLERS, check_goodness_of_fit, named
from tests.engines.mlx.folders import N_VOCAB

PROMPT = [1, 7, 11, 4]
N_ANSWERS = 400


def exact(main, asked, length):
    """Enumerate the answers of `length` tokens (an end token ends them) with their probabilities, by the reference."""
    banned = sorted(main.model.end_tokens) if asked.ignore_eos else []
    answers, finished = {(): 1.0}, {}
    for _ in range(length):
        longer = {}
        for answer, p in answers.items():
            history = [*PROMPT, *answer]
            main.context.prefill(history[:-1], lambda: False)
            main.context.evaluate(history[-1:])
            next_token = distribution(main.context.logits(0), asked, history, banned)
            for token, share in zip(next_token.ids.tolist(), next_token.probabilities.tolist(), strict=True):
                (finished if token in main.model.end_tokens else longer)[(*answer, token)] = p * share
        answers = longer
    return finished | answers


def count(main, draft, asked_with):
    """Count the first two tokens of many answers; also return how many drafted tokens were accepted."""
    counts, accepted = Counter(), 0
    for seed in range(N_ANSWERS):
        asked = check_settings(**{"max_tokens": 4, "seed": seed, "detail": False} | asked_with)
        mains = MlxMain(main.model, main.context, asked, lambda: False)
        drafts = MlxDrafter(draft.model, draft.context, asked, lambda: False, n_vocab_main=N_VOCAB)
        ids = []
        for event in decode(mains, drafts, PROMPT, asked, policy_of(asked)):
            if isinstance(event, Round):
                ids.extend(event.emitted)
                accepted += event.accepted
                if len(ids) >= 2:
                    break
        end = next((i + 1 for i, id in enumerate(ids) if id in main.model.end_tokens), len(ids))
        counts[tuple(ids[: min(2, end)])] += 1
    return counts, accepted


@pytest.mark.parametrize("sampler", [SAMPLERS[i] for i in (0, 2, 5, 6)], ids=named)
@pytest.mark.parametrize("rule", ["match", "rejection"])
def test_every_sampler_through_mlx(tiny, sampler, rule):
    expected = exact(tiny["main"], check_settings(**sampler), 2)
    accepted = 0
    for name, policy in (("alike", POLICIES[1]), ("unlike", POLICIES[2])):
        counts, taken = count(tiny["main"], tiny[name], sampler | policy | {"rule": rule})
        check_goodness_of_fit(counts, expected)
        accepted += taken
    assert accepted > 0, "drafting took part"


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 4, 100]),
    top_p=st.sampled_from([0.1, 0.7, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    repeat_penalty=st.sampled_from([0.5, 1.0, 1.3]),
    repeat_last_n=st.integers(0, 6),
    ignore_eos=st.booleans(),
)
def test_the_sampler_is_the_reference(seed, **given_settings):
    asked = check_settings(**given_settings)
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, N_VOCAB).astype(np.float32)
    recent = rng.integers(0, N_VOCAB, 8).tolist()
    ends = [2, 9]
    sampler = Sampler(asked, n_vocab=N_VOCAB, end_tokens=ends)
    ours = sampler.distribution(Row(logits.copy(), np.empty_like(logits)), lambda n: recent[-n:])
    reference = distribution(logits, asked, recent, ends if asked.ignore_eos else [])
    possible = ours.probabilities > 0
    assert ours.ids[possible].tolist() == reference.ids.tolist()
    assert ours.probabilities[possible] == pytest.approx(reference.probabilities, rel=1e-4, abs=1e-9)

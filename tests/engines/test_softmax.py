"""The engine's probabilities against a double-precision softmax."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.engines.llamacpp.sequences import Softmax, greedy, probability


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1, 10, 60]), st.sampled_from([0.3, 0.7, 1.0, 2.0]))
def test_probabilities_and_top_candidates(seed, scale, temperature):
    n = 500
    logits = np.random.default_rng(seed).normal(0, scale, n).astype(np.float32)
    before = logits.copy()
    exact = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    exact /= exact.sum()
    softmax = Softmax(n)
    normaliser = softmax.normaliser(logits, temperature)
    got = np.array([probability(float(logit) / temperature, normaliser) for logit in logits])
    assert got == pytest.approx(exact, rel=2e-4, abs=1e-12)
    top = softmax.top(logits, 5, softmax.normaliser(logits))
    assert [id for id, _ in top] == list(np.argsort(-logits, kind="stable")[:5])
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(top))
    assert np.array_equal(logits, before)


def test_greedy_takes_the_lowest_id_among_equals_and_respects_bans():
    logits = np.array([0.0, 2.0, 2.0, 1.0], np.float32)
    assert greedy(logits, []) == 1
    assert greedy(logits, [1]) == 2
    assert greedy(logits, [1, 2]) == 3
    assert list(logits) == [0.0, 2.0, 2.0, 1.0]

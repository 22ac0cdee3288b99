"""The engine's probabilities against a double-precision softmax."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.engines.row import Row


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1, 10, 60]))
def test_probabilities_and_top_candidates(seed, scale):
    n = 500
    logits = np.random.default_rng(seed).normal(0, scale, n).astype(np.float32)
    before = logits.copy()
    exact = np.exp(logits.astype(np.float64) - logits.max())
    exact /= exact.sum()
    row = Row(logits, np.empty(n, np.float32))
    got = np.array([row.probability(token) for token in range(n)])
    assert got == pytest.approx(exact, rel=2e-4, abs=1e-12)
    top = row.top(5)
    assert [id for id, _ in top] == list(np.argsort(-logits, kind="stable")[:5])
    assert [p for _, p in top] == pytest.approx([row.probability(id) for id, _ in top])
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(top))
    assert np.array_equal(logits, before)


@pytest.mark.parametrize("shift", [-1000.0, -60.0, 0.0, 69.0, 1000.0])
def test_probabilities_do_not_depend_on_a_shift_of_all_logits(shift):
    logits = np.full(50_000, shift, np.float32)
    assert Row(logits, np.empty_like(logits)).probability(7) == pytest.approx(1 / 50_000, rel=1e-3)


def test_greedy_takes_the_lowest_id_among_equals_and_respects_bans():
    row = Row(np.array([0.0, 2.0, 2.0, 1.0], np.float32), np.empty(4, np.float32))
    assert row.greedy([]) == 1
    assert row.greedy([1]) == 2
    assert row.greedy([1, 2]) == 3
    assert list(row.logits) == [0.0, 2.0, 2.0, 1.0]

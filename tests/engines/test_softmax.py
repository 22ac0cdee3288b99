"""The engine's probabilities against a double-precision softmax."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.engines.llamacpp.sequences import Row


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1, 10, 60]), st.sampled_from([0.3, 0.7, 1.0, 2.0]))
def test_probabilities_and_top_candidates(seed, scale, temperature):
    n = 500
    logits = np.random.default_rng(seed).normal(0, scale, n).astype(np.float32)
    before = logits.copy()
    exact = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    exact /= exact.sum()
    row = Row(logits, np.empty(n, np.float32))
    got = np.array([row.shaped_probability(token, temperature, []) for token in range(n)])
    assert got == pytest.approx(exact, rel=2e-4, abs=1e-12)
    top = row.top(5)
    assert [id for id, _ in top] == list(np.argsort(-logits, kind="stable")[:5])
    assert [p for _, p in top] == pytest.approx([row.probability(id) for id, _ in top])
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(top))
    assert np.array_equal(logits, before)


def test_a_ban_takes_its_share_of_the_probability():
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    row = Row(logits, np.empty(3, np.float32))
    assert row.shaped_probability(1, 1.0, [0]) == pytest.approx(0.6)
    assert row.shaped_probability(0, 1.0, [0]) == 0
    assert row.probability(1) == pytest.approx(0.3)


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

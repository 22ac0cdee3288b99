"""The sampler reference, by hand and by its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.decoding import Distribution, check_settings, distribution

LOGITS = np.log([0.1, 0.4, 0.2, 0.3])


def shaped(recent=(), banned=(), logits=LOGITS, **settings):
    made = distribution(logits, check_settings(**settings), recent, banned)
    return dict(zip(made.ids.tolist(), made.probabilities.round(6).tolist(), strict=True))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temperature": 1.0}, {0: 0.1, 1: 0.4, 2: 0.2, 3: 0.3}),
        ({"temperature": 0.5}, {0: 0.033333, 1: 0.533333, 2: 0.133333, 3: 0.3}),
        ({"temperature": 1.0, "top_k": 2}, {1: 0.571429, 3: 0.428571}),
        ({"temperature": 1.0, "top_p": 0.65}, {1: 0.571429, 3: 0.428571}),
        ({"temperature": 1.0, "top_p": 0.75}, {1: 0.444444, 2: 0.222222, 3: 0.333333}),
        ({"temperature": 1.0, "min_p": 0.6}, {1: 0.571429, 3: 0.428571}),
        ({"temperature": 0.0, "top_k": 2}, {1: 1.0}),
    ],
)
def test_by_hand(settings, expected):
    assert shaped(**settings) == pytest.approx(expected, abs=2e-6)


def test_the_filters_see_temperature_1():
    assert set(shaped(temperature=100.0, top_p=0.65)) == {1, 3}


def test_a_ban_and_a_penalty():
    assert shaped(temperature=1.0, banned=[1]) == pytest.approx({0: 1 / 6, 2: 1 / 3, 3: 0.5}, abs=2e-6)
    assert shaped(temperature=0.0, banned=[1]) == {3: 1.0}
    logits = np.array([1.0, 3.0, 2.0, -1.0])
    assert shaped(recent=[1, 1, 3], logits=logits, temperature=0.0, repeat_penalty=2.0) == {2: 1.0}
    twice = distribution(logits, check_settings(temperature=1.0, repeat_penalty=2.0), [1, 3], [])
    assert np.log(twice.probabilities / twice.probabilities[0]) + 1 == pytest.approx([1.0, 1.5, 2.0, -2.0])
    assert shaped(recent=[1, 0], logits=logits, temperature=0.0, repeat_penalty=9.0, repeat_last_n=1) == {1: 1.0}


@st.composite
def distributions(draw, n=8):
    ids = sorted(draw(st.sets(st.integers(0, n - 1), min_size=1)))
    weights = np.array(draw(st.lists(st.floats(0.01, 1), min_size=len(ids), max_size=len(ids))))
    return Distribution(np.array(ids), weights / weights.sum())


@given(distributions(), distributions())
def test_accept_or_residual_gives_back_p(p, q):
    """min(p, q) + P(rejected) * residual = p, token by token: why rejection sampling is lossless."""
    accepted = np.array([min(p.probability(token), q.probability(token)) for token in range(8)])
    residual = p.residual(q)
    total = accepted + (1 - accepted.sum()) * np.array([residual.probability(token) for token in range(8)])
    assert total == pytest.approx([p.probability(token) for token in range(8)], abs=1e-9)
    assert residual.probabilities.sum() == pytest.approx(1)


@given(distributions())
def test_draw_inverts_the_cumulative_distribution(p):
    n = 4001
    drawn = [p.draw((i + 0.5) / n) for i in range(n)]
    for token in range(8):
        assert drawn.count(token) / n == pytest.approx(p.probability(token), abs=2 / n)
    assert p.draw(0.0) in p.ids and p.draw(np.nextafter(1, 0)) in p.ids

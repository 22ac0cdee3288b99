"""An interval covers what it claims, also for few prompts, and says what it may."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.lab.interval import geometric_mean


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_it_holds_the_truth_in_19_of_20_cases(n):
    rng = np.random.default_rng(n)
    truth, trials = 1.3, 400
    held = 0
    for seed in range(trials):
        found = geometric_mean(truth * np.exp(rng.normal(0, 0.2, n)), seed)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / trials <= 0.99


@given(st.lists(st.floats(0.2, 5), min_size=2, max_size=12))
def test_it_lies_around_the_geometric_mean(ratios):
    found = geometric_mean(ratios)
    assert found.ratio == pytest.approx(np.exp(np.mean(np.log(ratios))))
    assert found.low <= found.ratio * (1 + 1e-9) and found.ratio <= found.high * (1 + 1e-9)
    upside_down = geometric_mean([1 / ratio for ratio in ratios])
    assert upside_down.ratio == pytest.approx(1 / found.ratio)


def test_in_words():
    assert str(geometric_mean([1.4, 1.5, 1.45, 1.42, 1.47])).startswith("1.45x, 95 % CI 1.4")
    assert geometric_mean([0.98, 1.03, 1.0]).inside_the_noise
    once = geometric_mean([1.7])
    assert once.inside_the_noise and "no interval" in str(once)


@pytest.mark.parametrize("ratios", [[], [1.0, 0.0], [1.0, float("nan")], [float("inf")], [-1.0]])
def test_what_is_no_ratio_is_refused(ratios):
    with pytest.raises(ValueError, match="positive ratios"):
        geometric_mean(ratios)

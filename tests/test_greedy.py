"""The promise: with a draft the main model says what it says without one."""

import pytest

import specviz as sv
from tests.greedy import PROMPTS, margin_at_first_difference

MAX_TOKENS = 128
TIE_LOGITS = 0.05
"""For 16-bit mains, whose kernels round differently by width: the largest margin that counts as a tie."""


def test_the_4_bit_main_says_exactly_the_same(pair):
    differing = []
    for prompt in PROMPTS:
        drafted = pair.generate(prompt, max_tokens=MAX_TOKENS)
        plain = pair.generate(prompt, max_tokens=MAX_TOKENS, draft=None)
        assert drafted.stats.drafting_rounds > 0 and plain.stats.drafting_rounds == 0
        if drafted.token_ids != plain.token_ids:
            differing.append(prompt)
    assert not differing


@pytest.mark.parametrize("settings", [{"p_min": 0.5}, {"num_draft_tokens": 8}, {"num_draft_tokens": 1}])
def test_at_other_lengths_and_cutoffs_too(pair, settings):
    for prompt in PROMPTS[:3]:
        drafted = pair.generate(prompt, max_tokens=96, **settings)
        assert drafted.token_ids == pair.generate(prompt, max_tokens=96, draft=None).token_ids


def test_the_16_bit_main_differs_at_ties_only(capsys):
    ties, wrong = [], []
    with sv.load("f16", "17m") as pair:
        for prompt in PROMPTS:
            drafted = pair.generate(prompt, max_tokens=MAX_TOKENS)
            plain = pair.generate(prompt, max_tokens=MAX_TOKENS, draft=None)
            margin = margin_at_first_difference(plain, drafted)
            if margin is not None:
                (ties if margin <= TIE_LOGITS else wrong).append((prompt, margin))
    with capsys.disabled():
        print(f"\n16-bit main: {len(ties)} of {len(PROMPTS)} texts differ, at margins {[round(m, 4) for _, m in ties]}")
    assert not wrong

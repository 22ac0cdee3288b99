"""Each policy by itself: what it drafts, what it sends, what the trace says of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.decoding import Look, NoDrafter, check_settings, decode, policy_of
from specviz.decoding.settings import MAX_SEED
from specviz.trace import Round
from tests.toy import ToyDrafter, ToyMain


def rounds(main, draft, *, rng=None, **asked):
    """Rounds of a greedy (or sampled) run on toy models."""
    settings = check_settings(max_tokens=40, **asked)
    drafter = NoDrafter() if draft is None else ToyDrafter(draft, rng)
    greedy = settings.temperature == 0
    events = decode(ToyMain(main, greedy=greedy), drafter, [1], settings, policy_of(settings))
    return [event for event in events if isinstance(event, Round)]


@st.composite
def drafts(draw, n=6):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    main = rng.dirichlet(np.full(n, 0.4), size=n)
    return main, 0.6 * main + 0.4 * rng.dirichlet(np.full(n, 0.4), size=n)


def entropy(row):
    return -sum(p * np.log(p) for p in row if p > 0)


@given(drafts(), st.integers(1, 6), st.floats(0.05, 0.95), st.floats(0.1, 1.7), st.integers(0, 4))
def test_cutoffs_send_only_what_passes_them(pair, length, p_min, entropy_max, n_min):
    main, table = pair
    n_min = min(n_min, length)
    output = [1]
    for round in rounds(main, table, num_draft_tokens=length, p_min=p_min, entropy_max=entropy_max, n_min=n_min):
        decision = round.decision
        if decision is None:  # no room
            output.extend(round.emitted)
            continue
        context = [output[-1], *round.drafted][: len(round.drafted)]
        assert decision.confidence == pytest.approx([table[token].max() for token in context])
        assert decision.entropy == pytest.approx([entropy(table[token]) for token in context])
        passes = [
            confidence >= p_min and nats <= entropy_max
            for confidence, nats in zip(decision.confidence, decision.entropy, strict=True)
        ]
        assert all(passes[: decision.kept]) and decision.kept <= length
        assert round.sent == (decision.kept if decision.kept >= n_min else 0)
        if decision.ended in ("p_min", "entropy"):
            assert not passes[decision.kept] and len(round.drafted) == decision.kept + 1
        else:
            assert len(round.drafted) == decision.kept
            assert decision.ended == "room" or (decision.ended == "length" and decision.kept == length)
        output.extend(round.emitted)


@given(drafts(), st.integers(0, MAX_SEED))
def test_a_sampled_draft_once_begun_reaches_n_min(pair, seed):
    main, table = pair
    asked = {"num_draft_tokens": 4, "p_min": 0.6, "n_min": 3, "rule": "rejection", "temperature": 1.0, "seed": seed}
    for round in rounds(main, table, rng=np.random.default_rng(seed), **asked):
        if round.decision is not None and round.decision.ended != "room":
            assert round.sent == 0 or round.sent >= 3


def test_a_plain_cutoff_is_compared_strictly():
    policy = policy_of(check_settings(num_draft_tokens=3, p_min=0.5))
    assert policy.cutoff(0, Look(0.5)) == "" and policy.cutoff(0, Look(0.499)) == "p_min"
    assert policy.more(2) == "" and policy.more(3) == "length"


def test_without_a_drafter_there_is_nothing_to_decide():
    table = np.full((4, 4), 0.25)
    assert all(round.decision is None and not round.drafted for round in rounds(table, None))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"num_draft_tokens": "auto", "p_min": 0.5}, "p_min, n_min and entropy_max need a draft length"),
        ({"num_draft_tokens": "auto", "n_min": 1}, "p_min, n_min and entropy_max need a draft length"),
        ({"num_draft_tokens": 2, "n_min": 3}, "n_min is 3, but num_draft_tokens 2"),
        ({"entropy_max": -0.1}, "entropy_max must be at least 0"),
        ({"entropy_max": float("nan")}, "entropy_max must be at least 0"),
        ({"n_min": -1}, "n_min must be from 0 to"),
    ],
)
def test_out_of_range(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_settings(**given)


def test_a_length_that_is_neither_a_number_nor_auto():
    with pytest.raises(TypeError, match="num_draft_tokens"):
        check_settings(num_draft_tokens="long")

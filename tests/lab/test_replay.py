"""Replaying a text is decoding it: the same accepted tokens in the same rounds, for every length and cutoff."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.decoding import check_settings, continuations, decode, policy_of, score
from specviz.decoding.score import WIDTH
from specviz.lab.replay import replay
from specviz.trace import Round
from tests.toy import ToyDrafter, ToyMain


@st.composite
def toy_pairs(draw):
    """A main model and a draft that often agrees with it; token 0 ends a text and may be rare or frequent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_vocab = draw(st.integers(3, 9))
    main = rng.dirichlet(np.full(n_vocab, 0.5), size=n_vocab)
    other = rng.dirichlet(np.full(n_vocab, 0.5), size=n_vocab)
    draft = 0.7 * main + 0.3 * other
    if draw(st.booleans()):
        main[:, 0] = draft[:, 0] = 0
    return main, draft


def run(main, draft, **settings):
    asked = check_settings(temperature=0, detail=False, **settings)
    events = list(decode(ToyMain(main), ToyDrafter(draft, ends=True), [1], asked, policy_of(asked)))
    rounds = [event for event in events if isinstance(event, Round)]
    return [id for round in rounds for id in round.emitted], rounds


@given(
    pair=toy_pairs(),
    max_tokens=st.integers(1, 50),
    length=st.integers(0, 16),
    p_min=st.sampled_from([0.0, 0.3, 0.6, 0.9]),
    n_min=st.integers(0, 6),
)
def test_a_replay_is_a_real_run(pair, max_tokens, length, p_min, n_min):
    main, draft = pair
    n_min = min(n_min, length)
    text, _ = run(main, draft, max_tokens=max_tokens, num_draft_tokens=0)
    model = ToyMain(draft)
    scores = list(score(model, [1], text))
    after = continuations(model, [1], text, [one.favourite for one in scores], 16)
    assert len(scores) == len(after) == len(text)
    again, rounds = run(main, draft, max_tokens=max_tokens, num_draft_tokens=length, p_min=p_min, n_min=n_min)
    assert again == text
    given = {
        "matches": [one.favourite == token for one, token in zip(scores, text, strict=True)],
        "num_draft_tokens": length,
        "confidence": [one.confidence for one in scores],
        "p_min": p_min,
        "limit": max_tokens,
    }
    replayed = replay(**given, n_min=n_min, after=after)
    assert replayed.accepted == tuple(round.accepted for round in rounds)
    assert replayed.sent == tuple(round.sent for round in rounds)
    assert replayed.drafted == tuple(len(round.drafted) for round in rounds)
    assert replayed.exact and replayed.n_tokens == len(text) and replayed.rounds == len(rounds)
    if n_min <= 1:
        without = replay(**given)
        assert without.accepted == replayed.accepted
        assert all(a >= b for a, b in zip(without.drafted, replayed.drafted, strict=True)), "at most so many"
        assert without.exact == (length == 0)


@given(matches=st.lists(st.booleans(), min_size=1, max_size=80), length=st.integers(0, 16))
def test_every_token_is_accepted_or_closes_a_round(matches, length):
    result = replay(matches, length, limit=len(matches))
    assert result.n_accepted + result.rounds == len(matches)
    assert result.tokens_per_round == pytest.approx(len(matches) / result.rounds)
    assert replay(matches, length + 1, limit=len(matches)).rounds <= result.rounds, (
        "a longer draft never takes more passes"
    )


def test_no_text_has_no_rounds():
    assert replay([], 4).tokens_per_round == 0


def test_a_cutoff_needs_confidences():
    with pytest.raises(ValueError, match="confidence"):
        replay([True, False], 4, p_min=0.5)
    with pytest.raises(ValueError, match="confidence"):
        replay([True, False], 4, confidence=[0.5], p_min=0.5)


def test_n_min_needs_continuations_and_they_must_be_of_this_text():
    with pytest.raises(ValueError, match="thorough"):
        replay([True, False], 4, n_min=2)
    with pytest.raises(ValueError, match="another text"):
        replay([True, False], 4, after=[()])


def test_scores_are_those_of_single_steps():
    rng = np.random.default_rng(5)
    table = rng.dirichlet(np.ones(7), size=7)
    text = rng.integers(1, 7, 3 * WIDTH + 5).tolist()
    model = ToyMain(table)
    scores = list(score(model, [2, 3], text))
    assert model.passes == 4
    for before, token, one in zip([3, *text], text, scores, strict=False):
        assert one.favourite == table[before].argmax()
        assert one.confidence == table[before].max()
        assert one.probability == table[before, token]

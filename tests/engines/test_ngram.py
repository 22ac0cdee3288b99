"""Lookup of n-grams, against the plain definition."""

from hypothesis import given
from hypothesis import strategies as st

from specviz.decoding import FixedLength, check_settings, policy_of
from specviz.engines.ngram import LONGEST, SHORTEST, NGramDrafter

texts = st.lists(st.integers(1, 3), min_size=1, max_size=40)


def looked_up(history, k):
    """The definition: after the latest earlier occurrence of the longest suffix, repeating what runs past the end."""
    for n in range(LONGEST, SHORTEST - 1, -1):
        suffix = history[-n:]
        if len(suffix) < n:
            continue
        for end in range(len(history) - 1, n - 1, -1):
            if history[end - n : end] == suffix:
                text = list(history)
                for at in range(end, end + k):
                    text.append(text[at])
                return tuple(text[len(history) :]), n
    return (), 0


@given(texts, st.lists(st.integers(1, 3), max_size=20), st.integers(1, 9))
def test_it_proposes_what_followed_the_same_words(prompt, output, k):
    drafter = NGramDrafter()
    drafter.begin(prompt)
    history = list(prompt)
    for token in [*output, 1]:
        draft = drafter.draft(history, 64, FixedLength(k))
        assert draft.ids == looked_up(history, k)[0]
        assert draft.n_send == len(draft.ids)
        assert draft.q == (None,) * len(draft.ids)
        history.append(token)


def test_a_cutoff_asks_for_longer_agreement():
    drafter = NGramDrafter()
    prompt = [5, 6, 7, 8, 9, 5, 6]
    drafter.begin(prompt)
    assert drafter.draft(prompt, 64, policy_of(check_settings(p_min=0.7))).send == (7, 8, 9, 5)
    strict = drafter.draft(prompt, 64, policy_of(check_settings(p_min=0.8)))
    assert strict.send == () and strict.ids == (7,) and strict.decision.ended == "p_min"


def test_room_is_kept_and_a_new_prompt_forgets_the_old_one():
    drafter = NGramDrafter()
    drafter.begin([1, 2, 3, 1, 2])
    assert drafter.draft([1, 2, 3, 1, 2], 2, FixedLength(8)).ids == (3, 1)
    drafter.begin([4, 1, 2])
    assert drafter.draft([4, 1, 2], 8, FixedLength(8)).ids == ()

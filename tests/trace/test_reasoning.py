"""What is reasoning does not depend on how the text was cut into tokens, and every round counts once."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specviz.trace import Header, ModelInfo, Pieces, Round, Trace
from specviz.trace.projection import Projection
from specviz.trace.reasoning import TAGS, Reasoning, check_tags, split
from tests.trace.strategies import traces

ALPHABET = "<>/tx`"
tags = st.tuples(st.text(ALPHABET, min_size=1, max_size=4), st.text(ALPHABET, min_size=1, max_size=4))
texts = st.lists(st.text(ALPHABET, max_size=5), max_size=30)


def spoken(*rounds, control=()):
    """A trace of rounds, each the texts of its tokens; all but the last of a round were drafted, half of them kept."""
    pieces = dict.fromkeys(text for texts in rounds for text in texts)
    ids = {text: id for id, text in enumerate(pieces)}
    named = Pieces(text={id: text for text, id in ids.items()}, control=tuple(ids[text] for text in control))
    trace = Trace.of([Header(main=ModelInfo(name="m")), named])
    for index, texts in enumerate(rounds):
        *kept, closing = (ids[text] for text in texts)
        trace.add(
            Round(
                index=index,
                start=len(trace),
                drafted=(*kept, *kept),
                sent=2 * len(kept),
                accepted=len(kept),
                closing=closing,
                verify_seconds=0.5,
            )
        )
    return trace


def stretches(trace, tags=TAGS):
    return [(one.thinking, one.start, one.stop, one.ended) for one in split([trace], tags)]


def blocks(text, begin, end):
    """Where blocks are in a text, character by character: first and last; None: where the text begins or ends."""
    found, opened, since, begun = [], None, 0, False
    for at in range(len(text) + 1):
        seen = text[since:at]
        ended = seen.endswith(end) and (opened is not None or not begun)
        if opened is None and seen.endswith(begin) and not (ended and len(end) > len(begin)):
            opened, since, begun = at - len(begin), at, True
        elif ended:
            found.append((opened, at - 1))
            opened, since, begun = None, at, True
    return found if opened is None else [*found, (opened, None)]


@given(texts, tags)
@example(["a", "<", "t", ">", "b", "</", "t>"], ("<t>", "</t>"))
@example(["x</t>", "y"], ("<t>", "</t>"))
@example(["<t></t><t>", "x"], ("<t>", "</t>"))
@example(["`", "x", "`"], ("`", "`"))
def test_a_token_that_holds_any_of_a_block_belongs_to_it(texts, tags):
    reasoning = Reasoning(tags)
    round = Round(index=0, start=0)
    for text in texts:
        reasoning.add(round, [text])
    holder = [i for i, text in enumerate(texts) for _ in text]
    expected = set()
    for first, last in blocks("".join(texts), *tags):
        start, stop = 0 if first is None else holder[first], len(texts) if last is None else holder[last] + 1
        expected |= set(range(start, stop))
    found = reasoning.stretches()
    assert {i for one in found if one.thinking for i in range(one.start, one.stop)} == expected
    assert [i for one in found for i in range(one.start, one.stop)] == list(range(len(texts)))


@given(traces(), tags, st.sets(st.integers(0, 12)))
def test_every_round_counts_once_and_batches_end_as_the_whole(trace, tags, cuts):
    batched, whole = Projection(tags), Projection(tags)
    told = []
    for i, event in enumerate([*trace.events(), None]):
        if event is not None:
            batched.add(event)
            whole.add(event)
        if i in cuts or event is None:
            columns = batched.take().get("reasoning")
            if columns is not None:
                told[columns["from"] :] = zip(columns["start"], columns["kind"], columns["caption"], strict=True)
    found = split([trace], tags)
    if any(one.thinking for one in found):
        columns = whole.take()["reasoning"]
        assert told == list(zip(columns["start"], columns["kind"], columns["caption"], strict=True))
        assert [caption for _, _, caption in told] == list(map(str, found))
    else:
        assert not told
    if found:
        for count in ("rounds", "tokens", "drafted", "accepted", "unsent", "past_end"):
            assert sum(getattr(one.tally, count) for one in found) == getattr(trace.tally, count)


def test_tags_that_are_split_or_control_tokens():
    whole = [(True, 0, 3, True), (False, 3, 5, False)]
    assert stretches(spoken(["<think>", "hm"], ["</think>", "so"], ["it is"])) == whole
    assert stretches(spoken(["<think>", "hm"], ["</think>", "so"], ["it is"], control=["<think>", "</think>"])) == whole
    assert stretches(spoken(["<", "th"], ["ink>"], ["hm", "</thi"], ["nk>", "so"])) == [
        (True, 0, 6, True),
        (False, 6, 7, False),
    ]


def test_a_block_that_never_ends_or_that_the_prompt_began():
    assert stretches(spoken(["well", "<think>"], ["hm", "hm"])) == [(False, 0, 1, True), (True, 1, 4, False)]
    assert stretches(spoken(["hm", "hm"], ["</think>", "so"])) == [(True, 0, 3, True), (False, 3, 4, False)]
    assert stretches(spoken(["a < b", "<th", "e end"])) == [(False, 0, 3, False)]
    assert stretches(spoken(["<think>", "hm"]), ("", "")) == [(False, 0, 2, False)]


def test_a_round_across_a_border_counts_where_it_began():
    thinking, answer = spoken(["<think>", "hm"], ["hm", "</think>", "so"], ["it", "is"]).reasoning()
    assert (thinking.tally.rounds, thinking.tally.tokens, thinking.stop) == (2, 5, 4)
    assert (answer.tally.rounds, answer.tally.drafted, answer.tally.accepted) == (1, 2, 1)
    assert str(thinking) == "Reasoning: 4 tokens, 50 % of drafted accepted · 5 tok/s"
    assert str(answer) == "Answer: 3 tokens, 50 % of drafted accepted · 4 tok/s"


def test_a_continuation_goes_on_inside_a_block():
    first, second = spoken(["<think>", "hm"], ["</thi"]), spoken(["nk>", "so"])
    assert [(one.thinking, one.start, one.stop) for one in split([first, second])] == [(True, 0, 4), (False, 4, 5)]


@pytest.mark.parametrize("tags", [("<think>", ""), ("", "x"), ("x" * 101, "y")])
def test_tags_that_are_none_are_refused(tags):
    with pytest.raises(ValueError, match="tag"):
        check_tags(tags)

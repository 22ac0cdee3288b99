"""Two answers compared: the alignment covers both, and where they part is told as the traces have it."""

from itertools import pairwise
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, StopReason, Summary, Trace
from specviz.trace.comparison import align, align_stretches, common_tokens, compare_answers
from specviz.trace.reasoning import split
from tests.trace.strategies import traces

texts = st.lists(st.sampled_from(["a", "b", "ab", "ba", "", "\n"]), max_size=24)


def said(tokens, span):
    return "".join(tokens[slice(*span)])


def covered(a, b, passages):
    """Both texts are there, in order, and what is called equal is."""
    for side, tokens in (("a", a), ("b", b)):
        spans = [getattr(one, side) for one in passages]
        assert [0, *(end for _, end in spans)] == [*(start for start, _ in spans), len(tokens)]
    for one in passages:
        assert one.a[0] < one.a[1] or one.b[0] < one.b[1]
        if one.equal:
            assert said(a, one.a) == said(b, one.b)
    assert all(before.equal != after.equal for before, after in pairwise(passages))


@given(texts, texts)
def test_passages_cover_both_texts_and_equal_ones_are_equal(a, b):
    covered(a, b, align(a, b))


@given(texts, texts)
def test_the_first_difference_is_the_first(a, b):
    passages = align(a, b)
    begin = passages[0].a[1] if passages and passages[0].equal else 0
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert begin >= same
    if all(a) and all(b) and "".join(a[:same]) == said(a, (0, begin)):
        assert begin == same


@given(texts)
def test_a_text_is_like_itself_however_it_is_cut(a):
    apart = [c for token in a for c in token]
    assert all(one.equal for one in (*align(a, a), *align(a, apart)) if one.a[0] < one.a[1])


letters = st.text("abcd", max_size=40).map(list)


@given(letters, letters)
def test_as_much_as_possible_is_common(a, b):
    """As long as in the textbook's table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    pairs = common_tokens(a, b)
    assert len(pairs) == table[-1][-1]
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))


def test_an_edit_in_the_middle_is_found_and_the_rest_is_equal():
    a = [str(i) for i in range(100)]
    b = [*a[:40], "x", "y", *a[43:70], *a[71:]]
    assert [(one.a, one.b, one.equal) for one in align(a, b)] == [
        ((0, 40), (0, 40), True),
        ((40, 43), (40, 42), False),
        ((43, 70), (42, 69), True),
        ((70, 71), (69, 69), False),
        ((71, 100), (69, 98), True),
    ]


def test_a_lone_word_between_long_differences_belongs_to_them():
    a, b = ["1", "2", "3", "the", "4", "5", "6", "."], ["7", "8", "9", "the", "10", "11", "12", "."]
    assert [one.equal for one in align(a, b)] == [False, True]
    assert [one.equal for one in align(["1", "the", "2"], ["3", "the", "4"])] == [False, True, False]


@pytest.mark.parametrize("tokens", [["a", "b"] * 10_000, ["x"] * 20_000, [str(i) for i in range(20_000)]])
def test_twenty_thousand_tokens_are_aligned(tokens):
    other = tokens[::-1]
    covered(tokens, other, align(tokens, other))


def answer(*words, ids=None, top=(), stop=StopReason.EOS_FOUND, control=(), temperature=0.0, **header):
    """A plain trace of these words, a round each; `top` are the candidates of the last one."""
    main = header.pop("main", "big")
    ids = ids or [sum(word.encode()) * 7 + len(word) for word in words]
    pieces = dict(zip(ids, words, strict=True)) | {id: text for text, id in OTHERS.items()}
    settings = Settings(temperature=temperature, **header)
    trace = Trace.of([Header(main=ModelInfo(name=main), prompt="Why?", settings=settings)])
    trace.add(Pieces(text=pieces, control=control))
    for i, id in enumerate(ids):
        last = i == len(ids) - 1
        candidates = tuple((OTHERS.get(text, id), p) for text, p in top) if last else ()
        trace.add(
            Round(
                index=i,
                start=i,
                closing=id,
                closing_p=candidates[0][1] if candidates else None,
                main_top=(candidates,) if candidates else (),
                verify_seconds=0.1,
            )
        )
    trace.add(Summary(stop_reason=stop))
    return trace


OTHERS = {" one": 900_001, " two": 900_002}


def test_where_two_answers_part_and_how_sure_they_were():
    a = answer("So", " it", " one", ids=[1, 2, 900_001], top=[(" one", 0.5), (" two", 0.4)], num_draft_tokens=2)
    b = answer("So", " it", " two", ids=[1, 2, 900_002], top=[(" two", 0.6), (" one", 0.3)], seed=7)
    found = compare_answers([a], [b])
    one, two = found.parting
    assert (one.at, one.text, one.p, one.other_p) == (2, " one", 0.5, 0.4)
    assert (two.at, two.text, two.p, two.other_p) == (2, " two", 0.6, 0.3)
    assert one.margin_logits == pytest.approx(log(0.5 / 0.4), abs=1e-6)
    assert found.verdict == "They part at token 2: “ one” in A, “ two” in B, at margins of 0.22 and 0.69 logits."
    assert [(row.label, row.a, row.b) for row in found.settings] == [("Seed", "—", "7")]
    text = str(found)
    assert "Seed" in text and "Tokens/s" in text and text.startswith(found.verdict)


def test_drawn_tokens_are_told_with_their_probabilities():
    a = answer("So", " one", ids=[1, 900_001], top=[(" one", 0.5)], temperature=0.8)
    b = answer("So", " two", ids=[1, 900_002], top=[(" two", 0.25)], temperature=0.8)
    assert compare_answers([a], [b], ("x", "y")).verdict.endswith("“ two” in y, with p 50.0 and 25.0 %.")


def test_the_same_text_in_more_rounds_and_in_other_tokens():
    a, b = answer("So", " it", " is"), answer("So it", " is")
    found = compare_answers([a], [b])
    assert found.same_text and found.parting is None
    assert found.verdict == "The same text: 3 and 2 tokens in 3 and in 2 rounds."
    assert compare_answers([a], [a]).verdict == "The same text: 3 tokens in 3 rounds each."


def test_an_answer_that_ends_earlier():
    whole, part = answer("So", " it", " is"), answer("So", " it", stop=StopReason.MAX_TOKENS)
    found = compare_answers([whole], [part], ("whole", "part"))
    assert found.verdict == "The same text up to token 2, where part ends (token limit) and whole goes on."
    assert found.parting[1].text is None
    ended = answer("So", " it", "<end>", ids=[1, 2, 3], control=(3,))
    assert compare_answers([ended], [answer("So", " it", ids=[1, 2])]).same_text


def test_a_control_token_is_not_the_text_of_its_name():
    a = answer("So", "<end>", ids=[1, 3], control=(3,))
    assert not compare_answers([a], [answer("So", "<end>", ids=[1, 3])]).passages[-1].equal


def test_continuations_count_as_one_answer():
    a = [answer("So", " it"), answer(" is", " one", ids=[5, 900_001], top=[(" one", 0.5), (" two", 0.25)])]
    b = [answer("So", " it", " is", " two", ids=[1, 2, 5, 900_002])]
    found = compare_answers(a, b)
    assert [choice.at for choice in found.parting] == [3, 3]
    assert found.parting[0].text == " one" and found.parting[0].other_p == 0.25
    assert found.stats[0].output_tokens == 4 and found.stats[0].rounds == 4


def test_bytes_inside_a_character_are_compared_as_bytes():
    def char(text):
        trace = Trace.of([Header(main=ModelInfo(name="m"))])
        pieces = [bytes([one]) for one in text.encode()]
        trace.add(Pieces.of({100 + piece[0]: piece for piece in pieces}))
        for i, piece in enumerate(pieces):
            trace.add(Round(index=i, start=i, closing=100 + piece[0]))
        return trace

    assert compare_answers([char("é")], [char("è")]).parting[0].at == 1
    assert compare_answers([char("é")], [char("é")]).same_text


def passages(a, b, **tags):
    """What two answers say side by side."""
    found = compare_answers([answer(*a)], [answer(*b)], **tags)
    return [(said(a, one.a), said(b, one.b)) for one in found.passages]


THOUGHT, OTHER = ["<think>", " the", " sum", " is", " 4", "</think>"], ["<think>", " hm", "</think>"]
ANSWER = [" the", " sum", " is", " 4", "."]


def test_reasoning_is_compared_with_reasoning_and_an_answer_with_an_answer():
    assert passages([*THOUGHT, *ANSWER], ANSWER) == [("".join(THOUGHT), ""), ("".join(ANSWER),) * 2]
    assert passages(ANSWER, [*OTHER, *ANSWER]) == [("", "".join(OTHER)), ("".join(ANSWER),) * 2]
    assert passages([*THOUGHT, *ANSWER], [*OTHER, *ANSWER]) == [
        ("<think>", "<think>"),
        (" the sum is 4", " hm"),
        ("</think>", "</think>"),
        ("".join(ANSWER),) * 2,
    ]
    assert passages([*THOUGHT, " so"], ["so", " it"]) == [("".join(THOUGHT), ""), (" so", "so it")]
    changed = [*THOUGHT, " five", "!"], ANSWER
    assert passages(*changed) == [("".join(THOUGHT), ""), (" five!", "".join(ANSWER))]
    for tags in (("", ""), ("[", "]")):
        unfolded = passages(*changed, reasoning_tags=tags)
        assert unfolded == [("<think>", ""), (" the sum is 4",) * 2, ("</think> five!", ".")]


def test_more_reasoning_in_one_answer_stands_alone():
    again = [*OTHER, " well", *THOUGHT, *ANSWER]
    assert passages(again, [*OTHER, *ANSWER]) == [
        ("".join(OTHER),) * 2,
        (" well", ""),
        ("".join(THOUGHT), ""),
        ("".join(ANSWER),) * 2,
    ]
    assert passages([*OTHER, "so"], ["<think>", " hm"]) == [("<think> hm",) * 2, ("</think>", ""), ("so", "")]
    assert passages(["so", *OTHER], THOUGHT) == [
        ("so", ""),
        ("<think>", "<think>"),
        (" hm", " the sum is 4"),
        ("</think>", "</think>"),
    ]


def test_the_same_text_is_cut_where_both_have_a_tokens_end():
    a, b = ["So", "<think>", " hm", "</think>\n\n", "4"], ["So", "<", "think>", " hm", "</think>", "\n\n", "4"]
    assert passages(a, b) == [("So", "So"), ("<think> hm</think>\n\n",) * 2, ("4", "4")]


pieces = st.lists(
    st.sampled_from(["<think>", "</think>", "</think>\n", "<", "think>", "\n", "a", "b", ""]), max_size=16
)


@given(pieces, pieces)
def test_no_passage_after_the_common_beginning_leaves_its_stretch(a, b):
    stretches = [split([answer(*one, ids=list(range(len(one))))]) if one else [] for one in (a, b)]
    found = align_stretches(a, b, *stretches)
    for side, tokens in (("a", a), ("b", b)):
        spans = [getattr(one, side) for one in found]
        assert [0, *(end for _, end in spans)] == [*(start for start, _ in spans), len(tokens)]
    first = next((i for i, one in enumerate(found) if not one.equal), len(found))
    common = align(a, b)[0] if a or b else None
    assert said(a, (0, found[first].a[0] if first < len(found) else len(a))) == (
        said(a, common.a) if common and common.equal else ""
    ), "they part where they first differ"
    for one in found:
        assert not one.equal or said(a, one.a) == said(b, one.b)
    for one in found[first:]:
        for (start, stop), parts in ((one.a, stretches[0]), (one.b, stretches[1])):
            assert start == stop or sum(part.start < stop and start < part.stop for part in parts) == 1


@given(traces(), traces())
def test_every_two_traces_can_be_compared(a, b):
    found = compare_answers([a], [b])
    assert found.verdict.endswith(".")
    assert str(found) and found.figures
    assert found.same_text or found.parting is not None
    if found.parting:
        for choice, trace in zip(found.parting, (a, b), strict=True):
            assert (choice.text is None) == (choice.at == len(trace))

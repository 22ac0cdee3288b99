"""Events -> text: stop strings, characters in several tokens, tokens that carry no text."""

import pytest

from specviz.models import LocalModel
from specviz.server.answer import LEAST_LOGPROB, Answer, logprob
from specviz.server.catalogue import Choice, Offered
from specviz.server.jobs import Ask
from specviz.trace import Header, ModelInfo, Pieces, Round, StopReason, Summary, Trace

PIECES = {1: b"One", 2: b" two", 3: b" th", 4: b"ree", 5: b"\xf0\x9f", 6: b"\x8d\x8e", 7: b"<tool_call>", 9: b"<end>"}
OFFERED = Offered("m", LocalModel("m", "m.gguf"))
ADD = {"type": "function", "function": {"name": "add"}}


def run(ids, reason=StopReason.EOS_FOUND, *, stop=(), top=None, tools=(), control=(7, 9), per_round=1):
    ask = Ask(id="x", choice=Choice(OFFERED), prompt="", raw=False, settings={"stop": stop}, tools=tools)
    answer = Answer(ask, top)
    trace = Trace(Header(main=ModelInfo(name="m")))
    trace.add(Pieces.of(PIECES, control))
    deltas = []
    start = 0
    for index, at in enumerate(range(0, len(ids), per_round)):
        drafted, closing = tuple(ids[at : at + per_round - 1]), ids[min(at + per_round, len(ids)) - 1]
        if at + per_round > len(ids):
            drafted = tuple(ids[at:-1])
        n = len(drafted)
        round = Round(
            index=index, start=start, drafted=drafted, sent=n, accepted=n, closing=closing,
            p=(0.5,) * n, closing_p=0.25, main_top=(((1, 0.5), (2, 0.0)),) * (n + 1),
        )  # fmt: skip
        start += n + 1
        trace.add(round)
        deltas.append(answer.feed(round, trace))
    end = Summary(stop_reason=reason)
    trace.add(end)
    deltas.append(answer.feed(end, trace))
    assert "".join(delta.text for delta in deltas) == answer.whole.text
    assert [token for delta in deltas for token in delta.tokens] == answer.whole.tokens
    return answer, [delta.text for delta in deltas], trace


@pytest.mark.parametrize("per_round", [1, 2, 3, 10])
def test_text_comes_with_the_rounds_and_control_tokens_have_none(per_round):
    answer, texts, trace = run([1, 2, 3, 4, 9], per_round=per_round)
    assert answer.whole.text == trace.text == "One two three"
    if per_round == 1:
        assert texts == ["One", " two", " th", "ree", "", ""]


def test_a_character_comes_when_it_is_whole():
    _, texts, _ = run([1, 5, 6, 2])
    assert texts == ["One", "", "🍎", " two", ""]
    assert run([1, 5])[0].whole.text == "One\ufffd"


@pytest.mark.parametrize("per_round", [1, 2, 4])
@pytest.mark.parametrize(("stop", "text"), [(("three",), "One two "), (("two th",), "One "), (("zz", " tw"), "One")])
def test_a_stop_string_is_never_shown_not_even_its_beginning(stop, text, per_round):
    n = {"One two ": 4, "One ": 3, "One": 2}[text]
    answer, texts, _ = run([1, 2, 3, 4][:n], StopReason.STOP_STRING_FOUND, stop=stop, top=1, per_round=per_round)
    assert answer.whole.text == text
    for i in range(len(texts)):
        assert text.startswith("".join(texts[:i]))
    assert all(token.start < len(text) for token in answer.whole.tokens)


def test_what_only_looked_like_a_stop_string_is_shown():
    answer, texts, _ = run([1, 2, 3, 4], stop=(" three!",))
    assert answer.whole.text == "One two three"
    assert texts == ["One", " two", "", "", " three"]


def test_probabilities_go_with_the_text():
    answer, _, _ = run([1, 2, 3, 4, 9], top=2, per_round=3)
    tokens = answer.whole.tokens
    assert [(token.start, token.text) for token in tokens] == [(0, b"One"), (3, b" two"), (7, b" th"), (10, b"ree")]
    assert [token.logprob for token in tokens] == [logprob(p) for p in (0.5, 0.5, 0.25, 0.5)]
    assert tokens[0].top == ((b"One", logprob(0.5)), (b" two", LEAST_LOGPROB))
    assert run([1], top=0)[0].whole.tokens[0].top == ()
    assert run([1])[0].whole.tokens == []


def test_marks_that_are_control_tokens_count_where_there_are_tools():
    PIECES[20] = b'{"name": "add", "arguments": {}}'
    assert run([7, 20])[0].whole.text == PIECES[20].decode()
    answer = run([1, 7, 20], tools=(ADD,))[0]
    assert answer.whole.text == "One" and [call.name for call in answer.whole.calls] == ["add"]

"""Conversations survive the way into a file and back, with every trace; damaged files say where."""

import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import specviz as sv
from specviz.trace import Conversation, Header, ModelInfo, Round, Summary, Trace, TraceError, TraceWarning, Turn
from specviz.trace.conversation import read_conversation
from tests.trace.strategies import traces

TEXT = st.text(max_size=20)


@st.composite
def conversations(draw):
    answers = st.lists(traces(max_rounds=2), min_size=1, max_size=2).map(tuple)
    turns = draw(st.lists(st.builds(Turn, TEXT, answers), max_size=3))
    if draw(st.booleans()):
        turns.append(Turn(draw(TEXT)))
    return Conversation(name=draw(TEXT), system=draw(TEXT), turns=tuple(turns))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(conversations())
def test_round_trip(tmp_path, conversation):
    path = conversation.save(tmp_path / "chat.jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        back = read_conversation(path)
    assert (back.name, back.system) == (conversation.name, conversation.system)
    assert [(turn.user, turn.text) for turn in back.turns] == [(turn.user, turn.text) for turn in conversation.turns]
    assert back.encode() == conversation.encode()
    assert list(tmp_path.iterdir()) == [path]


def trace(text, ended=True):
    trace = Trace(Header(main=ModelInfo(name="m")))
    trace.pieces[1] = text.encode()
    trace.add(Round(index=0, start=0, closing=1))
    if ended:
        trace.add(Summary(stop_reason="eosFound"))
    return trace


def test_the_last_turn_is_asked_with_all_that_was_said_before():
    turns = (Turn("Hi", (trace("Good"), trace(" day"))), Turn("And you?", (trace("Fine"),)))
    assert Conversation(system="Be kind.", turns=turns).messages() == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Good day"},
        {"role": "user", "content": "And you?"},
    ]
    assert Conversation(turns=turns[:1]).messages() == [{"role": "user", "content": "Hi"}]
    assert Conversation(system=" ").messages() == []


@pytest.fixture
def saved(tmp_path):
    turns = (Turn("Hi", (trace("Good"), trace(" day"))), Turn("And you?", (trace("Fine"),)), Turn("Bye"))
    return Conversation(name="Greetings", turns=turns).save(tmp_path / "chat.jsonl")


def test_what_cannot_be_encoded_does_not_keep_it_from_being_saved(tmp_path):
    odd = Conversation(name="\ud800", system="\udfff", turns=(Turn("a\ud83d"),))
    back = read_conversation(odd.save(tmp_path / "odd.jsonl"))
    assert (back.name, back.system, back.turns[0].user) == ("?", "?", "a?")


def test_cut_anywhere_it_reads_or_names_the_line(saved):
    data = saved.read_bytes()
    for cut in range(len(data)):
        saved.write_bytes(data[:cut])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TraceWarning)
            try:
                turns = read_conversation(saved).turns
            except TraceError as error:
                assert "line 1" in str(error) or "is empty" in str(error)
            else:
                assert [turn.user for turn in turns] == ["Hi", "And you?", "Bye"][: len(turns)]


def test_an_answer_without_its_end_is_told(tmp_path):
    path = Conversation(turns=(Turn("Hi", (trace("Good", ended=False),)),)).save(tmp_path / "chat.jsonl")
    with pytest.warns(TraceWarning, match="breaks off in turn 1"):
        assert read_conversation(path).turns[0].text == "Good"


@pytest.mark.parametrize(
    ("line", "change", "complaint"),
    [
        (1, {"format": "other"}, "line 1: not a specviz conversation"),
        (1, {"version": 99}, "line 1: schema version 99 is newer than the 1"),
        (1, {"name": 3}, r"line 1: Expected `str`, got `int` - at `\$.name`"),
        (2, {"user": None}, r"line 2: Expected `str`, got `null` - at `\$.user`"),
        (2, {"type": "conversation"}, "line 2: Invalid value 'conversation'"),
        (3, {"version": 99}, "line 3: schema version 99 is newer"),
        (3, {"type": "turn", "user": "x"}, "line 3: a turn, but the one before it has no answer"),
        (3, {"type": "summary", "stop_reason": "eosFound"}, "line 3: there is no trace to add it to"),
        (5, {"start": 9}, "line 5: round.start is 9, expected 0"),
    ],
)
def test_a_wrong_line_is_named(saved, line, change, complaint):
    lines = saved.read_text().splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | change)
    saved.write_text("\n".join(lines) + "\n")
    with pytest.raises(TraceError, match=complaint):
        read_conversation(saved)


def test_a_trace_without_a_turn_is_refused(saved):
    lines = saved.read_text().splitlines()
    saved.write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(TraceError, match="line 2: there is no turn to add it to"):
        read_conversation(saved)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"[1]\n", b"\x00\xff" * 50])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="not a specviz conversation"):
        read_conversation(path)


def test_each_file_names_the_function_that_reads_it(saved, tmp_path):
    for read in (sv.read_trace, sv.replay):
        with pytest.raises(TraceError, match=r"not a specviz trace .*; read_conversation reads it"):
            read(saved)
    path = trace("Good").save(tmp_path / "trace.jsonl")
    with pytest.raises(TraceError, match=r"not a specviz conversation .*; read_trace reads it"):
        read_conversation(path)
    with pytest.raises(TraceError, match="more than the 10 that max_bytes allows"):
        read_conversation(saved, max_bytes=10)

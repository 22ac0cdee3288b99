"""Traces survive the way into a file and back; damaged files say where."""

import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings

from specviz.trace import Header, ModelInfo, Round, Summary, Trace, TraceError, TraceWarning, read_trace
from tests.trace.strategies import traces


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(traces())
def test_round_trip(tmp_path, trace):
    path = trace.save(tmp_path / "t.jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        back = read_trace(path)
    assert back.header == trace.header
    assert list(back.rounds) == list(trace.rounds)
    assert back.summary == trace.summary
    assert back.baselines == trace.baselines
    assert back.pieces == trace.pieces and back.control == trace.control
    assert back.text == trace.text
    assert back.stats == trace.stats
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def saved(tmp_path):
    trace = Trace(Header(main=ModelInfo(name="m")))
    for index in range(5):
        trace.add(Round(index=index, start=2 * index, drafted=(1, 2), sent=2, accepted=1, closing=3))
    trace.add(Summary(stop_reason="eosFound"))
    return trace.save(tmp_path / "t.jsonl")


def lines_of(path):
    return path.read_text().splitlines()


def test_a_truncated_last_line_still_yields_the_rounds_before_it(saved):
    data = saved.read_bytes()
    at_round_4 = data.index(b'"index":4')
    saved.write_bytes(data[: at_round_4 + 20])
    with pytest.warns(TraceWarning, match="breaks off after round 4"):
        trace = read_trace(saved)
    assert len(trace.rounds) == 4


@pytest.mark.parametrize("cut", range(1, 400, 7))
def test_cut_anywhere_it_reads_or_names_the_line(saved, cut):
    saved.write_bytes(saved.read_bytes()[:-cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        try:
            assert len(read_trace(saved).rounds) <= 5
        except TraceError as error:
            assert "line 1" in str(error)


@pytest.mark.parametrize(
    ("line", "change", "complaint"),
    [
        (3, {"accepted": "many"}, r"line 3: Expected `int`, got `str` - at `\$.accepted`"),
        (3, {"accepted": 3}, r"line 3: .*accepted \+ past_end is 3"),
        (3, {"index": 7}, "line 3: round.index is 7, expected 1"),
        (3, {"start": 9}, "line 3: round.start is 9, expected 2"),
        (4, {"p": [0.5, 1.5]}, r"line 4: Expected `float` <= 1.0 - at `\$.p\[1\]`"),
        (4, {"type": "surprise"}, "line 4: Invalid value 'surprise'"),
        (4, {"time": -1.0}, r"line 4: Expected `float` >= 0.0 - at `\$.time`"),
        (1, {"format": "other"}, "line 1: not a specviz trace"),
        (1, {"version": 99}, "line 1: schema version 99 is newer"),
        (1, {"main": 3}, r"line 1: Expected `object`, got `int` - at `\$.main`"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(saved, line, change, complaint):
    lines = lines_of(saved)
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | change)
    saved.write_text("\n".join(lines) + "\n")
    with pytest.raises(TraceError, match=complaint):
        read_trace(saved)


def test_garbage_in_the_middle_is_an_error_not_a_truncation(saved):
    lines = lines_of(saved)
    lines[2] = lines[2][:20]
    saved.write_text("\n".join(lines) + "\n")
    with pytest.raises(TraceError, match="line 3: not JSON"):
        read_trace(saved)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\n", b"{}\n", b"[1]\n", b"\x00\xff" * 50, b'{"format":1}\n'])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="not a specviz trace"):
        read_trace(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(TraceError, match="more than the 1,073,741,824 that max_bytes allows"):
        read_trace(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_trace(tmp_path / "no.jsonl")


def test_saving_over_a_trace_that_fails_leaves_the_old_one(saved):
    before = saved.read_bytes()

    class Broken(Trace):
        def events(self):
            yield self.header
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError):
        Broken(Header(main=ModelInfo(name="m"))).save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]

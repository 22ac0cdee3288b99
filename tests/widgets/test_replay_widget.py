"""What is recorded plays without a model: the same columns as live, and when each round was."""

import pytest
from ipywidgets import Widget

import specviz as sv
from specviz.trace import Round, Trace
from specviz.trace.inspection import round_detail
from specviz.trace.projection import project


def test_a_replay_holds_the_whole_run_and_tells_about_rounds(quick_pair):
    trace = quick_pair.generate("Tell me a story", max_tokens=40, ignore_eos=True)
    replay = sv.replay(trace, workshop=True)
    assert (replay.phase, replay.text, replay.trace) == ("finished", trace.text, trace)
    assert replay.stats == trace.stats.to_dict() and replay.workshop
    state = replay.get_state()
    snapshot = state["snapshot"]
    head = {"seq": 1, "run": 1, "state": snapshot["state"]}
    assert snapshot == head | project(trace.events()).take()
    sent = []
    replay.send = sent.append
    replay._on_message(replay, {"type": "inspect", "run": 1, "round": 2}, [])
    assert sent == [{"type": "detail", "run": 1, "round": 2} | round_detail([trace], 2)]


def test_the_page_finds_the_recording_as_soon_as_it_hears_of_the_model(quick_pair):
    """Some hosts ask for a widget's state before it is opened."""
    told = []
    trace = quick_pair.generate("Tell me a story", max_tokens=8, ignore_eos=True)
    Widget.on_widget_constructed(lambda widget: told.append(widget.get_state()))
    try:
        sv.replay(trace)
    finally:
        Widget.on_widget_constructed(None)
    assert "".join(told[-1]["snapshot"]["tokens"]["text"]) == trace.text


def test_files_and_continuations_play_too(quick_pair, tmp_path):
    first = quick_pair.generate("Tell me a story", max_tokens=20, ignore_eos=True)
    second = quick_pair.generate(first, max_tokens=12, ignore_eos=True)
    replay = sv.replay([first, second])
    assert replay.text == first.text + second.text
    rounds = replay.get_state("snapshot")["snapshot"]["rounds"]
    assert sum(rounds["tokens"]) == 32
    assert sv.replay(first.save(tmp_path / "one.jsonl")).text == first.text


def test_a_record_that_breaks_off_says_so(quick_pair):
    whole = quick_pair.generate("Tell me a story", max_tokens=20, ignore_eos=True)
    trace = Trace.of(event for event in whole.events() if event is not whole.summary)
    snapshot = sv.replay(trace).get_state()["snapshot"]
    assert snapshot["state"]["phase"] == "stopped" and "breaks off" in snapshot["state"]["message"]


def test_what_cannot_be_played(quick_pair, tmp_path):
    with pytest.raises(ValueError, match="nothing recorded"):
        sv.replay([])
    path = tmp_path / "no.jsonl"
    path.write_text("{}\n")
    with pytest.raises(sv.TraceError):
        sv.replay(path)
    trace = quick_pair.generate("Hello", max_tokens=4)
    with pytest.raises(TypeError, match="a Feed follows"):
        sv.replay(trace).follow(quick_pair.stream("Hello", max_tokens=4))


def test_a_trace_without_rounds(quick_pair):
    header = quick_pair.generate("Hello", max_tokens=4).header
    replay = sv.replay(Trace(header))
    assert "rounds" not in replay.get_state("snapshot")["snapshot"] and replay.text == ""
    trace = Trace.of([header, Round(index=0, start=0, closing=5)])
    assert sv.replay(trace).get_state("snapshot")["snapshot"]["rounds"]["verify"] == [0.0]

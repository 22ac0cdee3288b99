"""Reasoning in the views: which tags count, and how the record of a run folds it."""

import pytest
import traitlets as t

import specviz as sv
from specviz.widgets.static_html import trace_html
from tests.trace.test_reasoning import spoken

THOUGHT = [["<think>", "hm"], ["</think>", "so"], ["it is"]]


def kinds(**settings):
    return sv.Replay(spoken(*THOUGHT), **settings).get_state()["snapshot"].get("reasoning", {}).get("kind")


def test_the_tags_of_a_view():
    assert kinds() == "ra"
    assert kinds(reasoning_tags=("", "")) is None
    assert kinds(reasoning_tags=("[", "]")) is None
    assert kinds(reasoning_tags=("hm", "it is")) == "ar"
    with pytest.raises(t.TraitError, match="both a begin and an end tag"):
        sv.Feed(reasoning_tags=("<think>", ""))


def test_the_record_folds_reasoning_that_has_ended():
    html = trace_html(spoken(*THOUGHT))
    thinking, answer = spoken(*THOUGHT).reasoning()
    before, _, after = html.partition("</details>")
    assert f"<details><summary><small>{thinking}</small></summary>" in before
    assert ">hm<" in before and ">so<" not in before
    assert str(answer) in after and "it is" in after
    assert "<details open>" in trace_html(spoken(["<think>", "hm"]))
    assert "Reasoning" not in trace_html(spoken(["so", "it is"]))


def test_no_token_of_the_record_turns_its_neighbours_round():
    html = trace_html(spoken(["a\u202eb\u2067", "\0"]))
    assert "a⟨202E⟩b⟨2067⟩" in html and not {"\u202e", "\u2067", "\0"} & set(html)

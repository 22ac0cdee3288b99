"""Two answers in a widget: what the page is told, the page of its own, and the file that a view asks for."""

import json

import pytest
import traitlets as t
from hypothesis import given

import specviz as sv
from specviz.trace.inspection import round_detail
from specviz.trace.projection import project
from specviz.widgets import page
from tests.trace.strategies import traces
from tests.trace.test_comparison import answer
from tests.trace.test_reasoning import spoken
from tests.widgets.test_page import HOSTILE, Elements, bundle, data, hostile  # noqa: F401


def two():
    a = answer("So", " one", ids=[1, 900_001], top=[(" one", 0.5), (" two", 0.4)])
    return a, answer("So", " two", ids=[1, 900_002], top=[(" two", 0.5), (" one", 0.4)], seed=3)


def test_the_page_is_told_both_answers_and_their_comparison():
    a, b = two()
    both = sv.compare(a, b, ("x", "y"))
    state = both.get_state()
    assert [one["run"] for one in state["answers"]] == [1, 2]
    for snapshot, trace in zip(state["answers"], (a, b), strict=True):
        head = {name: snapshot[name] for name in ("seq", "run", "state")}
        assert snapshot == head | project(trace.events()).take()
    columns = state["comparison"]
    assert (columns["names"], columns["a"], columns["b"], columns["equal"]) == (["x", "y"], [1, 2], [1, 2], "10")
    assert columns["verdict"] == both.result.verdict and columns["parting"][1]["text"] == " two"
    assert columns["settings"] == [{"label": "Seed", "a": "—", "b": "3", "help": ""}]
    json.dumps(state["comparison"])


def test_it_answers_about_rounds_of_both():
    a, b = two()
    both = sv.compare(a, b)
    sent = []
    both.send = sent.append
    for run, round in ((1, 0), (2, 1), (3, 0), (1, 99), (True, "0")):
        both._on_message(both, {"type": "inspect", "run": run, "round": round}, [])
    assert sent == [
        {"type": "detail", "run": 1, "round": 0} | round_detail([a], 0),
        {"type": "detail", "run": 2, "round": 1} | round_detail([b], 1),
    ]


def test_files_and_continuations(tmp_path):
    a, b = two()
    both = sv.compare(a.save(tmp_path / "a.jsonl"), [b, b])
    assert both.result.stats[1].output_tokens == 4
    with pytest.raises(ValueError, match="two names, not 1"):
        sv.compare(a, b, ("x",))
    with pytest.raises(ValueError, match="nothing recorded"):
        sv.compare(a, [])


def test_the_file_holds_everything_and_loads_nothing(tmp_path):
    a, b = two()
    path = sv.compare(a, b, show_rejected=True).to_html(tmp_path / "both.html")
    html = path.read_text("utf-8")
    found = data(html)
    assert found["details"] == [json.loads(json.dumps([round_detail([one], i) for i in range(2)])) for one in (a, b)]
    assert found["comparison"]["equal"] == "10" and found["show_rejected"] is True
    assert all(one.startswith("data:") for one in Elements(html).loads)
    assert "They part at token 1" in html and "Settings that differ" in html, "it reads without JavaScript"


def thoughts():
    return [spoken(["<think>", text], ["</think>", "\n"], ["It", " is"]) for text in ("hm", "oh")]


def test_reasoning_is_told_folded_and_kept(tmp_path):
    a, b = thoughts()
    both = sv.compare(a, b)
    assert [one["reasoning"]["kind"] for one in both.answers] == ["ra", "ra"]
    assert [one["reasoning"]["caption"] for one in both.answers] == [list(map(str, one.reasoning())) for one in (a, b)]
    assert (both.comparison["a"], both.comparison["equal"]) == ([1, 2, 3, 6], "1011")
    html = both.to_html(tmp_path / "both.html").read_text("utf-8")
    assert [one["reasoning"] for one in data(html)["answers"]] == [one["reasoning"] for one in both.answers]
    assert both._static() in html
    for trace in (a, b):
        assert f"<details><summary><small>{trace.reasoning()[0]}</small></summary>" in both._static()


def test_what_reasoning_is():
    a, b = thoughts()
    for tags in (("", ""), ("[", "]")):
        both = sv.compare(a, b, reasoning_tags=tags)
        assert both.reasoning_tags == tags and not any("reasoning" in one for one in both.answers)
        assert both.comparison["a"] == [1, 2, 6] and "<summary><small>" not in both._static()
    both = sv.compare(a, b, reasoning_tags=["It", " is"])
    assert [one["reasoning"]["kind"] for one in both.answers] == ["ar", "ar"] and both.comparison["a"] == [1, 2, 4, 6]
    with pytest.raises(ValueError, match="both a begin and an end tag"):
        sv.compare(a, b, reasoning_tags=("<think>", ""))
    with pytest.raises(t.TraitError, match="read-only"):
        both.reasoning_tags = ("<think>", "</think>")


@pytest.mark.parametrize("texts", [HOSTILE, HOSTILE[::-1]])
def test_no_text_is_taken_for_markup(texts):
    plain = ["a"] * len(texts)
    harmless = sv.compare(hostile(plain), hostile(["b"] * len(texts)), ("a", "b"))._page()[1]
    name, evil = sv.compare(hostile(texts), hostile(texts[1:] + texts[:1]), (texts[0], texts[1]))._page()
    rows = {"tr", "td", "th"}
    assert {*Elements(evil).tags} == {*Elements(harmless).tags}
    assert [tag for tag in Elements(evil).tags if tag == "script"] == [
        tag for tag in Elements(harmless).tags if tag == "script"
    ]
    assert not Elements(evil).handlers and rows < {*Elements(evil).tags}
    assert not {*name} & {*"<>/\\\0\u202e'\" "}


@given(traces(), traces())
def test_every_two_traces_become_a_page(a, b):
    found = data(sv.compare(a, b)._page()[1])
    assert [len(one) for one in found["details"]] == [len(a.rounds), len(b.rounds)]


@pytest.mark.parametrize("make", [lambda: sv.compare(*two()), lambda: sv.replay(two()[0])])
def test_a_view_that_asks_gets_the_page(make, bundle):  # noqa: F811
    widget, sent = make(), []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._on_message(widget, {"type": "save_page", "id": "view-1"}, [])
    (content, (html,)) = sent.pop()
    assert content["type"] == "file" and content["id"] == "view-1"
    assert content["name"].startswith("big-with-no-draft") and content["name"].endswith(".html")
    assert html.decode() == widget._page()[1]
    (bundle / "widgets.js").unlink()
    widget._on_message(widget, {"type": "save_page", "id": "view-1"}, [])
    ((content, buffers),) = sent
    assert content["name"] == "" and "make setup" in content["error"] and buffers is None


def test_nothing_generated_is_said():
    feed, sent = sv.Feed(), []
    feed.send = sent.append
    feed._on_message(feed, {"type": "save_page", "id": "view-1"}, [])
    assert sent == [{"type": "file", "id": "view-1", "name": "", "error": "nothing was generated yet"}]


def test_names_of_files_are_short_and_harmless():
    name = page.page_name(hostile(["../../" + "x" * 500, "a\0b"]).header)
    assert len(name) <= page.LONGEST_NAME + 5 and "/" not in name and not name.startswith(".")

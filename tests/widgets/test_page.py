"""One file that shows everything and asks nobody: what is in it, and that no text in it is taken for markup."""

import gzip
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specviz as sv
from specviz.trace import Conversation, Header, ModelInfo, Pieces, Round, Settings, Summary, Trace, Turn
from specviz.trace.events import StopReason
from specviz.trace.inspection import round_detail
from specviz.trace.projection import project
from specviz.widgets import page
from tests.trace.strategies import traces

HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\0", "\u202eevil", "]]>", "{{data}}"]


@pytest.fixture(autouse=True)
def bundle(tmp_path, monkeypatch):
    """A bundle of our own, so that these tests need no build."""
    (tmp_path / "widgets.js").write_text("export const openPage = () => '</script>';")
    (tmp_path / "widgets.css").write_text(".specviz { color: red }")
    monkeypatch.setattr(page, "STATIC", tmp_path)
    return tmp_path


def data(html):
    """What the page's data script holds."""
    packed = re.search(r'<script type="text/plain" id="specviz-data">([^<]*)</script>', html).group(1)
    return json.loads(gzip.decompress(b64decode(packed)))


class Elements(HTMLParser):
    """Collects the page's elements, with what they load."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.loads, self.handlers = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def hostile(texts=HOSTILE):
    """A trace whose every text is one that should not be taken for markup."""
    header = Header(
        main=ModelInfo(name=texts[0]), draft=ModelInfo(name=texts[1]), drafter="model", prompt="".join(texts)
    )
    trace = Trace.of([header, Pieces(text=dict(enumerate(texts)))])
    ids = range(len(texts))
    for id in ids:
        trace.add(Round(index=id, start=2 * id, drafted=(id, id), sent=2, accepted=1, closing=id, verify_seconds=0.01))
    trace.add(Summary(stop_reason=StopReason.MAX_TOKENS))
    return trace


def test_the_file_holds_everything_and_loads_nothing(tmp_path):
    trace = hostile(["One", " two"])
    path = trace.to_html(tmp_path / "run.html", show_rejected=True)
    assert path == tmp_path / "run.html" and [one.name for one in tmp_path.glob("run.html*")] == ["run.html"]
    html = path.read_text("utf-8")
    found = data(html)
    snapshot = found["snapshot"]
    head = {"seq": 1, "run": 1, "state": snapshot["state"]}
    assert snapshot == head | project(trace.events()).take()
    assert found["details"] == [json.loads(json.dumps(round_detail([trace], i))) for i in range(2)]
    assert found["show_rejected"] is True
    elements = Elements(html)
    assert all(one.startswith("data:") for one in elements.loads)
    assert "default-src 'none'" in html and "http-equiv" in html
    assert "<u style=" in html and "two" in html, "it reads without JavaScript"


@pytest.mark.parametrize("texts", [HOSTILE, HOSTILE[::-1], ["x" * 100_000, "\ufeff"]])
def test_no_text_is_taken_for_markup(texts):
    plain, evil = page.page_html([hostile(["a"] * len(texts))]), page.page_html([hostile(texts)])
    assert Elements(evil).tags == Elements(plain).tags
    assert not Elements(evil).handlers
    assert "\0" not in evil
    assert data(evil)["snapshot"]["tokens"]["text"][0] == texts[0]


def test_a_lone_surrogate_reaches_the_page_and_stops_nothing(tmp_path):
    trace = Trace(Header(main=ModelInfo(name="m"), prompt="\ud800!"))
    trace.add(Round(index=0, start=0, closing=1))
    html = trace.to_html(tmp_path / "run.html").read_text("utf-8")
    assert data(html)["snapshot"]["run_info"]["prompt"] == "\ud800!"


@given(traces(), st.booleans())
def test_every_trace_becomes_a_page(trace, show_rejected):
    found = data(page.page_html([trace], show_rejected=show_rejected))
    rounds = found["snapshot"].get("rounds", {"tokens": []})
    assert len(found["details"]) == len(rounds["tokens"]) == len(trace.rounds)


def test_the_same_trace_gives_the_same_file():
    assert page.page_html([hostile()]) == page.page_html([hostile()])


def test_long_answers_leave_the_details_out_and_stay_small(monkeypatch):
    monkeypatch.setattr(page, "MAX_DETAILS", 3)
    assert data(page.page_html([hostile()]))["details"] == []


def test_an_explorer_writes_what_it_shows(quick_pair, tmp_path):
    feed = sv.Feed(show_rejected=True, colour="p")
    with pytest.raises(ValueError, match="nothing was generated"):
        feed.to_html(tmp_path / "run.html")
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=20, ignore_eos=True))
    assert feed.wait(60)
    feed.follow(quick_pair.stream(feed._traces[0], max_tokens=10, ignore_eos=True), append=True)
    assert feed.wait(60)
    found = data(feed.to_html(tmp_path / "run.html").read_text("utf-8"))
    assert "".join(found["snapshot"]["tokens"]["text"]) == "".join(trace.text for trace in feed._traces)
    assert (found["show_rejected"], found["colour"], found["metrics"]) == (True, "p", "specviz")
    assert sum(found["snapshot"]["rounds"]["tokens"]) == 30


def test_every_turn_of_a_conversation_is_in_its_page(tmp_path):
    one, two, more = hostile(["a", "b"]), hostile(["c", "d"]), hostile(["e", "f"])
    turns = (Turn("One?", (one,)), Turn("Two?", (two, more)), Turn("Three?"))
    path = Conversation(name="Counting", turns=turns).to_html(tmp_path / "chat.html", show_rejected=True)
    html = path.read_text("utf-8")
    found = data(html)
    assert (found["name"], found["show_rejected"]) == ("Counting", True)
    assert [turn["user"] for turn in found["turns"]] == ["One?", "Two?"]
    assert [turn["snapshot"]["run"] for turn in found["turns"]] == [1, 2]
    for turn, shown in zip(turns, found["turns"], strict=False):
        assert "".join(shown["snapshot"]["tokens"]["text"]) == turn.text and turn.text
        assert len(shown["details"]) == sum(len(trace.rounds) for trace in turn.traces)
        assert "accepted" in shown["caption"]
    assert "<title>Counting</title>" in html and "One?" in html, "it reads without JavaScript"


def test_a_conversations_page_leaves_no_reasoning_out_and_does_not_say_so():
    thought = hostile(["<think>", "</think>"])
    html = page.conversation_page(Conversation(turns=(Turn("One?", (thought,)), Turn("Two?", (thought,)))))
    shown = data(html)["turns"][0]
    assert "".join(shown["snapshot"]["tokens"]["text"]) == thought.text and "left out" not in shown["caption"]


def test_a_conversation_of_one_turn_is_the_page_of_its_answer(tmp_path):
    path = Conversation(name="x", turns=(Turn("One?", (hostile(),)),)).to_html(tmp_path / "chat.html")
    assert path.read_text("utf-8") == page.page_html([hostile()], show_rejected=False)
    with pytest.raises(ValueError, match="nothing was generated"):
        Conversation(turns=(Turn("One?"),)).to_html(tmp_path / "none.html")


def test_an_explorer_writes_its_whole_conversation(tmp_path):
    turns = tuple(Turn(f"{text}?", (hostile([text, "!"]),)) for text in "ab")
    explorer = sv.Explorer(conversation=Conversation(name="Two: turns/", turns=turns), show_rejected=True)
    explorer.get_state()
    name, html = explorer._page()
    assert name == "Two turns.html" and data(html)["show_rejected"] is True
    assert [turn["user"] for turn in data(html)["turns"]] == ["a?", "b?"]


def test_a_missing_bundle_is_named(bundle, tmp_path):
    (bundle / "widgets.js").unlink()
    with pytest.raises(FileNotFoundError, match="make setup"):
        hostile().to_html(tmp_path / "run.html")
    assert not (tmp_path / "run.html").exists()


def test_settings_are_told(tmp_path):
    trace = Trace(Header(main=ModelInfo(name="m"), settings=Settings(temperature=0.7)))
    assert data(page.page_html([trace]))["snapshot"]["run_info"]["temperature"] == 0.7

"""The panel of a server, with a real one behind it."""

import httpx
import pytest

import specviz as sv
from specviz.models import demo_drafts
from specviz.widgets.server_panel import ServerPanel

PATHS = {size: str(next(one.path for one in demo_drafts() if size in one.name)) for size in ("22m", "12m", "17m")}


@pytest.fixture(scope="module")
def server():
    with sv.serve(PATHS["22m"], PATHS["12m"], port=0) as server:
        yield server


def ask(server, **more):
    body = {"messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": 8} | more
    return httpx.post(f"{server.url}/api/v0/chat/completions", json=body, timeout=60).json()


def test_requests_are_listed_with_their_acceptance(server):
    panel = ServerPanel(server)
    assert "No request yet" in panel._table.value and server.url in panel._status.value
    answer = ask(server)
    panel.refresh()
    html = panel._table.value
    assert "answered" in html and "draft-12m" in html and "<td>8</td>" in html
    stats = answer["stats"]
    rate = stats["accepted_draft_tokens_count"] / stats["total_draft_tokens_count"]
    assert f"<td>{100 * rate:.0f} %</td>" in html
    assert server.requests[0].state == "answered" and server.requests[0].id == answer["id"]


def test_the_default_draft_of_a_model_can_be_chosen(server):
    panel = ServerPanel(server)
    assert "draft-22m" in panel._main.value and panel._draft.value == ""
    names = [id for _, id in panel._draft.options]
    other = next(id for id in names if "17m" in id)
    panel._draft.value = other
    assert ask(server)["stats"]["draft_model"] == other
    panel._draft.value = "none"
    assert "draft_model" not in ask(server)["stats"]
    panel._main.value = ""
    assert [id for _, id in panel._draft.options] == [""], "nothing is set by a change of the model"
    assert "draft_model" not in ask(server)["stats"]


def test_names_are_text(server, monkeypatch):
    panel = ServerPanel(server)
    (row, *_) = server.requests
    hostile = type(row)(id="x", created=0.0, main="<img onerror=1>", draft=None, state="running")
    monkeypatch.setattr(type(server), "requests", property(lambda _: [hostile]))
    panel.refresh()
    assert "<img" not in panel._table.value and "&lt;img onerror=1&gt;" in panel._table.value


def test_stop_stops():
    with sv.serve(PATHS["22m"], PATHS["12m"], port=0) as server:
        panel = ServerPanel(server)
        server.stop()
        panel.refresh()
        assert panel._stop.disabled and "stopped" in panel._status.value

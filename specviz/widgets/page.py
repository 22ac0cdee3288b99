"""A generation, or two compared, as one self-contained HTML file: all views, no kernel, no network.

The bundle and the data stand in it compressed (gzip, base64), so that nothing in a trace can be read as markup. Below
them stands the record of `static_html`, which shows where JavaScript does not run.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from specviz.trace import Conversation, Header, Trace
from specviz.trace.files import whole_file
from specviz.trace.inspection import round_detail
from specviz.trace.projection import draft_name
from specviz.trace.reasoning import TAGS
from specviz.widgets.bundle import STATIC
from specviz.widgets.replay import snapshot
from specviz.widgets.static_html import conversation_html, traces_html
from specviz.widgets.turn_columns import figures

MAX_DETAILS = 4000
"""Most rounds whose details are kept (650 bytes each); in longer answers a token's card says what the columns hold."""
LONGEST_NAME = 120
"""Characters of a page's file name."""
TEMPLATE = Path(__file__).with_name("page.html")


def write_page(traces: Sequence[Trace], path: str | Path, **shown: Any) -> Path:
    """Write an answer and its continuations as a page; the file is complete or not there.

    Parameters
    ----------
    traces
        One or several, in order.
    path
        Where to.
    **shown
        How its views begin: `show_provenance`, `show_rejected`, `colour`, `workshop`.

    Raises
    ------
    FileNotFoundError
        If the JavaScript bundle was not built.
    """
    return write_html(page_html(traces, **shown), path)


def write_html(html: str, path: str | Path) -> Path:
    """Write a page; the file is complete or not there."""
    path = Path(path)
    with whole_file(path) as file:
        file.write(html.encode("utf-8", "replace"))
    return path


def page_html(traces: Sequence[Trace], *, reasoning_tags: Sequence[str] = TAGS, **shown: Any) -> str:
    """Return the page as text; see `write_page`."""
    header = traces[0].header
    title = f"{header.main.name} with {draft_name(header, 'no draft')}"
    record = traces_html(traces, bool(shown.get("show_rejected")), reasoning_tags)
    return html_page(title, record, page_data(traces, reasoning_tags) | shown)


def conversation_page(conversation: Conversation, *, reasoning_tags: Sequence[str] = TAGS, **shown: Any) -> str:
    """Return a page in which every answered turn can be chosen; of one turn, the page of its answer.

    Raises
    ------
    ValueError
        If nothing was answered yet.
    """
    turns = [turn for turn in conversation.turns if turn.traces]
    if not turns:
        raise ValueError("nothing was generated yet")
    if len(turns) == 1:
        return page_html(turns[0].traces, reasoning_tags=reasoning_tags, **shown)
    pages = [page_data(turn.traces, reasoning_tags, run=run) for run, turn in enumerate(turns, 1)]
    data = {
        "name": conversation.name,
        "turns": [
            page | {"user": turn.user, "caption": " · ".join(figures(page["snapshot"]["stats"]))}
            for turn, page in zip(turns, pages, strict=True)
        ],
    }
    record = conversation_html(conversation, bool(shown.get("show_rejected")), reasoning_tags)
    return html_page(conversation.name or "Conversation", record, data | shown)


def html_page(title: str, record: str, data: dict[str, Any]) -> str:
    """Fill the template.

    Parameters
    ----------
    title
        As text.
    record
        As HTML: what stands there without JavaScript.
    data
        What `openPage` of the bundle is given.

    Raises
    ------
    FileNotFoundError
        If the JavaScript bundle was not built.
    """
    parts = {
        "title": escape(title),
        "record": record,
        "style": _static("widgets.css"),
        "bundle": _packed(_static("widgets.js")),
        "data": _packed(json.dumps(data, separators=(",", ":"))),
    }
    before, *slots = TEMPLATE.read_text("utf-8").split("{{")
    filled = (slot.partition("}}") for slot in slots)
    html = before + "".join(parts[name] + after for name, _, after in filled)
    return html.replace("\0", "\ufffd")


def page_name(*headers: Header) -> str:
    """Return a file name after the models of one answer or of several, which every file system takes."""
    said = " and ".join(f"{header.main.name} with {draft_name(header, 'no draft')}" for header in headers)
    name = re.sub(r"[^\w.-]+", "-", said)[:LONGEST_NAME].strip(".-")
    return f"{name}.html"


def page_data(traces: Sequence[Trace], reasoning_tags: Sequence[str] = TAGS, *, run: int = 1) -> dict[str, Any]:
    """Return what the page knows: the traits of a `Replay`, and the details of its rounds."""
    return {"snapshot": snapshot(traces, reasoning_tags, run=run), "details": details(traces)}


def details(traces: Sequence[Trace]) -> list[dict[str, Any] | None]:
    """Return what is recorded of each round, for a page that has nobody to ask."""
    n = sum(len(trace.rounds) for trace in traces)
    return [round_detail(traces, i) for i in range(n)] if n <= MAX_DETAILS else []


def _static(name: str) -> str:
    path = STATIC / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `make setup`, or install the package from a wheel")
    return path.read_text("utf-8")


def _packed(text: str) -> str:
    """Compress; `mtime` is left out, so that the same trace gives the same file."""
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()

"""A generation as one self-contained HTML file: all views and the replay, no kernel, no network.

The bundle and the data stand in it compressed (gzip, base64), so that nothing in a trace can be read as markup. Below
them stands the record of `static_html`, which shows where JavaScript does not run.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from specviz.trace import Trace
from specviz.trace.files import whole_file
from specviz.trace.inspection import round_detail
from specviz.trace.projection import draft_name, project
from specviz.widgets.bundle import STATIC
from specviz.widgets.replay import ended, timeline
from specviz.widgets.static_html import traces_html

MAX_DETAILS = 4000
"""Most rounds whose details are kept (650 bytes each); in longer answers a token's card says what the columns hold."""
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
    path = Path(path)
    html = page_html(traces, **shown)
    with whole_file(path) as file:
        file.write(html.encode("utf-8", "replace"))
    return path


def page_html(traces: Sequence[Trace], **shown: Any) -> str:
    """Return the page as text; see `write_page`."""
    header = traces[0].header
    title = f"{header.main.name} with {draft_name(header, 'no draft')}"
    parts = {
        "title": escape(title),
        "record": traces_html(traces, bool(shown.get("show_rejected"))),
        "style": _static("widgets.css"),
        "bundle": _packed(_static("widgets.js")),
        "data": _packed(json.dumps(page_data(traces) | shown, separators=(",", ":"))),
    }
    before, *slots = TEMPLATE.read_text("utf-8").split("{{")
    filled = (slot.partition("}}") for slot in slots)
    html = before + "".join(parts[name] + after for name, _, after in filled)
    return html.replace("\0", "\ufffd")


def page_data(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return what the page knows: the traits of a `Replay`, and the details of its rounds."""
    projection = project(event for trace in traces for event in trace.events())
    n = projection.tally.rounds
    return {
        "snapshot": {"seq": 1, "run": 1, "state": ended(traces)} | projection.take(),
        "timeline": timeline(traces),
        "details": [round_detail(traces, i) for i in range(n)] if n <= MAX_DETAILS else [],
    }


def _static(name: str) -> str:
    path = STATIC / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `make setup`, or install the package from a wheel")
    return path.read_text("utf-8")


def _packed(text: str) -> str:
    """Compress; `mtime` is left out, so that the same trace gives the same file."""
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()

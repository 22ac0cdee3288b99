"""Two recorded answers side by side, aligned by their text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import traitlets as t

from specviz.trace import Trace
from specviz.trace.comparison import NAMES, Comparison, Row, compare_answers
from specviz.trace.inspection import round_detail
from specviz.trace.reasoning import TAGS, check_tags
from specviz.widgets.bundle import BundleWidget
from specviz.widgets.page import details, html_page, page_name, write_html
from specviz.widgets.replay import Recorded, snapshot, traces_of
from specviz.widgets.static_html import traces_html


def compare(a: Recorded, b: Recorded, names: Sequence[str] | None = None, **settings: Any) -> Compare:
    """Show two recorded answers side by side: what they say alike, where they part, what was different about them.

    Parameters
    ----------
    a, b
        Each a trace, the path of a trace file, or the traces of an answer and its continuations.
    names
        What to call them; without, A and B.
    **settings
        Traits of `Compare` (`show_rejected`, `reasoning_tags`).

    Raises
    ------
    TraceError
        If a file is not a trace.
    ValueError
        If there are not two names, or the tags are neither a begin and an end tag nor two empty strings.

    Examples
    --------
    >>> print(sv.compare(plain, drafted).result)
    """
    return Compare(a, b, names, **settings)


class Compare(BundleWidget):
    """Two answers in their provenance colours, equal passages beside each other, the others tinted, reasoning folded.

    Of traces that still grow, what there is now. Parameters are those of `compare`.

    Attributes
    ----------
    result : Comparison
        The same as data.
    reasoning_tags : tuple of str
        Around reasoning; empty: nothing is folded. It is compared as they say, so they are given once and stay.
    """

    view = t.Unicode("compare").tag(sync=True)
    answers = t.List().tag(sync=True)
    comparison = t.Dict().tag(sync=True)
    show_rejected = t.Bool(False, help="Show dropped drafted tokens in place.").tag(sync=True)
    reasoning_tags = t.Tuple(t.Unicode(), t.Unicode(), default_value=TAGS, read_only=True)

    def __init__(
        self,
        a: Recorded,
        b: Recorded,
        names: Sequence[str] | None = None,
        *,
        reasoning_tags: Sequence[str] = TAGS,
        **kwargs: Any,
    ) -> None:
        named = NAMES if names is None else tuple(names)
        if len(named) != 2:
            raise ValueError(f"two answers have two names, not {len(named)}")
        self.set_trait("reasoning_tags", check_tags(reasoning_tags))
        self._traces = traces_of(a), traces_of(b)
        self.result: Comparison = compare_answers(
            *self._traces, names=(str(named[0]), str(named[1])), reasoning_tags=self.reasoning_tags
        )
        super().__init__(
            answers=snapshots(self._traces, self.reasoning_tags), comparison=comparison_columns(self.result), **kwargs
        )

    def to_html(self, path: str | Path) -> Path:
        """Write the comparison as one HTML file, which needs neither kernel nor network.

        Raises
        ------
        FileNotFoundError
            If the JavaScript bundle was not built.
        """
        return write_html(self._page()[1], path)

    def _page(self) -> tuple[str, str]:
        """Return the comparison as a page: its file name, and the page."""
        data = {
            "answers": self.answers,
            "comparison": self.comparison,
            "details": [details(traces) for traces in self._traces],
            "show_rejected": self.show_rejected,
        }
        return page_name(*self.result.headers), html_page(" and ".join(self.result.names), self._static(), data)

    def _static(self) -> str:
        return comparison_html(self.result, self._traces, self.show_rejected, self.reasoning_tags)

    def _on_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        match content:
            case {"type": "inspect", "run": 1 | 2 as run, "round": int(round)}:
                detail = round_detail(self._traces[run - 1], round)
                if detail is not None:
                    self.send({"type": "detail", "run": run, "round": round} | detail)
            case {"type": "save_page", "id": id}:
                self._send_file(id, self._page)

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(self._static())


def snapshots(answers: Sequence[Sequence[Trace]], reasoning_tags: Sequence[str] = TAGS) -> list[dict[str, Any]]:
    """Return the `answers` of docs/protocol.md: a snapshot of each, numbered as runs from 1."""
    return [snapshot(traces, reasoning_tags, run=run) for run, traces in enumerate(answers, 1)]


def comparison_columns(comparison: Comparison) -> dict[str, Any]:
    """Return the `comparison` of docs/protocol.md."""
    return {
        "names": list(comparison.names),
        "verdict": comparison.verdict,
        "a": [one.a[1] for one in comparison.passages],
        "b": [one.b[1] for one in comparison.passages],
        "equal": "".join("01"[one.equal] for one in comparison.passages),
        "parting": msgspec.to_builtins(comparison.parting),
        "settings": msgspec.to_builtins(comparison.settings),
        "figures": msgspec.to_builtins(comparison.figures),
    }


def comparison_html(
    comparison: Comparison,
    answers: Sequence[Sequence[Trace]],
    show_rejected: bool = False,
    reasoning_tags: Sequence[str] = TAGS,
) -> str:
    """Return a comparison as a fragment of HTML without JavaScript; see `static_html`."""
    names = [escape(name) for name in comparison.names]
    columns = "".join(
        f'<div style="flex:1 1 24em;min-width:0"><p><b>{name}</b></p>'
        f"{traces_html(traces, show_rejected, reasoning_tags)}</div>"
        for name, traces in zip(names, answers, strict=True)
    )
    tables = _table("Settings that differ", names, comparison.settings) + _table("Figures", names, comparison.figures)
    return (
        '<div style="font-family:system-ui,sans-serif;font-size:13px;line-height:1.5">'
        f"<p><b>{escape(comparison.verdict)}</b></p>{tables}"
        f'<div style="display:flex;flex-wrap:wrap;gap:32px">{columns}</div></div>'
    )


def _table(title: str, names: Sequence[str], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th style="text-align:left">{cell}</th>' for cell in (escape(title), *names))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in (row.label, row.a, row.b))
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"

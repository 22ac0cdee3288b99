"""A server in a notebook: what it is asked, how much is accepted, and which draft goes with which model."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from specviz.models.defaults import NONE

if TYPE_CHECKING:
    from specviz.server.catalogue import Offered
    from specviz.server.handle import Served, Server

SHOWN = 12
"""Requests in the list."""
REFRESH_SECONDS = 0.5
HEAD = ("Time", "Main model", "Draft", "State", "Tokens", "Tokens/s", "Accepted")
STYLE = (
    "<style>.specviz-served td, .specviz-served th { padding: 2px 12px 2px 0; text-align: left; white-space: nowrap; }"
    " .specviz-served td:nth-child(n+5), .specviz-served th:nth-child(n+5) { text-align: right; }</style>"
)


class ServerPanel(w.VBox):  # type: ignore[misc]
    """The requests of a server, followed twice a second, and the default draft of each model, while it runs.

    Displaying a `Server` shows one.

    Parameters
    ----------
    server
        From `specviz.serve`.
    """

    def __init__(self, server: Server, **kwargs: Any) -> None:
        self.server = server
        self._shown = ""
        self._offering = False
        """Whether the drafts on offer are being changed: what is then selected was not chosen by anybody."""
        self._drafts: dict[str, Offered] = {}
        self._status = w.HTML()
        self._table = w.HTML()
        self._stop = w.Button(description="Stop", icon="stop", tooltip="Stop the server and free its models")
        self._main = w.Dropdown(description="Model", layout={"width": "26em"})
        self._draft = w.Dropdown(description="its draft", layout={"width": "26em"})
        self._stop.on_click(lambda _: threading.Thread(target=self.server.stop, daemon=True).start())
        super().__init__([w.HBox([self._status, self._stop]), self._table, w.HBox([self._main, self._draft])], **kwargs)
        self._main.observe(self._follow_main, "value")
        self._draft.observe(self._set_draft, "value")
        self.refresh()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            server.catalogue.search()
            self._fill()
            return
        threading.Thread(target=self._search, args=(loop,), daemon=True).start()
        loop.call_later(REFRESH_SECONDS, self._tick, loop)

    def _search(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for models, which may take seconds, beside the kernel's work."""
        self.server.catalogue.search()
        loop.call_soon_threadsafe(self._fill)

    def refresh(self) -> None:
        """Show how it is now."""
        status, rows = self.server.status, self.server.requests[:SHOWN]
        state = "stopped" if status.stopped else f"{status.answered} answered, {status.failed} failed"
        html = f"<b>{escape(status.url)}</b> &nbsp; {state}"
        table = f"{STYLE}<table class='specviz-served'>{_row('th', HEAD)}{''.join(map(_request, rows))}</table>"
        if (shown := html + table) == self._shown:
            return
        self._shown = shown
        self._status.value, self._table.value = html, table if rows else "<i>No request yet.</i>"
        self._stop.disabled = status.stopped

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.refresh()
        if not self.server.status.stopped:
            loop.call_later(REFRESH_SECONDS, self._tick, loop)

    def _fill(self) -> None:
        offers = self.server.catalogue.offers
        self._main.options = [("", ""), *((id, id) for id in offers)]
        default = self.server.catalogue.default
        self._main.value = default.id if default is not None and default.id in offers else ""
        self._follow_main()

    def _follow_main(self, _: Any = None) -> None:
        """Offer the models that can draft for the chosen one."""
        catalogue, id = self.server.catalogue, self._main.value
        self._drafts = {}
        options = [("as remembered", "")]
        if id:
            self._drafts = {one.id: one for one in catalogue.drafts_for(catalogue.find(id))}
            options += [("no draft", NONE), *((one, one) for one in self._drafts)]
        self._offering = True
        self._draft.options = options
        self._draft.value = ""
        self._offering = False

    def _set_draft(self, change: Any) -> None:
        catalogue, chosen = self.server.catalogue, change["new"]
        if self._offering or not self._main.value or chosen is None:
            return
        main = catalogue.find(self._main.value).model
        if not chosen:
            catalogue.forget_draft(main)
        else:
            catalogue.set_draft(main, None if chosen == NONE else self._drafts[chosen].model)


def _request(one: Served) -> str:
    rate = "" if one.acceptance_rate is None else f"{100 * one.acceptance_rate:.0f} %"
    speed = "" if one.tokens_per_second is None else f"{one.tokens_per_second:.1f}"
    time = datetime.fromtimestamp(one.created).strftime("%H:%M:%S")
    return _row("td", (time, one.main, one.draft or "none", one.state, str(one.output_tokens), speed, rate))


def _row(cell: str, texts: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{cell}>{escape(text)}</{cell}>" for text in texts) + "</tr>"

"""What the widgets of the JavaScript bundle share: the bundle, the main thread, a record for saved notebooks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t
from IPython.display import display, update_display

STATIC = Path(__file__).parent.parent / "static"
MISSING_BUNDLE = """export default { render({ el }) {
  el.textContent = "specviz's JavaScript bundle is missing. Run `make setup`, or install the package from a wheel.";
} };"""


def _bundle(name: str, missing: str) -> Path | str:
    path = STATIC / name
    return path if path.is_file() else missing


class BundleWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """A widget that the bundle draws. Worker threads only `send()`; traits are set on the kernel's main thread."""

    _esm = _bundle("widgets.js", MISSING_BUNDLE)
    _css = _bundle("widgets.css", "")

    view = t.Unicode().tag(sync=True)
    feed_id = t.Unicode().tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        self._record_shown = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        super().__init__(**kwargs)
        self.feed_id = self.model_id or ""
        self.on_msg(self._on_message)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        """Send a message, and leave the page the choice of the subshell that it answers to.

        ipykernel 7.4 hands whatever a page says to the subshell of the message under which the kernel spoke last. From
        a worker thread that is somebody else's, and what is said to one that has ended is lost: a reloaded page could
        not even stop a run.
        """
        super()._send(msg, buffers)
        if self.comm is not None:
            self.comm.__dict__.pop("_reply_subshell_id", None)

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        """Do what the page asks for."""

    def _send_file(self, id: Any, make: Callable[[], tuple[str, str]]) -> None:
        """Send a file, its name and its text, to the view that asked for it; or say why there is none."""
        try:
            name, text = make()
        except (OSError, ValueError) as error:
            self.send({"type": "file", "id": id, "name": "", "error": str(error)})
        else:
            self.send({"type": "file", "id": id, "name": name}, buffers=[text.encode("utf-8", "replace")])

    def _on_main_thread(self, action: Callable[[], None]) -> None:
        """Do something on the main thread: soon or, where this is it, at once."""
        elsewhere = threading.current_thread() is not threading.main_thread()
        if elsewhere and self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(action)
        else:
            action()

    def _display_with_record(self, html: str = "") -> None:
        """Show the widget, and below it the record that a saved notebook keeps; the page hides it beside the widget."""
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        display(self._record(html), raw=True, display_id=self._record_id)  # type: ignore[no-untyped-call]
        self._record_shown = True

    def _update_record(self, html: str) -> None:
        update_display(self._record(html), raw=True, display_id=self._record_id)  # type: ignore[no-untyped-call]

    @property
    def _record_id(self) -> str:
        return f"specviz-{self.feed_id}"

    def _record(self, html: str) -> dict[str, str]:
        return {"text/html": f'<div class="specviz-static" data-feed="{self.feed_id}">{html}</div>', "text/plain": ""}


def joined(thread: threading.Thread | None, timeout: float | None, then: Callable[[], None]) -> bool:
    """Wait for a widget's thread, unless it is the caller's own; return whether it has ended, and was followed up."""
    if thread is not None and thread is not threading.current_thread():
        thread.join(timeout)
        if thread.is_alive():
            return False
    then()
    return True

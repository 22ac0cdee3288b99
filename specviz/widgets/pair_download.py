"""A suggested pair on its way: its two models, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specviz.models.downloads import SUGGESTIONS, Download

RUNNING = ("waiting", "downloading")


class PairDownload:
    """Downloads a suggestion in the background.

    Parameters
    ----------
    suggestion
        Its place in `SUGGESTIONS`.
    on_progress
        Called in the thread that downloads.
    on_done
        Called there with the paths of main model and draft when both have come.
    """

    def __init__(self, suggestion: int, on_progress: Callable[[], None], on_done: Callable[[Path, Path], None]) -> None:
        pair = SUGGESTIONS[suggestion]
        self.suggestion = suggestion
        self._on_done = on_done
        self._files = [
            Download(repo, file, on_progress=lambda _: on_progress())
            for repo, file in ((pair.main_repo, pair.main_file), (pair.draft_repo, pair.draft_file))
        ]
        self._thread = threading.Thread(target=self._run, name="specviz-pair-download", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.state in RUNNING

    @property
    def state(self) -> str:
        """As of `Download`, of both."""
        states = [file.state for file in self._files]
        ended = next((state for state in states if state in ("failed", "cancelled")), None)
        return ended or ("done" if states[-1] == "done" else "downloading" if states[0] != "waiting" else "waiting")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop it; what has come is kept."""
        for file in self._files:
            file.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds."""
        self._thread.join(timeout)

    def columns(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        at = 1 if self._files[0].state == "done" else 0
        return {
            "suggestion": self.suggestion,
            "state": self.state,
            "file": ("main model", "draft")[at],
            "done_bytes": self._files[at].done_bytes,
            "total_bytes": self._files[at].total_bytes,
            "error": next((file.error for file in self._files if file.error), ""),
        }

    def _run(self) -> None:
        for file in self._files:
            file.start()
            file.wait()
            if file.state != "done":
                return
        main, draft = (file.path for file in self._files)
        if main is not None and draft is not None:
            self._on_done(main, draft)

"""A recorded generation that plays in the views, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import traitlets as t

from specviz.pair import Generation
from specviz.trace import Trace, read_trace
from specviz.trace.projection import project_answer
from specviz.trace.reasoning import TAGS
from specviz.widgets.feed import Feed, ended
from specviz.widgets.static_html import traces_html

Recorded = Trace | str | Path | Iterable[Trace]
"""A trace, a trace file, or an answer and its continuations."""


def replay(recorded: Recorded, **settings: Any) -> Replay:
    """Play what was recorded in the views of a live run.

    Parameters
    ----------
    recorded
        A trace, the path of a trace file, or the traces of an answer and its continuations.
    **settings
        Traits of `Replay` (`autoplay`, `workshop`, `show_rejected`, ...).

    Raises
    ------
    TraceError
        If a file is not a trace.
    """
    return Replay(recorded, **settings)


class Replay(Feed):
    """A feed whose generation is over: it plays in the page, and can be paused, searched and stepped through.

    Its parts (`TokenStream(replay)`, ...) follow the playhead.

    Parameters
    ----------
    recorded
        As for `replay`. Of a trace that still grows, what there is now.
    """

    view = t.Unicode("replay").tag(sync=True)
    autoplay = t.Bool(True, help="Play at once, unless the reader prefers less motion.").tag(sync=True)
    workshop = t.Bool(False, help="Ask before each verdict how many tokens will be accepted.").tag(sync=True)

    def __init__(self, recorded: Recorded, **kwargs: Any) -> None:
        self._recorded = traces_of(recorded)
        super().__init__(**kwargs)
        self._observe()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the model's state, what was recorded in it; a page may ask before the model is announced to it."""
        if self._seq == 0 and key is None:
            self._projection = project_answer(self._recorded, self.reasoning_tags)
            self._projection.take()
            self._traces, self._seq, self._run = self._recorded, 1, 1
            self._state = ended(self._recorded)
        return super().get_state(key, drop_defaults)

    def follow(self, generation: Generation, *, append: bool = False) -> Feed:
        """Refuse: what is played is recorded."""
        raise TypeError("a Replay plays what was recorded; a Feed follows a generation")

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(traces_html(self._traces, self.show_rejected, self.reasoning_tags))


def traces_of(recorded: Recorded) -> list[Trace]:
    """Return the traces that are meant."""
    match recorded:
        case Trace():
            return [recorded]
        case str() | Path():
            return [read_trace(recorded)]
        case _:
            traces = list(recorded)
            if not traces:
                raise ValueError("there is nothing recorded yet")
            return traces


def snapshot(traces: Sequence[Trace], reasoning_tags: Sequence[str] = TAGS, *, run: int = 1) -> dict[str, Any]:
    """Return all of a recorded answer as one message of docs/protocol.md."""
    return {"seq": 1, "run": run, "state": ended(traces)} | project_answer(traces, reasoning_tags).take()

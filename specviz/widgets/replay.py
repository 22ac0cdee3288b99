"""A recorded generation that plays in the views, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import traitlets as t

from specviz.pair import Generation
from specviz.trace import StopReason, Trace, read_trace
from specviz.trace.projection import DIGITS
from specviz.widgets.feed import Feed, state
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
    timeline = t.Dict().tag(sync=True)
    autoplay = t.Bool(True, help="Play at once, unless the reader prefers less motion.").tag(sync=True)
    workshop = t.Bool(False, help="Ask before each verdict how many tokens will be accepted.").tag(sync=True)

    def __init__(self, recorded: Recorded, **kwargs: Any) -> None:
        self._recorded = traces_of(recorded)
        super().__init__(timeline=timeline(self._recorded), **kwargs)
        self._observe()

    def open(self) -> None:
        """Announce the model to the page, which then finds in it what was recorded."""
        for event in (event for trace in self._recorded for event in trace.events()):
            self._projection.add(event)
        self._projection.take()
        self._traces, self._seq, self._run = self._recorded, 1, 1
        self._state = ended(self._recorded)
        super().open()

    def follow(self, generation: Generation, *, append: bool = False) -> Feed:
        """Refuse: what is played is recorded."""
        raise TypeError("a Replay plays what was recorded; a Feed follows a generation")

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(traces_html(self._traces, self.show_rejected))


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


def ended(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return the state of a view that shows all of them."""
    summary = traces[-1].summary
    if summary is None:
        return state("stopped", "the record breaks off")
    if summary.stop_reason == StopReason.FAILED:
        return state("failed", summary.error)
    stopped = summary.stop_reason == StopReason.USER_STOPPED
    return state("stopped" if stopped else "finished", "; ".join(summary.notes))


def timeline(traces: Sequence[Trace]) -> dict[str, list[Any]]:
    """Return when each round was and what it brought: the `timeline` of docs/protocol.md.

    Seconds are those of decoding, one round after the other: prompt processing and baseline stretches are no part of
    them.
    """
    rounds = [one for trace in traces for one in trace.rounds]

    def so_far(counts: Iterable[int]) -> list[int]:
        return list(accumulate(counts))

    return {
        "end": [round(end, DIGITS) for end in accumulate(one.seconds for one in rounds)],
        "draft": [round(one.draft_seconds, DIGITS) for one in rounds],
        "verify": [round(one.verify_seconds, DIGITS) for one in rounds],
        "tokens": so_far(len(one.emitted) for one in rounds),
        "dropped": so_far(len(one.drafted) - one.accepted for one in rounds),
        "drafted": so_far(len(one.drafted) for one in rounds),
        "accepted": so_far(one.accepted for one in rounds),
        "sent": [one.sent for one in rounds],
        "agreed": [one.accepted + one.past_end for one in rounds],
    }

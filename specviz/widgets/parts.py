"""The views of a feed, each usable on its own and in ipywidgets layouts.

Rounds that are selected in one of them are selected in all of the same feed. They are light: their ESM (`part.js`) asks
the feed's model for its exports and lets it draw.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from specviz.widgets.feed import COLOURS, METRICS, Feed


class Part(anywidget.AnyWidget):  # type: ignore[misc]
    """A view of a feed.

    Parameters
    ----------
    source : Feed, optional
        The feed to draw; without one a new feed is made (`.source`).
    """

    _esm = Path(__file__).with_name("part.js")

    part = t.Unicode().tag(sync=True)
    feed = t.Unicode().tag(sync=True)
    show_provenance = t.Bool(True, help="Colour tokens by who proposed them.").tag(sync=True)
    show_rejected = t.Bool(False, help="Show dropped drafted tokens in place.").tag(sync=True)
    colour = t.Enum(COLOURS, "provenance", help="What tokens are coloured by.").tag(sync=True)
    metrics = t.Enum(METRICS, "specviz", help="In whose names statistics are told.").tag(sync=True)

    def __init__(self, source: Feed | None = None, **kwargs: Any) -> None:
        self.source = source if source is not None else Feed()
        kwargs.setdefault("layout", {"flex": "1 1 0%", "min_width": "0"})
        super().__init__(feed=f"anywidget:{self.source.model_id}", **kwargs)


class TokenStream(Part):
    """The streaming text, every token coloured by its provenance."""

    part = t.Unicode("tokens").tag(sync=True)


class AcceptancePlot(Part):
    """Acceptance rate, rolling and cumulative, over the output tokens."""

    part = t.Unicode("acceptance").tag(sync=True)


class ThroughputPlot(Part):
    """Tokens per second, and the baseline of plain decoding measured in the run."""

    part = t.Unicode("throughput").tag(sync=True)


class SpeedupPlot(Part):
    """Speedup over that baseline."""

    part = t.Unicode("speedup").tag(sync=True)


class RoundTimeline(Part):
    """How long drafting and verifying took, round by round, over decoding time."""

    part = t.Unicode("timeline").tag(sync=True)


class AcceptedStrip(Part):
    """How many of each round's drafted tokens were accepted."""

    part = t.Unicode("accepted").tag(sync=True)


class PositionPlot(Part):
    """Acceptance by position in the draft: of all drafts, and given that those before it were accepted."""

    part = t.Unicode("positions").tag(sync=True)


class StatsTable(Part):
    """The statistics, each with its definition."""

    part = t.Unicode("stats").tag(sync=True)

"""What people see in a notebook: thin classes over `trace`, drawn by the TypeScript in `js/`.

`bundle.py` is what all of them share; `feed.py` carries a generation to the page, `explorer.py` is the dashboard
(`turn_columns.py`), `parts.py` its views on their own; `model_picker.py` chooses models (`model_choice.py`,
`model_columns.py`, `pair_download.py`); `what_if.py` shows what other settings would have done; `race_track.py` shows a
race (`race_columns.py`); `replay.py` plays a trace, `compare.py` shows two side by side, `page.py` puts either into one
file; `static_html.py`, `figures.py` and `frames.py` are what a trace can turn into.
"""

from specviz.widgets.compare import Compare, compare
from specviz.widgets.explorer import Explorer, explore
from specviz.widgets.feed import Feed
from specviz.widgets.model_picker import ModelPicker
from specviz.widgets.parts import (
    AcceptancePlot,
    AcceptedStrip,
    PositionPlot,
    RoundTimeline,
    SpeedupPlot,
    StatsTable,
    ThroughputPlot,
    TokenStream,
)
from specviz.widgets.race_track import RaceTrack
from specviz.widgets.replay import Replay, replay
from specviz.widgets.what_if import WhatIf

__all__ = [
    "AcceptancePlot",
    "AcceptedStrip",
    "Compare",
    "Explorer",
    "Feed",
    "ModelPicker",
    "PositionPlot",
    "RaceTrack",
    "Replay",
    "RoundTimeline",
    "SpeedupPlot",
    "StatsTable",
    "ThroughputPlot",
    "TokenStream",
    "WhatIf",
    "compare",
    "explore",
    "replay",
]

"""What people see in a notebook: thin classes over `trace`, drawn by the TypeScript in `js/`.

`bundle.py` is what all of them share; `feed.py` carries a generation to the page, `explorer.py` is the dashboard,
`parts.py` its views on their own; `model_picker.py` chooses models (`model_choice.py`, `model_columns.py`,
`pair_download.py`); `static_html.py`, `figures.py` and `frames.py` are what a trace can turn into.
"""

from specviz.widgets.explorer import Explorer, explore
from specviz.widgets.feed import Feed
from specviz.widgets.model_picker import ModelPicker
from specviz.widgets.parts import AcceptancePlot, SpeedupPlot, StatsTable, ThroughputPlot, TokenStream

__all__ = [
    "AcceptancePlot",
    "Explorer",
    "Feed",
    "ModelPicker",
    "SpeedupPlot",
    "StatsTable",
    "ThroughputPlot",
    "TokenStream",
    "explore",
]

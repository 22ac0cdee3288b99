"""What people see in a notebook: thin classes over `trace`, drawn by the TypeScript in `js/`.

`feed.py` carries a generation to the page, `explorer.py` is the dashboard,
`parts.py` its views on their own; `static_html.py`, `figures.py` and `frames.py` are what a trace can turn into.
"""

from specviz.widgets.explorer import Explorer, explore
from specviz.widgets.feed import Feed
from specviz.widgets.parts import AcceptancePlot, SpeedupPlot, StatsTable, ThroughputPlot, TokenStream

__all__ = [
    "AcceptancePlot",
    "Explorer",
    "Feed",
    "SpeedupPlot",
    "StatsTable",
    "ThroughputPlot",
    "TokenStream",
    "explore",
]

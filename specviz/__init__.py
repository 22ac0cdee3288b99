"""specviz: explore speculative decoding in notebooks.

>>> import specviz as sv
>>> sv.explore()                                     # the dashboard, on the demo pair
>>> with sv.load() as pair:
...     trace = pair.generate("Explain the Pythagorean theorem")
>>> trace.stats.draft_acceptance_rate, trace.stats.tokens_per_second

Names are imported when they are first used, so that `import specviz` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specviz.engines.errors import (
        EngineCrashed,
        EngineError,
        EngineMissingError,
        IncompatibleDraftError,
        ModelFileError,
        PromptError,
    )
    from specviz.lab.audit import Audit, audit
    from specviz.lab.costs import Costs, measure_costs
    from specviz.lab.diagnosis import Diagnosis, diagnose
    from specviz.lab.race import Race, race
    from specviz.lab.report import Report
    from specviz.lab.sweep import sweep
    from specviz.models import ModelNotFoundError
    from specviz.models.downloads import download
    from specviz.models.hub import DownloadError
    from specviz.models.index import Library
    from specviz.pair import Generation, Pair, attach, check, load, set_draft
    from specviz.server.handle import Server, serve
    from specviz.trace import Conversation, Round, Stats, Trace, TraceError, read_conversation, read_trace
    from specviz.widgets import (
        AcceptancePlot,
        AcceptedStrip,
        Compare,
        Explorer,
        Feed,
        ModelPicker,
        PositionPlot,
        RaceTrack,
        Replay,
        RoundTimeline,
        SpeedupPlot,
        StatsTable,
        ThroughputPlot,
        TokenStream,
        WhatIf,
        compare,
        explore,
        replay,
    )

_HOMES = {
    "specviz.pair": ("Generation", "Pair", "attach", "check", "load", "set_draft"),
    "specviz.trace": ("Conversation", "Round", "Stats", "Trace", "TraceError", "read_conversation", "read_trace"),
    "specviz.lab.audit": ("Audit", "audit"),
    "specviz.lab.costs": ("Costs", "measure_costs"),
    "specviz.lab.diagnosis": ("Diagnosis", "diagnose"),
    "specviz.lab.race": ("Race", "race"),
    "specviz.lab.report": ("Report",),
    "specviz.lab.sweep": ("sweep",),
    "specviz.models": ("ModelNotFoundError",),
    "specviz.models.downloads": ("download",),
    "specviz.models.hub": ("DownloadError",),
    "specviz.models.index": ("Library",),
    "specviz.server.handle": ("Server", "serve"),
    "specviz.engines.errors": (
        "EngineCrashed",
        "EngineError",
        "EngineMissingError",
        "IncompatibleDraftError",
        "ModelFileError",
        "PromptError",
    ),
    "specviz.widgets": (
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
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022
    "explore",
    "load",
    "attach",
    "set_draft",
    "check",
    "download",
    "read_trace",
    "read_conversation",
    "race",
    "audit",
    "measure_costs",
    "diagnose",
    "sweep",
    "replay",
    "compare",
    "serve",
    "Pair",
    "Generation",
    "Library",
    "Trace",
    "Conversation",
    "Round",
    "Stats",
    "Audit",
    "Costs",
    "Race",
    "Diagnosis",
    "Report",
    "Explorer",
    "Feed",
    "ModelPicker",
    "TokenStream",
    "AcceptancePlot",
    "ThroughputPlot",
    "SpeedupPlot",
    "RoundTimeline",
    "AcceptedStrip",
    "PositionPlot",
    "StatsTable",
    "WhatIf",
    "RaceTrack",
    "Replay",
    "Compare",
    "Server",
    "EngineError",
    "EngineCrashed",
    "EngineMissingError",
    "IncompatibleDraftError",
    "ModelFileError",
    "ModelNotFoundError",
    "DownloadError",
    "PromptError",
    "TraceError",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("specviz-lab")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'specviz' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""What happened in one generation: pure data, its statistics, its file format.

Imports nothing else of specviz. Start with `Round` in `events.py`; everything shown, saved or measured elsewhere is a
projection of a list of those.
"""

from specviz.trace.conversation import Conversation, Turn, read_conversation
from specviz.trace.curves import Curves
from specviz.trace.events import (
    AutoInputs,
    Baseline,
    Decision,
    Event,
    Fate,
    Header,
    ModelInfo,
    Pieces,
    Provenance,
    Round,
    Settings,
    StopReason,
    Summary,
)
from specviz.trace.files import TraceError, TraceWarning, read_trace, write_trace
from specviz.trace.reasoning import Stretch
from specviz.trace.stats import PositionRate, Stats, Tally
from specviz.trace.text import TokenDecoder
from specviz.trace.trace import Rounds, Token, Trace

__all__ = [
    "AutoInputs",
    "Baseline",
    "Conversation",
    "Curves",
    "Decision",
    "Event",
    "Fate",
    "Header",
    "ModelInfo",
    "Pieces",
    "PositionRate",
    "Provenance",
    "Round",
    "Rounds",
    "Settings",
    "Stats",
    "StopReason",
    "Stretch",
    "Summary",
    "Tally",
    "Token",
    "TokenDecoder",
    "Trace",
    "TraceError",
    "TraceWarning",
    "Turn",
    "read_conversation",
    "read_trace",
    "write_trace",
]

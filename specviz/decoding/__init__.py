"""The science: the draft-verify loop, what it needs of an engine, acceptance rules and settings.

No I/O, no Jupyter, no engine. Start with `loop.py`.
"""

from specviz.decoding.distribution import Distribution, distribution
from specviz.decoding.engine import NO_DRAFT, Draft, Drafter, EvaluationStopped, MainModel, NoDrafter
from specviz.decoding.loop import decode
from specviz.decoding.rules import RULES, Rule, Verdict, match, rejection
from specviz.decoding.settings import MAX_DRAFT_TOKENS, check_settings

__all__ = [
    "MAX_DRAFT_TOKENS",
    "NO_DRAFT",
    "RULES",
    "Distribution",
    "Draft",
    "Drafter",
    "EvaluationStopped",
    "MainModel",
    "NoDrafter",
    "Rule",
    "Verdict",
    "check_settings",
    "decode",
    "distribution",
    "match",
    "rejection",
]

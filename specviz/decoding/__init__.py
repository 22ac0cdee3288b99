"""The science: the draft-verify loop, what it needs of an engine, acceptance rules and settings.

No I/O, no Jupyter, no engine. Start with `loop.py`; then `rules.py` (what is accepted), `distribution.py` (what is
sampled from), `policies.py` and `auto.py` (how much is drafted).
"""

from specviz.decoding.auto import Auto, Experience
from specviz.decoding.distribution import Certainty, Distribution, distribution
from specviz.decoding.engine import NO_DRAFT, Draft, Drafter, EvaluationStopped, MainModel, NoDrafter
from specviz.decoding.loop import decode
from specviz.decoding.policies import (
    CycledLengths,
    EntropyCutoff,
    Feedback,
    FixedLength,
    Look,
    MinLength,
    Policy,
    ProbabilityCutoff,
    sampled_draft,
)
from specviz.decoding.rules import RULES, Rule, Verdict, chance, match, rejection
from specviz.decoding.score import Overlap, Score, continuations, overlap, score
from specviz.decoding.settings import MAX_DRAFT_TOKENS, check_settings, policy_of

__all__ = [
    "MAX_DRAFT_TOKENS",
    "NO_DRAFT",
    "RULES",
    "Auto",
    "Certainty",
    "CycledLengths",
    "Distribution",
    "Draft",
    "Drafter",
    "EntropyCutoff",
    "EvaluationStopped",
    "Experience",
    "Feedback",
    "FixedLength",
    "Look",
    "MainModel",
    "MinLength",
    "NoDrafter",
    "Overlap",
    "Policy",
    "ProbabilityCutoff",
    "Rule",
    "Score",
    "Verdict",
    "chance",
    "check_settings",
    "continuations",
    "decode",
    "distribution",
    "match",
    "overlap",
    "policy_of",
    "rejection",
    "sampled_draft",
    "score",
]

"""What may be asked of a generation: one clear sentence for what may not, before any model runs."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from specviz.decoding.auto import Auto, Experience
from specviz.decoding.policies import (
    EntropyCutoff,
    FixedLength,
    MinLength,
    Policy,
    ProbabilityCutoff,
    sampled_draft,
)
from specviz.decoding.rules import RULES
from specviz.trace import Settings

MAX_DRAFT_TOKENS = 64
"""Longer drafts are refused: a verify pass that wide never pays, and engines limit its width."""
AUTO: Final = "auto"
MAX_TEMPERATURE = 100.0
MAX_SEED = 2**32 - 2
"""The range of llama.cpp's seeds, of which it keeps the last for "draw one"."""


def check_settings(**given: Any) -> Settings:
    """Build `Settings` from keywords.

    Raises
    ------
    TypeError
        If a keyword is unknown or of the wrong type.
    ValueError
        If a value is out of range.
    """
    unknown = given.keys() - set(Settings.__struct_fields__)
    if unknown:
        raise TypeError(
            f"unknown setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(Settings.__struct_fields__))}"
        )
    schema = given.get("json_schema")
    if isinstance(schema, dict):
        given = given | {"json_schema": json.dumps(schema)}
    stop = given.get("stop", ())
    if isinstance(stop, str):
        given = given | {"stop": (stop,)}
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise TypeError(str(error).replace("$.", "")) from None
    _within("max_tokens", settings.max_tokens, 1, None)
    length = settings.num_draft_tokens
    if length != AUTO:
        _within("num_draft_tokens", length, 0, MAX_DRAFT_TOKENS)
    elif settings.p_min > 0 or settings.n_min > 0 or settings.entropy_max is not None:
        raise ValueError('p_min, n_min and entropy_max need a draft length: "auto" chooses its own cutoffs')
    _within("temperature", settings.temperature, 0, MAX_TEMPERATURE)
    _within("top_k", settings.top_k, 0, None)
    _within("top_p", settings.top_p, 0, 1)
    if settings.top_p == 0:
        raise ValueError("top_p must be above 0: at 0 there is no token left to draw")
    _within("min_p", settings.min_p, 0, 1)
    _within("repeat_penalty", settings.repeat_penalty, 0.01, 100)
    _within("repeat_last_n", settings.repeat_last_n, 0, None)
    if settings.rule not in RULES:
        raise ValueError(f"rule must be {' or '.join(RULES)}, got {settings.rule!r}")
    _within("p_min", settings.p_min, 0, 1)
    _within("entropy_max", settings.entropy_max, 0, None)
    _within("n_min", settings.n_min, 0, MAX_DRAFT_TOKENS)
    if length != AUTO and settings.n_min > length > 0:
        raise ValueError(f"n_min is {settings.n_min}, but num_draft_tokens {length}: no draft would ever be sent")
    _within("seed", settings.seed, 0, MAX_SEED)
    _within("n_candidates", settings.n_candidates, 0, 20)
    _within("baseline_tokens", settings.baseline_tokens, 0, 256)
    _within("baseline_every", settings.baseline_every, 1, None)
    if settings.json_schema:
        _check_schema(settings)
    if any(not one for one in settings.stop):
        raise ValueError("a stop string must not be empty")
    return settings


def policy_of(settings: Settings, experience: Experience | None = None) -> Policy:
    """Return the draft-length policy that settings ask for.

    Parameters
    ----------
    experience
        What `auto` has learned of this pair before; None: nothing.
    """
    length = settings.num_draft_tokens
    if length == AUTO:
        return Auto(experience or Experience())
    policy: Policy = FixedLength(length)
    if settings.p_min > 0:
        policy = ProbabilityCutoff(policy, settings.p_min)
    if settings.entropy_max is not None:
        policy = EntropyCutoff(policy, settings.entropy_max)
    if settings.n_min > 0:
        policy = MinLength(policy, settings.n_min, sampled=sampled_draft(settings))
    return policy


def _check_schema(settings: Settings) -> None:
    try:
        schema = json.loads(settings.json_schema)
    except ValueError as error:
        raise ValueError(f"the JSON schema is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError("the JSON schema must be an object")
    if settings.ignore_eos:
        raise ValueError("an answer that follows a JSON schema has an end: ignore_eos cannot be on")


def _within(name: str, value: float | None, low: float, high: float | None) -> None:
    if value is None:
        return
    if math.isnan(value) or value < low or (high is not None and value > high):
        allowed = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")

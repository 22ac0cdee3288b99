"""One round, token by token: what there is to say of why each of its tokens stands where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log2
from typing import Any

from specviz.trace.events import Fate, Provenance, Round, Settings
from specviz.trace.projection import FATE, KIND, rounded
from specviz.trace.trace import Trace


def round_detail(traces: Sequence[Trace], index: int) -> dict[str, Any] | None:
    """Return the `detail` of docs/protocol.md for a round, counted from 0 over an answer and its continuations.

    None: there is no such round. Takes the same time whatever the length of the traces.
    """
    start = 0
    for trace in traces:
        if 0 <= index < len(trace.rounds):
            return _detail(trace, trace.rounds[index], start)
        index -= len(trace.rounds)
        start += len(trace)
    return None


def _detail(trace: Trace, round: Round, start: int) -> dict[str, Any]:
    settings, summary = trace.header.settings, trace.summary
    last = round.index == len(trace.rounds) - 1
    n = len(round.drafted)
    return {
        "rule": trace.header.rule,
        "drawn": settings.temperature > 0,
        "drafter": trace.header.drafter,
        "p_min": settings.p_min,
        "entropy_max": settings.entropy_max,
        "n_min": settings.n_min,
        "drafted": n,
        "sent": round.sent,
        "accepted": round.accepted,
        "stop_reason": str(summary.stop_reason) if summary is not None and last else None,
        "draft_seconds": rounded(round.draft_seconds),
        "verify_seconds": rounded(round.verify_seconds),
        "other_seconds": rounded(round.other_seconds),
        "tokens": [
            *(_drafted(trace, round, i, start) for i in range(n)),
            *([] if round.closing is None else [_closing(trace, round, start)]),
        ],
    }


def _drafted(trace: Trace, round: Round, i: int, start: int) -> dict[str, Any]:
    """Return what is known of the i-th drafted token."""
    fate = round.fates[i]
    accepted, unsent = fate is Fate.ACCEPTED, fate is Fate.UNSENT
    looks = round.decision if unsent else None
    return {
        "kind": KIND[Provenance.ACCEPTED] if accepted else FATE[fate],
        "index": start + round.start + i if accepted else None,
        "position": i + 1,
        "chance": rounded(_chance(round, i)),
        "unsent_by": _unsent_by(round, i, trace.header.settings) if unsent else None,
        "confidence": None if looks is None else rounded(_at(looks.confidence, i)),
        "entropy": None if looks is None else rounded(_at(looks.entropy, i)),
    } | _place(trace, round, i, round.drafted[i], _at(round.p, i), _at(round.q, i))


def _closing(trace: Trace, round: Round, start: int) -> dict[str, Any]:
    """Return what is known of the main model's own token."""
    assert round.closing is not None
    assert round.closing_provenance is not None
    return {
        "kind": KIND[round.closing_provenance],
        "index": start + round.start + round.accepted,
        "position": None,
        "chance": None,
        "unsent_by": None,
        "confidence": None,
        "entropy": None,
    } | _place(trace, round, round.accepted, round.closing, round.closing_p, None)


def _place(trace: Trace, round: Round, i: int, id: int, p: float | None, q: float | None) -> dict[str, Any]:
    """Return what both models said at position i of the round, and where a token stands in it."""
    taken = round.accepted + round.past_end
    main = dict(_at(round.main_top, i) or ())
    draft = dict(_at(round.draft_top, i) or ())
    choice = round.drafted[i] if i < taken else round.closing if i == taken else None
    p = main.get(id) if p is None else p
    q = draft.get(id) if q is None else q
    rank = _at(round.rank, i)
    if rank is None and choice in draft:
        rank = 1 + list(draft).index(choice)
    choice_p = p if choice == id else main.get(choice) if choice is not None else None
    if choice_p is None and i == taken:
        choice_p = round.closing_p
    first, second = [*main.values(), None, None][:2]
    return {
        "text": _text(trace, id),
        "p": rounded(p),
        "q": rounded(q),
        "surprise": rounded(-log2(p)) if p else None,
        "rank": rank,
        "choice": None if choice is None else _text(trace, choice),
        "choice_p": rounded(choice_p),
        "choice_q": rounded(q if choice == id else draft.get(choice) if choice is not None else None),
        "same": None if choice is None else choice == id,
        "margin": None if first is None or second is None else rounded(first - second),
        "margin_logits": rounded(log(first / second)) if first and second else None,
        "main_top": _candidates(trace, main, id, choice),
        "draft_top": _candidates(trace, draft, id, choice),
    }


def _candidates(trace: Trace, top: dict[int, float], id: int, choice: int | None) -> dict[str, list[Any]]:
    """Return candidates as columns; `mark` holds `t` for the token itself and `c` for the main model's choice."""
    return {
        "text": [_text(trace, one) for one in top],
        "p": [rounded(p) for p in top.values()],
        "mark": ["t" * (one == id) + "c" * (one == choice) for one in top],
    }


def _chance(round: Round, i: int) -> float | None:
    """Return the chance that either rule had of taking a compared token: min(1, p/q) after the samplers.

    A drafter without probabilities is certain of its token (`specviz.decoding.rules.chance`).
    """
    p = _at(round.p_sampler, i)
    return None if p is None else min(1.0, p / (_at(round.q_sampler, i) or 1.0))


def _unsent_by(round: Round, i: int, settings: Settings) -> str | None:
    """Return what kept a token from being sent: what ended the draft, or `n_min`, `auto` or `stop`."""
    decision = round.decision
    if round.closing is None:
        return "stop"
    if decision is None:
        return None
    if i >= decision.kept:
        return decision.ended
    return "n_min" if decision.kept < settings.n_min else "auto"


def _text(trace: Trace, id: int) -> str:
    return trace.piece(id).decode("utf-8", "backslashreplace")


def _at(values: Sequence[Any], i: int) -> Any:
    """Return an entry; None where it was not recorded."""
    return values[i] if i < len(values) else None

"""What another draft length, cutoff or draft model would have done with answers that are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from specviz.lab.audit import BAND, LENGTHS, Audit
from specviz.lab.costs import LONGEST, Costs, Curves
from specviz.lab.replay import Replay
from specviz.trace import Trace
from specviz.trace.projection import Projection
from specviz.widgets.bundle import BundleWidget

if TYPE_CHECKING:
    import pandas as pd

ALL = -1
"""In place of an answer's number: all of them."""
STEPS = 100
"""Cutoffs are whole hundredths, and so confidences, rounded down, compare with them as they do in full."""
MEASURED = ("draft", "num_draft_tokens", "p_min", "speedup")


class WhatIf(BundleWidget):
    """What every draft length, cutoff and draft would do to audited answers, while one moves a slider.

    Accepted tokens and rounds are exact. Speed is predicted, with an error band, where there are costs; under a cutoff
    only if the audit is thorough, since otherwise it is not known how many tokens would be drafted in vain.

    Parameters
    ----------
    audit
        From `specviz.audit`, of greedy answers.
    costs
        By name of a draft, from `specviz.measure_costs`.
    measured
        Speedups that were measured, for comparison: columns `draft`, `num_draft_tokens`, `p_min`, `speedup`.

    Attributes
    ----------
    draft : str
        Name of the chosen draft; a part of it that no other name has will do.
    num_draft_tokens : int
        Draft length, 0 to 16.
    p_min : float
        Cutoff, 0 to 1, in hundredths.
    answer : int
        Number of the answer that is shown, from 0; -1: all.

    Raises
    ------
    ValueError
        If the answers were sampled, or costs or measurements are of drafts that were not audited.

    Examples
    --------
    >>> audit = sv.audit(prompts=["Why is the sky blue?"])
    >>> sv.WhatIf(audit)
    """

    view = t.Unicode("what_if").tag(sync=True)
    audit = t.Dict().tag(sync=True)
    costs = t.Dict().tag(sync=True)
    measured = t.Dict().tag(sync=True)
    draft = t.Unicode().tag(sync=True)
    num_draft_tokens = t.Int(4, min=0, max=LONGEST).tag(sync=True)
    p_min = t.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    answer = t.Int(ALL, min=ALL).tag(sync=True)
    show_rejected = t.Bool(False, help="Show the draft's refused favourites in place.").tag(sync=True)

    def __init__(
        self,
        audit: Audit,
        costs: Mapping[str, Costs] | None = None,
        *,
        measured: pd.DataFrame | None = None,
        **kwargs: Any,
    ) -> None:
        if audit.sampled:
            raise ValueError(
                "the answers were sampled, so that what is accepted is a matter of chance: see `Audit.expected`, or "
                "audit greedy answers (temperature=0)"
            )
        self._audit, self._costs = audit, dict(costs or {})
        _check_drafts("costs", self._costs, audit)
        self._resampled = {draft: one.resampled() for draft, one in self._costs.items()}
        self._table: tuple[tuple[float, int], str] | None = None
        super().__init__(
            audit=_audit_columns(audit),
            costs={draft: _cost_columns(one, self._resampled[draft]) for draft, one in self._costs.items()},
            measured={} if measured is None else _measured_columns(measured, audit),
            **{"draft": audit.drafts[0]} | kwargs,
        )
        self.observe(self._follow_in_record, ["draft", "num_draft_tokens", "p_min", "answer"])

    @t.validate("draft")  # type: ignore[untyped-decorator]
    def _known_draft(self, proposal: Any) -> str:
        found = [name for name in self._audit.drafts if proposal.value in name]
        if proposal.value in found:
            return str(proposal.value)
        if len(found) != 1:
            raise ValueError(f"{proposal.value!r} is none of the audited drafts: {', '.join(self._audit.drafts)}")
        return found[0]

    @t.validate("p_min")  # type: ignore[untyped-decorator]
    def _in_hundredths(self, proposal: Any) -> float:
        in_steps: float = round(STEPS * proposal.value) / STEPS
        return in_steps

    @t.validate("answer")  # type: ignore[untyped-decorator]
    def _known_answer(self, proposal: Any) -> int:
        n = len(self._audit.traces)
        if not ALL <= proposal.value < n:
            raise ValueError(f"there are {n} answers, 0 to {n - 1}; {ALL} stands for all of them")
        return int(proposal.value)

    def _follow_in_record(self, _: Any) -> None:
        if self._record_shown:
            self._update_record(self._html())

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(self._html())

    def _chosen(self) -> Audit:
        """Return the audit of what is shown."""
        if self.answer == ALL:
            return self._audit
        scores = {draft: [self._audit.scores(draft, self.answer)] for draft in self._audit.drafts}
        return Audit([self._audit.traces[self.answer]], scores)

    def _html(self) -> str:
        audit = self._chosen()
        if self._table is None or self._table[0] != (self.p_min, self.answer):
            self._table = (self.p_min, self.answer), self._heatmap(audit)
        return f"<p>{escape(self._sentence(audit))}</p>{self._table[1]}"

    def _sentence(self, audit: Audit) -> str:
        """Say what the chosen setting does."""
        runs = _replays(audit, self.draft, self.num_draft_tokens, self.p_min)
        accepted, rounds = sum(run.n_accepted for run in runs), sum(run.rounds for run in runs)
        tokens = sum(run.n_tokens for run in runs)
        said = (
            f"{self.draft}, draft length {self.num_draft_tokens}, p_min {self.p_min:g}: {accepted:,} of {tokens:,} "
            f"tokens accepted in {rounds:,} rounds, {_tokens_per_round(runs):.2f} tokens per round (exact)"
        )
        costs = self._costs.get(self.draft)
        if costs is None or not self._speed_known or self.num_draft_tokens > costs.longest:
            return f"{said}."
        plain, work = audit.work(_replays(audit, self.draft, 0)), audit.work(runs)
        speedup, *others = (by.seconds(plain) / by.seconds(work) for by in (costs.curves, *self._resampled[self.draft]))
        low, high = np.percentile(others, BAND)
        return f"{said}; predicted speedup {speedup:.2f} (95 % band {low:.2f} to {high:.2f})."

    @property
    def _speed_known(self) -> bool:
        return self.p_min == 0 or self._audit.thorough

    def _heatmap(self, audit: Audit) -> str:
        known = bool(self._costs) and self._speed_known
        title = "Predicted speedup over plain decoding" if known else "Tokens per round (exact)"
        head = "".join(f"<th>{length}</th>" for length in LENGTHS)
        rows = [
            f'<tr><th style="text-align:left">{escape(draft)}</th>'
            + "".join(f"<td>{value}</td>" for value in self._row(audit, draft, known))
            + "</tr>"
            for draft in audit.drafts
        ]
        return (
            f"<table><caption>{title}, by draft and draft length; p_min {self.p_min:g}</caption>"
            f'<tr><th style="text-align:left">draft</th>{head}</tr>{"".join(rows)}</table>'
        )

    def _row(self, audit: Audit, draft: str, known: bool) -> list[str]:
        runs = [_replays(audit, draft, length, self.p_min) for length in LENGTHS]
        if not known:
            return [f"{_tokens_per_round(some):.2f}" for some in runs]
        costs = self._costs.get(draft)
        if costs is None:
            return ["—" for _ in runs]
        plain = costs.curves.seconds(audit.work(runs[0]))
        measured = runs[: costs.longest + 1]
        values = [f"{plain / costs.curves.seconds(audit.work(some)):.2f}" for some in measured]
        return values + ["—"] * (len(runs) - len(measured))

    def __repr__(self) -> str:
        return f"<WhatIf: {self.draft}, draft length {self.num_draft_tokens}, p_min {self.p_min:g}>"


def _replays(audit: Audit, draft: str, length: int, p_min: float = 0.0) -> list[Replay]:
    return [audit.replay(draft, i, length, p_min) for i in range(len(audit.traces))]


def _tokens_per_round(runs: Sequence[Replay]) -> float:
    return sum(run.n_tokens for run in runs) / max(1, sum(run.rounds for run in runs))


def _check_drafts(what: str, drafts: Sequence[str] | Mapping[str, object], audit: Audit) -> None:
    unknown = [draft for draft in drafts if draft not in audit.drafts]
    if unknown:
        raise ValueError(f"{what} are given for {unknown[0]!r}, but the audited drafts are {', '.join(audit.drafts)}")


def _audit_columns(audit: Audit) -> dict[str, Any]:
    return {
        "main": audit.traces[0].header.main.name,
        "drafts": audit.drafts,
        "thorough": audit.thorough,
        "answers": [
            _texts(trace)
            | {
                "prompt": trace.header.prompt,
                "category": audit.categories[i],
                "n_prompt": len(trace.header.prompt_ids),
                "limit": audit.limit(i),
                "drafts": [_draft_columns(audit, draft, i) for draft in audit.drafts],
            }
            for i, trace in enumerate(audit.traces)
        ],
    }


def _texts(trace: Trace) -> dict[str, Any]:
    """Return the tokens' texts, and which of them are control tokens."""
    projection = Projection()
    for event in trace.events():
        projection.add(event)
    tokens = projection.take().get("tokens", {"text": [], "kind": ""})
    return {"text": tokens["text"], "control": [i for i, kind in enumerate(tokens["kind"]) if kind.isupper()]}


def _draft_columns(audit: Audit, draft: str, i: int) -> dict[str, Any]:
    scores, matches = audit.scores(draft, i), audit.matches(draft, i)
    misses = np.flatnonzero(~matches).tolist()
    ids = scores.favourite[misses].tolist()
    return {
        "matches": "".join("1" if one else "0" for one in matches),
        "confidence": _hundredths(scores.confidence),
        "favourite": [scores.pieces.get(id, b"<%d>" % id).decode("utf-8", "replace") for id in ids],
        "after": [_hundredths(scores.after[at]) for at in misses] if scores.after else None,
    }


def _hundredths(probabilities: ArrayLike) -> list[int]:
    """Round down, so that `p >= n / 100` is `_hundredths(p) >= n` for every whole n."""
    grid = np.arange(STEPS + 1) / STEPS
    found: list[int] = (np.searchsorted(grid, probabilities, side="right") - 1).tolist()
    return found


def _cost_columns(costs: Costs, resampled: Sequence[Curves]) -> dict[str, Any]:
    """Return the measured costs, and what resampling makes of them, in milliseconds."""
    return (
        _curve_columns(costs.curves, 7)
        | {"other": _milliseconds(costs.curves.other, 7)}
        | {"resampled": [_curve_columns(one, 4) for one in resampled]}
    )


def _curve_columns(curves: Curves, digits: int) -> dict[str, Any]:
    return {
        "draft": _milliseconds(curves.draft, digits),
        "pass": _milliseconds(curves.verify + curves.other, digits),
        "draft_slope": _milliseconds(curves.draft_slope, digits)[0],
        "pass_slope": _milliseconds(curves.pass_slope, digits)[0],
        "token_slope": _milliseconds(curves.verify_slope, digits)[0],
        "switch": _milliseconds(curves.switch, digits)[0],
    }


def _milliseconds(seconds: ArrayLike, digits: int) -> list[float]:
    return [float(f"{1000 * one:.{digits}g}") for one in np.atleast_1d(seconds)]


def _measured_columns(measured: pd.DataFrame, audit: Audit) -> dict[str, Any]:
    """Return the median of what was measured of each setting."""
    missing = [name for name in MEASURED if name not in measured]
    if missing:
        raise ValueError(f"measured has no column {missing[0]!r}; it needs {', '.join(MEASURED)}")
    known = measured.dropna(subset=list(MEASURED))
    _check_drafts("measurements", known.draft.unique().tolist(), audit)
    median = known.groupby(list(MEASURED[:3]), as_index=False, sort=False).speedup.median()
    return {name: median[name].tolist() for name in MEASURED}

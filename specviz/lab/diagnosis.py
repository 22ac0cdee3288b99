"""Why a pair is as fast as it is: what would have to be otherwise for drafting to pay more."""

from __future__ import annotations

from typing import Any, NamedTuple

import psutil

from specviz.lab.audit import Audit, audit
from specviz.lab.costs import Costs, Curves, measure_costs
from specviz.lab.prompts import Prompts
from specviz.lab.replay import replay
from specviz.pair import Pair
from specviz.trace.dialects import expected_tokens

MAX_TOKENS = 128


class Diagnosis(NamedTuple):
    """A predicted speedup, and what it would be if one thing were ideal and all others as they are."""

    num_draft_tokens: int
    p_min: float
    speedup: float
    free_draft: float
    """Speedup if drafting took no time."""
    all_accepted: float
    """If every sent token were accepted."""
    flat_verify: float
    """If a pass took as long as one of a single token, whatever its width."""
    c: float
    """Cost of a drafted token, in plain rounds of the main model (2211.17192)."""
    alpha: float | None
    """Accepted / (accepted + rounds that ended in a rejection); None if nothing was compared."""
    slope: float
    """What one more token adds to a pass, in passes of one token; 0 were flat."""
    textbook: float | None
    """(1 - alpha^(k+1)) / ((1 - alpha)(kc + 1)): what the papers' formula gives for this alpha, c and length
    (2211.17192, theorem 3.8). It takes acceptance to be independent from token to token and passes to be flat."""
    memory: str
    """What is wrong with memory; empty: nothing that can be seen."""

    @property
    def cause(self) -> str:
        """What costs the most: `memory`, `draft`, `acceptance` or `verify`."""
        if self.memory:
            return "memory"
        gains = {"draft": self.free_draft, "acceptance": self.all_accepted, "verify": self.flat_verify}
        return max(gains, key=lambda name: gains[name])

    def __str__(self) -> str:
        setting = f"draft length {self.num_draft_tokens}" + (f", p_min {self.p_min:g}" if self.p_min else "")
        alpha = "nothing was compared" if self.alpha is None else f"alpha = {100 * self.alpha:.0f} %"
        causes = {
            "memory": f"memory is short: {self.memory}",
            "draft": f"the draft is dear: a drafted token takes {self.c:.2f} of a plain round (c)",
            "acceptance": f"too little is accepted: {alpha}",
            "verify": f"verification is not flat: each further token adds {self.slope:.2f} of a plain pass",
        }
        return (
            f"{self.speedup:.2f}x predicted at {setting}. What weighs most: {causes[self.cause]}. "
            f"It would be {self.free_draft:.2f}x if drafting were free (c = {self.c:.2f}), {self.all_accepted:.2f}x if "
            f"everything were accepted ({alpha}), {self.flat_verify:.2f}x if passes of all widths took the same time "
            f"(slope = {self.slope:.2f})."
            + ("" if self.textbook is None else f" The textbook formula gives {self.textbook:.2f}x.")
        )


def diagnose(
    pair: Pair,
    prompts: Prompts = None,
    *,
    num_draft_tokens: int = 4,
    p_min: float = 0.0,
    max_tokens: int = MAX_TOKENS,
    **placement: Any,
) -> Diagnosis:
    """Find out why a pair is as fast as it is with a setting (some 20 seconds with the demo pair).

    Parameters
    ----------
    pair
        With a draft model.
    prompts
        As for `specviz.race`.
    num_draft_tokens, p_min, max_tokens
        As for `Pair.generate`.
    **placement
        Keywords of `specviz.load`, those that the pair was loaded with.

    Raises
    ------
    ValueError
        If the pair has no draft model.
    EngineError
        If the engine fails.
    """
    if pair.spec.draft is None:
        raise ValueError("a diagnosis needs a pair with a draft model")
    costs = measure_costs(pair, longest=max(2, num_draft_tokens))
    audited = audit(
        pair.spec.main.path, [pair.spec.draft.path], prompts, max_tokens=max_tokens, thorough=p_min > 0, **placement
    )
    return diagnosis(audited, audited.drafts[0], costs, num_draft_tokens, p_min, memory=memory_problem(pair))


def diagnosis(
    audited: Audit, draft: str, costs: Costs, num_draft_tokens: int, p_min: float = 0.0, *, memory: str = ""
) -> Diagnosis:
    """Diagnose a setting from an audit and costs that are there already."""
    curves, k = costs.curves, num_draft_tokens
    indices = range(len(audited.traces))
    runs = [audited.replay(draft, i, k, p_min) for i in indices]
    plain = [audited.replay(draft, i, 0) for i in indices]
    perfect = [replay([True] * run.n_tokens, k, limit=audited.limit(i)) for i, run in zip(indices, runs, strict=True)]
    free = curves._replace(draft=0 * curves.draft, draft_slope=0.0)
    done, ideal = audited.work(runs), audited.work(perfect)
    base = curves.seconds(audited.work(plain))
    accepted = sum(run.n_accepted for run in runs)
    refusing = sum(sent > taken for run in runs for sent, taken in zip(run.sent, run.accepted, strict=True))
    alpha = accepted / (accepted + refusing) if accepted + refusing else None
    c = curves.per_drafted / float(curves.verify[0] + curves.other[0])
    return Diagnosis(
        num_draft_tokens=k,
        p_min=p_min,
        speedup=base / curves.seconds(done),
        free_draft=base / free.seconds(done),
        all_accepted=base / curves.seconds(ideal),
        flat_verify=base / _flat(curves).seconds(done),
        c=c,
        alpha=alpha,
        slope=float(curves.verify[k] / curves.verify[0] - 1) / k if k else 0.0,
        textbook=None if alpha is None else textbook(alpha, k, c),
        memory=memory,
    )


def _flat(curves: Curves) -> Curves:
    return curves._replace(
        verify=0 * curves.verify + curves.verify[0],
        pass_slope=curves.pass_slope + curves.verify_slope,
        verify_slope=0.0,
    )


def textbook(alpha: float, k: int, c: float) -> float:
    """Return the speedup of the papers' formula (Leviathan 2211.17192, theorem 3.8).

    Parameters
    ----------
    alpha
        Acceptance rate of each token, independent of the others.
    k
        Draft length.
    c
        Cost of a drafted token over that of a pass of the main model.
    """
    return expected_tokens(alpha, k) / (k * c + 1)


def memory_problem(pair: Pair) -> str:
    """Say what is wrong with memory; empty: nothing that can be seen."""
    infos = [info for info in (pair.main, pair.draft) if info is not None]
    places = [(info.name, info.placement) for info in infos if info.placement is not None]
    needed = sum(place.total_bytes for _, place in places if place.devices == ("CPU",))
    total = psutil.virtual_memory().total
    if needed > total:
        return f"the models take {needed / 1e9:.1f} GB, and there are {total / 1e9:.1f} GB"
    split = [name for name, place in places if 0 < place.n_gpu_layers < place.n_layers]
    return f"{' and '.join(split)} did not fit on the GPU whole" if split else ""

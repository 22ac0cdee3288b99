"""Drafts against a main model's own answers: each reads them once, and every draft length and cutoff is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from specviz.lab.costs import LONGEST, Costs, Curves, Work
from specviz.lab.prompts import Prompts, prompts_of
from specviz.lab.replay import Replay, replay
from specviz.models import demo_drafts
from specviz.pair import Overlaps, Scores, load
from specviz.trace import StopReason, Trace

if TYPE_CHECKING:
    import pandas as pd

LENGTHS = range(LONGEST + 1)
CUTOFFS = (0.0, 0.3, 0.5, 0.7, 0.85)
MAX_TOKENS = 128
CEILING_TEMPERATURE = 1.0
"""At which distributions are compared where the answers are greedy."""
BAND = (2.5, 97.5)
"""Percentiles of a prediction's error band."""


class Audit:
    """What drafts would have proposed along the main model's answers.

    Attributes
    ----------
    traces : list of Trace
        The answers, decoded plainly.
    categories : list of str
        Of their prompts; empty where there is none.
    drafts : list of str
        Names of the drafts.
    thorough : bool
        Whether it is known what drafts say after a miss: needed for `n_min`, and for speed under a cutoff.
    sampled : bool
        Whether the answers were sampled. Then there is no exact surface, only `expected`.
    """

    def __init__(
        self,
        traces: Sequence[Trace],
        scores: Mapping[str, Sequence[Scores]],
        overlaps: Mapping[str, Sequence[Overlaps]] | None = None,
        categories: Sequence[str] = (),
    ) -> None:
        self.traces = list(traces)
        self.categories = list(categories) or [""] * len(self.traces)
        self.drafts = list(scores)
        self._scores = scores
        self._overlaps = overlaps or {}
        self.thorough = all(one.after for several in scores.values() for one in several)
        self.sampled = any(trace.header.settings.temperature > 0 for trace in traces)

    def matches(self, draft: str, i: int) -> NDArray[np.bool_]:
        """Whether the draft's favourite is what the main model said, along the i-th answer, shape (n_tokens,)."""
        favourites: NDArray[np.bool_] = self._scores[draft][i].favourite == np.array(self.traces[i].token_ids)
        return favourites

    def scores(self, draft: str, i: int) -> Scores:
        """What the draft thinks of the i-th answer."""
        return self._scores[draft][i]

    def confidence(self, draft: str, i: int) -> NDArray[np.floating]:
        """The draft's probability of its favourite, along the i-th answer, shape (n_tokens,)."""
        return self._scores[draft][i].confidence

    def probability(self, draft: str, i: int) -> NDArray[np.floating]:
        """The draft's probability of what the main model said, along the i-th answer, shape (n_tokens,)."""
        return self._scores[draft][i].probability

    def overlap(self, draft: str, i: int) -> Overlaps:
        """How far draft and main model agree along the i-th answer.

        Raises
        ------
        ValueError
            If the audit was made without `distributions`.
        """
        if draft not in self._overlaps:
            raise ValueError("the models were not compared: make the audit with distributions=True")
        return self._overlaps[draft][i]

    def limit(self, i: int) -> int:
        """Output tokens that the i-th answer could have had."""
        header = self.traces[i].header
        in_context = header.main.n_ctx - len(header.prompt_ids)
        asked = header.settings.max_tokens
        return in_context if asked is None else min(asked, in_context)

    def replay(self, draft: str, i: int, num_draft_tokens: int, p_min: float = 0.0, n_min: int = 0) -> Replay:
        """Return what a setting does to the i-th answer: accepted tokens and rounds are exact (`specviz.lab.replay`).

        Raises
        ------
        ValueError
            If the answers were sampled, or `n_min` is above 1 and the audit not thorough.
        """
        if self.sampled:
            raise ValueError("the answers were sampled: what is accepted is a matter of chance, see `expected`")
        scores = self._scores[draft][i]
        return replay(
            self.matches(draft, i),
            num_draft_tokens,
            confidence=scores.confidence,
            p_min=p_min,
            n_min=n_min,
            after=scores.after or None,
            limit=self.limit(i),
        )

    def surface(
        self,
        lengths: Iterable[int] = LENGTHS,
        cutoffs: Sequence[float] = CUTOFFS,
        *,
        n_min: int = 0,
        costs: Mapping[str, Costs] | None = None,
    ) -> pd.DataFrame:
        """Return what every setting does, summed over the answers.

        One row for each draft, `num_draft_tokens` and `p_min`: `accepted`, `rounds`, `tokens`, `tokens_per_round`, all
        exact; `drafted`, exact where `drafted_exact` says so, otherwise at most so many.

        With `costs` (by draft, from `specviz.lab.measure_costs`) also a prediction: `tokens_per_second`, and the
        `speedup` over plain decoding with its error band `low` to `high` (95 %, of the costs: the texts are given).
        Where `drafted_exact` is false, more tokens are taken to be drafted than will be, and the prediction is too low.
        """
        import pandas as pd

        rows = []
        for draft in self.drafts:
            known = costs.get(draft) if costs is not None else None
            curves = None if known is None else known.curves
            resampled = [] if known is None else known.resampled()
            plain = self.work([self.replay(draft, i, 0) for i in range(len(self.traces))])
            for length in lengths:
                for p_min in cutoffs:
                    runs = [self.replay(draft, i, length, p_min, min(n_min, length)) for i in range(len(self.traces))]
                    row = {"draft": draft, "num_draft_tokens": length, "p_min": p_min} | _sums(runs)
                    if curves is not None:
                        row |= _predicted(self.work(runs), plain, curves, resampled)
                    rows.append(row)
        return pd.DataFrame(rows)

    def work(self, runs: Sequence[Replay]) -> Work:
        """Return what a replay of each answer has to do: with `Curves.seconds` how long that takes."""
        return Work.of(runs, [len(trace.header.prompt_ids) for trace in self.traces])

    def expected(self, lengths: Iterable[int] = LENGTHS) -> pd.DataFrame:
        """Return what sampling is expected to accept: an estimate, along these answers, not an exact count.

        One row for each draft, way of accepting and draft length: `rule` (`match`, greedy draft: p(argmax q);
        `rejection`, sampled draft: sum(min(p, q)); `match, sampled draft`, mlx-lm's stock generator: sum(p q);
        `ceiling`: max p, what `match` would accept of the best of greedy drafts), `acceptance` (mean over positions)
        and `tokens_per_round`. Rounds are taken to begin where those before them are expected to end.
        """
        import pandas as pd

        ways = {"match": "greedy", "rejection": "common", "match, sampled draft": "product", "ceiling": "ceiling"}
        rows = []
        for draft in self.drafts:
            for rule, field in ways.items():
                chances = [getattr(self.overlap(draft, i), field) for i in range(len(self.traces))]
                mean = float(np.concatenate(chances).mean())
                n_tokens = sum(map(len, chances))
                for length in lengths:
                    rounds = sum(_expected_rounds(one, length) for one in chances)
                    row = {"draft": draft, "rule": rule, "num_draft_tokens": length, "acceptance": mean}
                    rows.append(row | {"tokens_per_round": n_tokens / rounds})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        tokens = sum(len(trace) for trace in self.traces)
        return f"<Audit of {', '.join(self.drafts)} on {len(self.traces)} answers, {tokens:,} tokens>"


def _predicted(work: Work, plain: Work, curves: Curves, resampled: Sequence[Curves]) -> dict[str, float]:
    took = curves.seconds(work)
    low, high = np.percentile([by.seconds(plain) / by.seconds(work) for by in resampled], BAND)
    return {
        "tokens_per_second": float(plain.sent.sum()) / took,
        "speedup": curves.seconds(plain) / took,
        "low": float(low),
        "high": float(high),
    }


def _sums(runs: Sequence[Replay]) -> dict[str, Any]:
    rounds, tokens = sum(run.rounds for run in runs), sum(run.n_tokens for run in runs)
    return {
        "accepted": sum(run.n_accepted for run in runs),
        "rounds": rounds,
        "tokens": tokens,
        "tokens_per_round": tokens / rounds if rounds else 0.0,
        "drafted": sum(sum(run.drafted) for run in runs),
        "drafted_exact": all(run.exact for run in runs),
    }


def _expected_rounds(chances: NDArray[np.floating], length: int) -> float:
    """Return how many rounds a text takes on average, given the chance of a drafted token at each position."""
    n = len(chances)
    begins = np.zeros(n + length + 2)
    begins[0] = 1.0
    for at in range(n):
        alive = begins[at]
        for ahead in range(min(length, n - 1 - at)):
            begins[at + ahead + 1] += alive * (1 - chances[at + ahead])
            alive *= chances[at + ahead]
        begins[at + min(length, n - 1 - at) + 1] += alive
    return float(begins[:n].sum())


def audit(
    main: str | Path = "auto",
    drafts: Sequence[str | Path] | None = None,
    prompts: Prompts = (),
    *,
    traces: Sequence[Trace] = (),
    max_tokens: int = MAX_TOKENS,
    temperature: float = 0.0,
    seed: int = 0,
    thorough: bool = False,
    distributions: bool = False,
    **placement: Any,
) -> Audit:
    """Find out what every draft length and cutoff of several drafts would do, without running any.

    The main model answers each prompt once, plainly; each draft then reads the answers in passes of up to 32 tokens.
    Of greedy decoding, accepted tokens and rounds follow exactly, for every setting.

    Parameters
    ----------
    main
        As for `specviz.load`.
    drafts
        As for `specviz.load`; None: the demo's.
    prompts
        To be answered: several, the name of a file of them (`*.jsonl`), or None for three of ours.
    traces
        Answers that are there already, of this main model.
    max_tokens
        Of each answer.
    temperature, seed
        Of the answers. Above 0 there is no exact surface; what is accepted on average is then estimated (`expected`),
        and `distributions` is on.
    thorough
        Have each draft also go on after each of its misses, for 16 tokens. What it drafts in vain is then exact, too,
        with which `n_min` and the speed under a cutoff become known; takes several times as long.
    distributions
        Have both models read the answers and compare their distributions, at the answers' temperature, or at 1.
    **placement
        Keywords of `specviz.load` that say where models are placed.

    Raises
    ------
    ValueError
        If there is nothing to audit, or a trace is of another main model.
    ModelNotFoundError, EngineError
        As for `specviz.load`.

    Examples
    --------
    >>> audit = sv.audit(prompts=["Why is the sky blue?"])
    >>> audit.surface().sort_values("tokens_per_round")
    """
    asked = [] if isinstance(prompts, tuple | list) and not prompts else prompts_of(prompts)
    if not asked and not traces:
        raise ValueError("there is nothing to audit: give prompts or traces")
    chosen = [model.path for model in demo_drafts()] if drafts is None else list(drafts)
    scores: dict[str, list[Scores]] = {}
    overlaps: dict[str, list[Overlaps]] = {}
    with load(main, None, **placement) as plain:
        for trace in traces:
            _check(trace, plain.main.name)
        answers = [*traces]
        for one in asked:
            answers.append(plain.generate(one.prompt, max_tokens=max_tokens, temperature=temperature, seed=seed))
        for draft in chosen:
            with load(main, draft, **placement) as pair:
                if pair.draft is None:
                    raise ValueError(f"{draft!r} is no draft model: an audit needs one")
                name = pair.draft.name
                scores[name] = [pair.score(trace, continued=LONGEST - 1 if thorough else 0) for trace in answers]
                if distributions or temperature > 0:
                    overlaps[name] = [_compare(pair, trace) for trace in answers]
    return Audit(answers, scores, overlaps, [""] * len(traces) + [one.category for one in asked])


def _compare(pair: Any, trace: Trace) -> Overlaps:
    overlaps: Overlaps = pair.compare(trace, temperature=trace.header.settings.temperature or CEILING_TEMPERATURE)
    return overlaps


def _check(trace: Trace, main: str) -> None:
    if trace.header.main.name != main:
        raise ValueError(f"the trace is of {trace.header.main.name}, not of {main}")
    if trace.summary is not None and trace.summary.stop_reason == StopReason.STOP_STRING_FOUND:
        raise ValueError("an audit needs answers that no stop string cut off: what would have followed is not known")

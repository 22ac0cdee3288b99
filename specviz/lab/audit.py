"""Drafts against a main model's own answers: each reads them once, and every draft length and cutoff is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from specviz.lab.replay import Replay, replay
from specviz.models import demo_drafts
from specviz.pair import Prompt, load
from specviz.trace import StopReason, Trace

if TYPE_CHECKING:
    import pandas as pd

LENGTHS = range(17)
CUTOFFS = (0.0, 0.3, 0.5, 0.7, 0.85)
MAX_TOKENS = 128


class Audit:
    """What drafts would have proposed along the main model's greedy answers.

    Attributes
    ----------
    traces : list of Trace
        The answers, decoded plainly.
    drafts : list of str
        Names of the drafts.
    """

    def __init__(self, traces: Sequence[Trace], scores: dict[str, list[tuple[NDArray[Any], ...]]]) -> None:
        self.traces = list(traces)
        self.drafts = list(scores)
        self._scores = scores

    def matches(self, draft: str, i: int) -> NDArray[np.bool_]:
        """Whether the draft's favourite is what the main model said, along the i-th answer, shape (n_tokens,)."""
        favourites: NDArray[np.bool_] = self._scores[draft][i][0] == np.array(self.traces[i].token_ids)
        return favourites

    def confidence(self, draft: str, i: int) -> NDArray[np.floating]:
        """The draft's probability of its favourite, along the i-th answer, shape (n_tokens,)."""
        return self._scores[draft][i][1]

    def probability(self, draft: str, i: int) -> NDArray[np.floating]:
        """The draft's probability of what the main model said, along the i-th answer, shape (n_tokens,)."""
        return self._scores[draft][i][2]

    def replay(self, draft: str, i: int, num_draft_tokens: int, p_min: float = 0.0) -> Replay:
        """Return what a setting does to the i-th answer: exact (`specviz.lab.replay`)."""
        summary = self.traces[i].summary
        limited = summary is not None and summary.stop_reason in (StopReason.MAX_TOKENS, StopReason.CONTEXT_LENGTH)
        return replay(
            self.matches(draft, i),
            num_draft_tokens,
            confidence=self.confidence(draft, i),
            p_min=p_min,
            limited=limited,
        )

    def surface(self, lengths: Iterable[int] = LENGTHS, cutoffs: Sequence[float] = CUTOFFS) -> pd.DataFrame:
        """Return accepted tokens and rounds of every setting, summed over the answers: exact.

        One row for each draft, `num_draft_tokens` and `p_min`: `accepted`, `rounds`, `tokens`, `tokens_per_round`.
        """
        import pandas as pd

        rows = []
        for draft in self.drafts:
            for length in lengths:
                for p_min in cutoffs:
                    runs = [self.replay(draft, i, length, p_min) for i in range(len(self.traces))]
                    rounds, tokens = sum(run.rounds for run in runs), sum(run.n_tokens for run in runs)
                    rows.append(
                        {
                            "draft": draft,
                            "num_draft_tokens": length,
                            "p_min": p_min,
                            "accepted": sum(run.n_accepted for run in runs),
                            "rounds": rounds,
                            "tokens": tokens,
                            "tokens_per_round": tokens / rounds if rounds else 0.0,
                        }
                    )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        tokens = sum(len(trace) for trace in self.traces)
        return f"<Audit of {', '.join(self.drafts)} on {len(self.traces)} answers, {tokens:,} tokens>"


def audit(
    main: str | Path = "auto",
    drafts: Sequence[str | Path] | None = None,
    prompts: Sequence[Prompt] = (),
    *,
    traces: Sequence[Trace] = (),
    max_tokens: int = MAX_TOKENS,
    **placement: Any,
) -> Audit:
    """Find out what every draft length and cutoff of several drafts would do, without running any.

    The main model answers each prompt once, plainly and greedily; each draft then reads the answers in passes of up to
    32 tokens. Accepted tokens and rounds of greedy decoding follow exactly, for every setting.

    Parameters
    ----------
    main
        As for `specviz.load`.
    drafts
        As for `specviz.load`; None: the demo's.
    prompts
        To be answered.
    traces
        Answers that are there already: greedy ones of this main model.
    max_tokens
        Of each answer.
    **placement
        Keywords of `specviz.load` that say where models are placed.

    Raises
    ------
    ValueError
        If there is nothing to audit, or a trace is not greedy or of another main model.
    ModelNotFoundError, EngineError
        As for `specviz.load`.

    Examples
    --------
    >>> audit = sv.audit(prompts=["Why is the sky blue?"])
    >>> audit.surface().sort_values("tokens_per_round")
    """
    if not prompts and not traces:
        raise ValueError("there is nothing to audit: give prompts or traces")
    chosen = [model.path for model in demo_drafts()] if drafts is None else list(drafts)
    scores: dict[str, list[tuple[NDArray[Any], ...]]] = {}
    with load(main, None, **placement) as plain:
        for trace in traces:
            _check(trace, plain.main.name)
        answers = [*traces]
        for prompt in prompts:
            answers.append(plain.generate(prompt, max_tokens=max_tokens))
        for draft in chosen:
            with load(main, draft, **placement) as pair:
                if pair.draft is None:
                    raise ValueError(f"{draft!r} is no draft model: an audit needs one")
                scores[pair.draft.name] = [pair.score(trace) for trace in answers]
    return Audit(answers, scores)


def _check(trace: Trace, main: str) -> None:
    header = trace.header
    if header.settings.temperature != 0:
        raise ValueError("an audit needs greedy traces, and this one was sampled")
    if header.main.name != main:
        raise ValueError(f"the trace is of {header.main.name}, not of {main}")

"""What the parts of a round cost with a pair on this machine, and what follows for a setting that was not run.

One run tells: successive rounds draft 0, 1, 2, ... tokens, in an order that is drawn anew for each turn, so that a
drift of the machine's pace meets all lengths alike. A round's time is then looked up by what it drafted and sent.

Each length has two rounds in a row, since a pass takes longer when it is not as wide as the one before it: llama.cpp
then plans its graph anew (`llama_context::process_ubatch`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specviz.lab.replay import Replay
from specviz.pair import Pair, Prompt
from specviz.trace import Round

Floats = NDArray[np.float64]

LONGEST = 16
"""Tokens of the longest draft whose cost is measured."""
TURNS = 4
"""Turns through all lengths, at each depth."""
IN_A_ROW = 2
"""Rounds of each length in a turn."""
PROMPTS = (
    "Explain how a refrigerator works to a ten-year-old.",
    "Summarise this log, then list what is unusual about it.\n"
    + "\n".join(f"{n:04}: pump {n % 7} reports {n * 37 % 100} litres and {n * 53 % 90} degrees." for n in range(40)),
)
"""A short one and one of some 900 tokens: passes get slower with what is in the cache."""
RESAMPLES = 200
MOST_TURNS = 1000
"""By which turns of different prompts are numbered apart."""


class Costs:
    """Measured costs of a pair: seconds of drafting by drafted tokens, of verifying and of the rest by tokens sent.

    Parameters
    ----------
    lengths
        Draft length of each round, shape (n_rounds,).
    draft, verify, other
        Its seconds, shape (n_rounds,).
    depth
        Tokens in the cache when it began, shape (n_rounds,).
    turn
        To which turn through all lengths it belongs, shape (n_rounds,): what is resampled for the error band. Those of
        the i-th prompt, from 0, are numbered from 1000 i.
    switched
        Whether its pass was not as wide as the one before, shape (n_rounds,); None: none was.

    Raises
    ------
    ValueError
        If a length from 0 to the longest was not measured.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        draft: Floats,
        verify: Floats,
        other: Floats,
        depth: Floats,
        turn: Sequence[int],
        switched: Sequence[bool] | None = None,
    ) -> None:
        self._lengths, self._turn = np.asarray(lengths), np.asarray(turn)
        self._switched = np.zeros(len(lengths), bool) if switched is None else np.asarray(switched, bool)
        self._draft, self._verify, self._other, self._depth = map(np.asarray, (draft, verify, other, depth))
        self.longest = int(self._lengths.max())
        """Tokens of the longest draft."""
        missing = set(range(self.longest + 1)) - set(self._lengths.tolist())
        if missing:
            raise ValueError(f"no round drafted {', '.join(map(str, sorted(missing)))} tokens")
        self.curves = self._curves(np.arange(len(self._lengths)))

    @classmethod
    def of(cls, runs: Sequence[tuple[int, Sequence[Round]]]) -> Costs:
        """Collect rounds that were generated with `lengths` (`Pair.stream`), in whole turns through them.

        Parameters
        ----------
        runs
            Of each the number of prompt tokens, and the rounds from the first.
        """
        rows = []
        for i, (n_prompt, rounds) in enumerate(runs):
            seen: Counter[int] = Counter()
            for before, round in itertools.pairwise(rounds):  # what comes first is slower than what is repeated
                n = len(round.drafted)
                turn = MOST_TURNS * i + seen[n] // IN_A_ROW
                seen[n] += 1
                row = (n, round.draft_seconds, round.verify_seconds, round.other_seconds, n_prompt + round.start)
                rows.append((*row, turn, round.sent != before.sent))
        lengths, draft, verify, other, depth, turns, switched = zip(*rows, strict=True)
        times = np.array(draft), np.array(verify), np.array(other)
        return cls(lengths, *times, np.array(depth, float), turns, switched)

    def _curves(self, rows: NDArray[np.intp]) -> Curves:
        lengths, depth, switched = self._lengths[rows], self._depth[rows], self._switched[rows]
        evaluated_depth = (lengths + 1) * depth
        (per_draft,) = _slopes(self._draft[rows], lengths, lengths * depth)
        per_pass, per_token = _slopes(self._verify[rows], 2 * lengths + switched, depth, evaluated_depth)
        passes = self._verify[rows] - per_pass * depth - per_token * evaluated_depth
        verify = self._medians(passes[~switched], lengths[~switched])
        longer = passes[switched] - verify[lengths[switched]]
        return Curves(
            draft=self._medians(self._draft[rows] - per_draft * lengths * depth, lengths),
            verify=verify,
            other=self._medians(self._other[rows], lengths),
            draft_slope=per_draft,
            pass_slope=per_pass,
            verify_slope=per_token,
            switch=max(0.0, float(np.median(longer))) if len(longer) else 0.0,
        )

    def _medians(self, seconds: Floats, lengths: NDArray[np.intp]) -> Floats:
        found = np.full(self.longest + 1, np.nan)
        for n in np.unique(lengths):
            found[n] = np.median(seconds[lengths == n])
        known = np.isfinite(found)
        curve: Floats = np.interp(np.arange(len(found)), np.flatnonzero(known), found[known])
        return curve

    def resampled(self, n: int = RESAMPLES, seed: int = 0) -> list[Curves]:
        """Return `n` sets of curves from turns drawn with replacement, prompt by prompt: how sure the curves are."""
        rng = np.random.default_rng(seed)
        turns = np.unique(self._turn)
        rows_of = {turn: np.flatnonzero(self._turn == turn) for turn in turns}
        of_prompts = [turns[turns // MOST_TURNS == prompt] for prompt in np.unique(turns // MOST_TURNS)]
        drawn = (np.concatenate([rng.choice(several, len(several)) for several in of_prompts]) for _ in range(n))
        return [self._curves(np.concatenate([rows_of[turn] for turn in some])) for some in drawn]

    def __repr__(self) -> str:
        c = self.curves
        return (
            f"<Costs: a plain round {1e3 * (c.verify[0] + c.other[0]):.1f} ms, "
            f"a drafted token {1e3 * c.per_drafted:.2f} ms, "
            f"a pass of {self.longest + 1} {c.verify[-1] / c.verify[0]:.1f} times a plain one>"
        )


class Curves(NamedTuple):
    """Seconds of a round's parts, at depth 0; the slopes say what a token in the cache adds."""

    draft: Floats
    """By drafted tokens, shape (longest + 1,)."""
    verify: Floats
    """By sent tokens (a pass is one wider), shape (longest + 1,)."""
    other: Floats
    """By sent tokens."""
    draft_slope: float
    """Seconds per drafted token and token in the cache."""
    pass_slope: float
    """Seconds per pass of the main model and token in the cache: the cache is read once in each."""
    verify_slope: float
    """Seconds per evaluated token and token in the cache."""
    switch: float
    """Seconds that a pass of the main model takes longer where it is not as wide as the one before."""

    @property
    def per_drafted(self) -> float:
        """Seconds of one more drafted token, at depth 0."""
        return float(self.draft[-1] - self.draft[1]) / (len(self.draft) - 2)

    def seconds(self, work: Work) -> float:
        """Return how long rounds take, prompt processing apart.

        Raises
        ------
        ValueError
            If a round drafts more than was measured.
        """
        n = len(work.drafted)
        if n > len(self.draft):
            raise ValueError(f"costs were measured for drafts of up to {len(self.draft) - 1} tokens")
        by_length = work.drafted @ self.draft[:n] + work.sent @ (self.verify + self.other)[:n]
        by_depth = (
            self.draft_slope * work.drafted_depth
            + self.pass_slope * work.pass_depth
            + self.verify_slope * work.evaluated_depth
        )
        return float(by_length + by_depth + self.switch * work.switches)


class Work(NamedTuple):
    """What the rounds of replayed texts have to do, as far as their time depends on it."""

    drafted: Floats
    """How many rounds draft 0, 1, 2, ... tokens."""
    sent: Floats
    """How many send that many; shape of `drafted`."""
    drafted_depth: float
    """Sum over drafted tokens of the tokens in the cache."""
    pass_depth: float
    """The same over passes of the main model."""
    evaluated_depth: float
    """The same over tokens evaluated by the main model."""
    switches: int
    """How many passes of the main model are not as wide as the one before."""

    @classmethod
    def of(cls, replays: Sequence[Replay], n_prompts: Sequence[int]) -> Work:
        """Add up replays of texts whose prompts have so many tokens."""
        drafted = np.array([n for one in replays for n in one.drafted], int)
        sent = np.array([n for one in replays for n in one.sent], int)
        depths = [
            n + np.cumsum((0, *one.accepted[:-1])) + np.arange(one.rounds)
            for one, n in zip(replays, n_prompts, strict=True)
        ]
        depth = np.concatenate(depths)
        size = drafted.max(initial=0) + 1
        return cls(
            np.bincount(drafted, minlength=size).astype(float),
            np.bincount(sent, minlength=size).astype(float),
            float(drafted @ depth),
            float(depth.sum()),
            float((sent + 1) @ depth),
            sum(int(np.count_nonzero(np.diff(one.sent))) for one in replays),
        )


def _slopes(seconds: Floats, kinds: NDArray[np.intp], *xs: Floats) -> list[float]:
    """Return least-squares slopes over `xs`, each kind of round having its own level; none below 0."""
    from scipy.optimize import nnls  # whose import no dashboard waits for

    dx, dy = np.empty((len(seconds), len(xs))), np.empty(len(seconds))
    for kind in np.unique(kinds):
        rows = kinds == kind
        of_kind = np.clip(seconds[rows], None, 2 * np.median(seconds[rows]))
        dy[rows] = of_kind - of_kind.mean()
        for j, x in enumerate(xs):
            dx[rows, j] = x[rows] - x[rows].mean()
    scale = np.linalg.norm(dx, axis=0)
    scale[scale == 0] = 1.0
    found, _ = nnls(dx / scale, dy)
    return [float(slope) for slope in found / scale]


def measure_costs(
    pair: Pair,
    prompts: Sequence[Prompt] = PROMPTS,
    *,
    longest: int = LONGEST,
    turns: int = TURNS,
    seed: int = 0,
    **settings: Any,
) -> Costs:
    """Measure what rounds cost with a pair, here and now (some 10 seconds with the demo pair).

    Parameters
    ----------
    pair
        With a draft model or n-gram lookup.
    prompts
        Texts whose answers are decoded; of different lengths, so that the slope with the cache's depth shows.
    longest
        Tokens of the longest draft.
    turns
        Turns through all lengths, for each prompt.
    seed
        Of the order of the lengths.
    **settings
        Of `Pair.generate`, as in the runs that are to be predicted: `detail` costs time, too.

    Raises
    ------
    ValueError, TypeError
        If the pair has no draft, or a setting is wrong.
    EngineError
        If the engine fails.
    """
    if not (pair.spec.draft or pair.spec.ngram):
        raise ValueError("costs of rounds need a pair with a draft")
    rng = np.random.default_rng(seed)
    order = [int(n) for _ in range(turns) for n in np.repeat(rng.permutation(longest + 1), IN_A_ROW)]
    return Costs.of([_run(pair, prompt, [0, *order], settings) for prompt in prompts])


def _run(pair: Pair, prompt: Prompt, lengths: Sequence[int], settings: dict[str, Any]) -> tuple[int, Sequence[Round]]:
    """Decode until every length had its turn; what the engine does until it obeys is left out."""
    settings = {"max_tokens": None, "ignore_eos": True, "detail": False} | settings
    with pair.stream(prompt, lengths=lengths, **settings) as generation:
        rounds = list(itertools.islice(generation, len(lengths)))
    assert generation.trace is not None
    return len(generation.trace.header.prompt_ids), rounds

"""The draft length that pays: chosen token by token from measured costs and the acceptance seen so far.

A round that sends n tokens yields 1 + P1 + ... + Pn tokens on average, where Pi is the chance that the first i of them
are accepted, and takes c(n + 1) seconds of verification and n passes of the draft. The best long-run rate is the
lambda at which the expected tokens of a round, less lambda times its seconds, come to nothing (renewal reward; for a
known acceptance rate Leviathan 2211.17192, section 3.4, chooses a length by the same expected gain). Given lambda,
when to go on drafting is an optimal-stopping problem over what the draft says of itself: its confidence at each
position. `Experience` holds what is learned of a pair, `Auto` solves the problem and decides by it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from math import ceil
from statistics import median, median_low

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from specviz.decoding.policies import Feedback, Look, Policy
from specviz.trace import AutoInputs, Decision

Floats = NDArray[np.float64]

LONGEST = 16
"""Tokens of the longest draft."""
CALIBRATED = (1, 1, 1, 2, 3, 4, 5, 6, 7, 9, 13, LONGEST + 1)
"""Widths that are measured before a pair's first round: the plain pass three times, since all others are compared with
it; those between are interpolated."""
SWEEPS, SWEEP_SECONDS = 3, 1.0
"""How many texts begin with that, so that no short disturbance lasts; only the first if it takes more than a second."""
DRIFT = 0.3
"""How far one pass moves the pace."""
FIRST_WEIGHT = 3
"""How many passes the calibration of a width counts for."""
RECENT = 15
"""Passes of each width whose median is its cost: robust against a busy machine."""
EDGES = (0.2, 0.35, 0.5, 0.62, 0.73, 0.82, 0.89, 0.94, 0.97, 0.985, 0.995)
"""Of the classes of confidence."""
CENTRES = np.array([0.12, 0.28, 0.43, 0.56, 0.68, 0.78, 0.86, 0.92, 0.957, 0.978, 0.991, 0.998])
N_CLASSES = len(CENTRES)
AFTER_BONUS, AFTER_OTHER = N_CLASSES, N_CLASSES + 1
"""Two more predecessors of a position: it is the first of a round, after one that was accepted whole or any other."""
STEPS, RATIO = 24, 0.85
"""Grid of the chance that all tokens so far are accepted: 1, 0.85, 0.85^2 ..."""
MEMORY, START_MEMORY = 0.998, 0.95
"""How much a count is worth after one more of its kind: the last 500 matter; of a text's beginnings the last 20."""
SMOOTHING = 3.0
"""Observations that the average over all positions counts for in what follows a class."""
START_WEIGHT = 8.0
"""Observations that all texts count for in what this one's drafts begin with: texts differ in how easy they are."""
PROBE_SHARE = 0.005
"""Part of the time that may go into drafts that are only compared, not sent, while drafting does not pay but might."""
PROBES = 3
"""That follow each other: a draft that has evaluated the round before has nothing to catch up with."""
OPTIMISM = 2.0
"""Tokens that a new draft is taken to have had accepted, where the question is whether to probe it."""
LEAST_GAIN, GAIN = 0.05, 0.3
"""Over plain decoding, on the easiest of texts: below the one there are no probes, from the other on all of them."""
HOPE = 0.3
"""Share of the probes that is left to a draft whose tokens were all refused."""
PLAN_EVERY = 8
"""Drafts between two plans, once much has been learned: a plan takes a fifth of a millisecond."""


def class_of(look: Look) -> int:
    """Return the class of a position by the draft's confidence."""
    return bisect_right(EDGES, look.confidence)


class PassCosts:
    """Seconds of a main model's pass by its width (tokens evaluated): how long a plain pass takes now, times the shape.

    A busy machine is slower at all widths, so every pass tells of the pace; the shape changes slowly.
    """

    def __init__(self) -> None:
        self._pace = 0.0
        """Seconds of a plain pass; 0: not known yet."""
        self._shape: dict[int, deque[float]] = {1: deque([1.0])}
        """Passes of each width, in plain passes."""

    def calibrate(self, sweep: Sequence[tuple[int, float]]) -> None:
        """Take measured passes (width, seconds) into account.

        What disturbs a measurement makes it longer, so of two calibrations the lower cost counts.
        """
        self._pace = median(seconds for width, seconds in sweep if width == 1)
        for width, seconds in sweep:
            if width > 1:
                lowest = min([seconds / self._pace, *self._shape.get(width, ())])
                self._shape[width] = deque([lowest] * FIRST_WEIGHT, maxlen=RECENT)

    def add(self, width: int, seconds: float) -> None:
        """Take a round's pass into account."""
        if not self._pace:
            return
        if width in self._shape:
            self._pace *= (seconds / (self._pace * median_low(self._shape[width]))) ** DRIFT
        if width > 1:
            self._shape.setdefault(width, deque(maxlen=RECENT)).append(seconds / self._pace)

    def curve(self, widest: int) -> Floats:
        """Return the cost of widths 1 to `widest`: medians, with straight lines between the widths that were seen.

        A wider pass never costs less than a narrower one; so where a wider pass was quicker, its time holds.
        """
        widths = sorted(self._shape)
        medians = [median_low(self._shape[width]) for width in widths]
        lowest = np.minimum.accumulate(medians[::-1])[::-1]
        return self._pace * np.interp(np.arange(1, widest + 1), widths, lowest)

    @property
    def known(self) -> bool:
        """Whether there was a calibration."""
        return self._pace > 0


class Experience:
    """What is known of a pair from its rounds so far; outlives a generation."""

    def __init__(self) -> None:
        self.verify = PassCosts()
        self.sweeps_left = SWEEPS
        self.draft: deque[float] = deque(maxlen=RECENT)
        """Seconds of drafting, per drafted token."""
        self.follows = np.zeros((N_CLASSES + 2, N_CLASSES))
        """How often a position of one class came after one of another (or first)."""
        self.starts = np.zeros((2, N_CLASSES))
        """The same of first positions in this text."""
        self.compared = np.zeros(N_CLASSES)
        self.accepted = np.zeros(N_CLASSES)
        self.drafts = 0
        self.rate = 0.0
        """Best tokens per second that drafting (or not) promises: lambda."""
        self.last = AFTER_OTHER

    def begin(self) -> None:
        """Get ready for another text: how confidence goes on is known, how easy the text is not."""
        self.starts[:] = 0
        self.last = AFTER_OTHER

    @property
    def draft_seconds(self) -> float:
        """Seconds that one more drafted token takes."""
        return median(self.draft) if self.draft else 0.0

    def acceptance(self) -> Floats:
        """Return the acceptance probability of each class.

        Beta posteriors around confidence times trust, where trust compares acceptance with confidence over all
        classes. It begins at a half: a draft has to show that it is any good.
        """
        trust = (self.accepted.sum() + 1.0) / (self.compared @ CENTRES + 2.0)
        prior = np.minimum(CENTRES * trust, CENTRES)
        posterior: Floats = (self.accepted + 3 * prior) / (self.compared + 3)
        return posterior.clip(max=0.999)

    def best_acceptance(self) -> float:
        """Return what the acceptance probability of the most confident tokens may be, at best."""
        trust = (self.accepted.sum() + OPTIMISM) / (self.compared @ CENTRES + OPTIMISM)
        return float(CENTRES[-1] * min(1.0, trust))

    def transitions(self) -> Floats:
        """Return the chance of each class after each predecessor, shape (N_CLASSES + 2, N_CLASSES)."""
        overall: Floats = self.follows.sum(axis=0) + 0.5
        overall /= overall.sum()
        chances: Floats = (self.follows + SMOOTHING * overall) / (self.follows.sum(axis=1, keepdims=True) + SMOOTHING)
        here = self.starts + START_WEIGHT * chances[N_CLASSES:]
        chances[N_CLASSES:] = here / here.sum(axis=1, keepdims=True)
        return chances

    def learn_classes(self, classes: list[int]) -> None:
        """Count the classes of a draft's positions."""
        before = self.last
        for one in classes:
            self.follows[before] *= MEMORY
            self.follows[before, one] += 1
            if before >= N_CLASSES:
                self.starts[before - N_CLASSES] *= START_MEMORY
                self.starts[before - N_CLASSES, one] += 1
            before = one

    def learn_outcome(self, position_class: int, chance: float) -> None:
        """Count one compared token."""
        self.compared[position_class] *= MEMORY
        self.accepted[position_class] *= MEMORY
        self.compared[position_class] += 1
        self.accepted[position_class] += chance


class Auto(Policy):
    """Chooses the draft length round by round, down to 0 where drafting does not pay.

    Parameters
    ----------
    experience
        Of this pair with this rule; kept by the engine, so that only a pair's first generation has to learn.
    """

    looks = learns = True

    def __init__(self, experience: Experience) -> None:
        self._experience = experience
        self._classes: list[int] = []
        """Of the positions of this round's draft."""
        self._depth = [0.0]
        """Chance that the first n kept tokens are all accepted, in steps of RATIO."""
        self._probing = False
        self._probes_left = 0
        self._plain: Decision | None = None
        """Of a round without a draft: the same until the next plan."""
        self._learned = 0
        """Drafts since the last plan."""
        self._seconds = self._probe_seconds = 0.0
        self._abreast = True
        """Whether the draft has evaluated all but the last round: after plain rounds it has to catch up, which is not
        what a drafted token costs."""
        experience.begin()
        self._accept = experience.acceptance()
        self._promises = 0.0
        self._unmeasured: deque[int] = deque()
        self._sweep: list[tuple[int, float]] = []
        self._costs = [0.0] * (LONGEST + 1)
        self._shift = np.zeros(N_CLASSES)
        self._go_on = np.zeros((LONGEST + 1, N_CLASSES + 2, STEPS))
        self._keep = np.zeros((LONGEST, N_CLASSES, STEPS))
        if experience.verify.known:
            self._plan()
        if experience.sweeps_left:
            self._unmeasured.extend(CALIBRATED)

    def unmeasured(self) -> int:
        """Return the next width of the calibration."""
        return self._unmeasured[0] if self._unmeasured else 0

    def measured(self, width: int, seconds: float) -> None:
        """Keep the cost; with the last of them, plan anew."""
        x = self._experience
        self._sweep.append((width, seconds))
        self._unmeasured.popleft()
        if not self._unmeasured:
            x.verify.calibrate(self._sweep)
            took = sum(seconds for _, seconds in self._sweep)
            x.sweeps_left = 0 if took > SWEEP_SECONDS else x.sweeps_left - 1
            self._plan()

    def _plan(self) -> None:
        """Solve the stopping problem by backward induction over the draft's positions."""
        self._learned, self._plain = 0, None
        x = self._experience
        self._costs = costs = x.verify.curve(LONGEST + 1).tolist()
        self._accept = x.acceptance()
        plain = costs[0]
        x.rate = max(x.rate, 1 / plain)
        transitions = x.transitions()
        survival = RATIO ** np.arange(STEPS)
        self._shift = np.log(self._accept) / np.log(RATIO)
        at = np.arange(STEPS) + self._shift[:, None]
        low = np.minimum(np.floor(at).astype(int), STEPS - 1)
        part = at - np.floor(at)
        high = np.minimum(low + 1, STEPS - 1)
        rows = np.arange(N_CLASSES)[:, None]
        gain = survival * self._accept[:, None]
        price = x.rate * x.draft_seconds
        for n in reversed(range(LONGEST)):
            later = self._go_on[n + 1]
            after = (1 - part) * later[rows, low] + part * later[rows, high]
            self._keep[n] = gain - x.rate * (costs[n + 1] - costs[n]) + after
            self._go_on[n] = np.maximum(transitions @ np.maximum(self._keep[n], 0) - price, 0)
        self._promises = self._promise()
        starts = x.follows[[AFTER_BONUS, AFTER_OTHER]].sum(axis=1) + 1
        drafting = float(starts @ self._go_on[0, [AFTER_BONUS, AFTER_OTHER], 0] / starts.sum())
        x.rate += 0.5 * ((1 + drafting) / plain - x.rate)

    def _promise(self) -> float:
        """Return how much probes may bring, from 0 to 1, by what drafting would give on the easiest of texts.

        A draft that was refused so far is not given up: texts differ.
        """
        perfect, learned = (self._gain(acceptance) for acceptance in (CENTRES[-1], self._experience.best_acceptance()))
        if perfect < LEAST_GAIN:
            return 0.0
        return min(1.0, perfect / GAIN) * max(HOPE, min(1.0, learned / GAIN))

    def _gain(self, acceptance: float) -> float:
        """Return what drafting gives over plain decoding where each token is accepted with the same probability."""
        lengths = np.arange(LONGEST + 1)
        tokens = np.cumsum(acceptance**lengths)
        seconds = np.array(self._costs) + lengths * self._experience.draft_seconds
        return max(0.0, float((tokens / seconds).max() * self._costs[0] - 1))

    def more(self, n: int) -> str:
        """Draft another token where that promises more than it costs, or where a probe is due."""
        if n == 0:
            self._classes.clear()
            self._depth = [0.0]
            self._probing = False
        if n >= LONGEST:
            return "length"
        before = self._classes[-1] if n else self._experience.last
        if self._value(self._go_on[n, before]) > 0:
            return ""
        if n == 0 and self._promises and self._probe_is_due():
            self._probing = True
            return ""
        return "auto"

    def cutoff(self, n: int, look: Look) -> str:
        """Keep the token where it promises more than it costs, with what may follow."""
        one = class_of(look)
        self._classes.append(one)
        if self._probing:
            return "probe"
        if self._value(self._keep[n, one]) <= 0:
            return "auto"
        self._depth.append(self._depth[-1] + float(self._shift[one]))
        return ""

    def send(self, n: int) -> int:
        """Send the beginning of the draft that promises the most."""
        best, most, tokens = 0, 0.0, 0.0
        for i, depth in enumerate(self._depth[1 : n + 1], 1):
            tokens += RATIO**depth
            worth = tokens - self._experience.rate * (self._costs[i] - self._costs[0])
            if worth > most:
                best, most = i, worth
        return best

    def _value(self, row: Floats) -> float:
        """Look up what the chance that all kept tokens are accepted makes of a row of the plan."""
        at = min(self._depth[-1], STEPS - 1.0)
        low = int(at)
        high = min(low + 1, STEPS - 1)
        return float(row[low] + (at - low) * (row[high] - row[low]))

    def _probe_is_due(self) -> bool:
        if not self._probes_left and self._probe_seconds <= PROBE_SHARE * self._promises * self._seconds:
            self._probes_left = ceil(PROBES * self._promises)
        return self._probes_left > 0

    def decision(self, ended: str, kept: int, looks: Sequence[Look]) -> Decision:
        """Return the estimates that the round was decided on."""
        if not looks and self._plain is not None:
            return self._plain
        decision = structs.replace(
            super().decision(ended, kept, looks),
            auto=AutoInputs(
                tokens_per_second=self._experience.rate,
                draft_seconds=self._experience.draft_seconds,
                verify_seconds=tuple(self._costs[: kept + 1]),
                acceptance=tuple(self._accept[self._classes].tolist()),
            ),
        )
        if not looks:
            self._plain = decision
        return decision

    def learn(self, feedback: Feedback) -> None:
        """Learn costs, acceptance, and how confidence goes from one position to the next."""
        round, x = feedback.round, self._experience
        self._seconds += round.seconds
        x.verify.add(1 + round.sent, round.verify_seconds)
        if round.drafted:
            if self._abreast:
                x.draft.append(round.draft_seconds / len(round.drafted))
            x.drafts += 1
            x.learn_classes(self._classes)
            if self._probing:
                self._probe_seconds += round.draft_seconds
                self._probes_left -= 1
        for one, chance in zip(self._classes, feedback.chances, strict=False):
            x.learn_outcome(one, chance)
        whole = round.sent > 0 and not round.refused
        x.last = AFTER_BONUS if whole else AFTER_OTHER
        self._abreast = bool(round.drafted)
        self._learned += self._abreast
        due = 1 if self._probing else min(1 + x.drafts // 8, PLAN_EVERY)
        if self._learned >= due:
            self._plan()

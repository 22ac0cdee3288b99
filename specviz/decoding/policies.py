"""Draft-length policies: how many tokens to draft in a round, and how many of them to send.

In each round a policy is asked before every pass of the drafter whether to make it (`more`), after the pass and before
the token is drawn whether to keep that token (`cutoff`), and at the end how many of the kept tokens to send (`send`);
then it is told how the round went (`learn`).

That order is what keeps every policy lossless. Under the rule `rejection` the sent tokens must be distributed as q, so
whether a token is kept may depend on all that came before it and on its distribution, but not on the token itself nor
on what follows it: to drop tokens for what they are would distort q. Therefore `send` may cut only drafts that were
not sampled (`sampled_draft`), whose tokens are no random choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from specviz.trace import Decision, Round, Settings


class Look(NamedTuple):
    """What is known of a position before its token is drawn."""

    confidence: float
    """The draft's probability of its favourite token; of a drafter without probabilities, its trust from 0 to 1."""
    entropy: float | None = None
    """Of the draft's distribution, in nats; None: not computed or no distribution."""


class Feedback(NamedTuple):
    """How a round went, as far as a policy may learn from it."""

    round: Round
    chances: tuple[float, ...]
    """Acceptance probability of each drafted token that was compared; in a round that sent nothing, of the first."""


class Policy:
    """Drafts as long as the drafter can; the base of the others."""

    looks = False
    """Whether `cutoff` wants the confidence."""
    wants_entropy = False
    learns = False
    """Whether `learn` wants to be told."""

    def more(self, n: int) -> str:
        """Return why not to draft another token after `n` kept ones; empty: go on."""
        return ""

    def cutoff(self, n: int, look: Look) -> str:
        """Return why not to keep the token that would follow `n` kept ones; empty: keep it."""
        return ""

    def send(self, n: int) -> int:
        """Return how many of `n` kept tokens to send. Asked only where the draft was not sampled."""
        return n

    def decision(self, ended: str, kept: int, looks: Sequence[Look]) -> Decision:
        """Return what the trace records of the round's draft."""
        return Decision(
            ended=ended,
            kept=kept,
            confidence=tuple(look.confidence for look in looks) if self.looks else (),
            entropy=tuple(look.entropy for look in looks if look.entropy is not None),
        )

    def unmeasured(self) -> int:
        """Return the width of a verify pass whose cost must be known before the first round; 0: none (any more)."""
        return 0

    def measured(self, width: int, seconds: float) -> None:
        """Take the cost of an unmeasured width into account."""

    def learn(self, feedback: Feedback) -> None:
        """Take a round's outcome into account."""


@dataclass
class FixedLength(Policy):
    """Drafts `length` tokens (llama.cpp's `n_max`, mlx-lm's `num_draft_tokens`)."""

    length: int

    def more(self, n: int) -> str:
        """Stop at the length."""
        return "" if n < self.length else "length"


class CycledLengths(Policy):
    """Drafts of given lengths, in turn, over and over: so that one run tells what each of them costs."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._coming = cycle(lengths)
        self._length = 0

    def more(self, n: int) -> str:
        """Begin a round with the next length."""
        if n == 0:
            self._length = next(self._coming)
        return "" if n < self._length else "length"


class _Refined(Policy):
    """A policy that adds a condition to another."""

    def __init__(self, inner: Policy) -> None:
        self.inner = inner
        self.looks, self.wants_entropy = inner.looks, inner.wants_entropy

    def more(self, n: int) -> str:
        """As the inner policy."""
        return self.inner.more(n)

    def cutoff(self, n: int, look: Look) -> str:
        """As the inner policy."""
        return self.inner.cutoff(n, look)

    def send(self, n: int) -> int:
        """As the inner policy."""
        return self.inner.send(n)


class ProbabilityCutoff(_Refined):
    """Stops where the draft gives its favourite token less than `p_min` (llama.cpp's, which renormalises over 10)."""

    def __init__(self, inner: Policy, p_min: float) -> None:
        super().__init__(inner)
        self.p_min = p_min
        self.looks = True

    def cutoff(self, n: int, look: Look) -> str:
        """Compare the confidence."""
        if look.confidence < self.p_min:
            return "p_min"
        return self.inner.cutoff(n, look)


class EntropyCutoff(_Refined):
    """Stops where the entropy of the draft's distribution exceeds `entropy_max` nats.

    After AdaEDL (2410.18351) and SVIP (2411.18462): an uncertain draft is a likely refusal.
    """

    def __init__(self, inner: Policy, entropy_max: float) -> None:
        super().__init__(inner)
        self.entropy_max = entropy_max
        self.looks = self.wants_entropy = True

    def cutoff(self, n: int, look: Look) -> str:
        """Compare the entropy."""
        if look.entropy is not None and look.entropy > self.entropy_max:
            return "entropy"
        return self.inner.cutoff(n, look)


class MinLength(_Refined):
    """Sends `n_min` tokens or more, or none (llama.cpp's `n_min`).

    A shorter draft is dropped. A sampled one must not be (see above): there a cutoff may prevent a draft, but once
    begun it goes on to `n_min`.
    """

    def __init__(self, inner: Policy, n_min: int, *, sampled: bool) -> None:
        super().__init__(inner)
        self.n_min, self.sampled = n_min, sampled

    def cutoff(self, n: int, look: Look) -> str:
        """Hold other cutoffs back inside a sampled draft that is too short."""
        if self.sampled and 0 < n < self.n_min:
            return ""
        return self.inner.cutoff(n, look)

    def send(self, n: int) -> int:
        """Drop what is too short."""
        n = self.inner.send(n)
        return n if n >= self.n_min else 0


def sampled_draft(settings: Settings) -> bool:
    """Whether drafted tokens are drawn from q, as the rule `rejection` has it, rather than the draft's favourites."""
    return settings.rule == "rejection" and settings.temperature > 0

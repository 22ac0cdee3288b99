"""What the loop needs of an engine: a main model that scores, a drafter that proposes.

Both keep a cache of the tokens they have evaluated and can be rewound to a shorter one. Positions in a verify pass
count from 0: position `i` is the distribution *after* the i-th token of the pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from specviz.decoding.distribution import Distribution
from specviz.decoding.policies import Policy
from specviz.trace import Decision, Pieces
from specviz.trace.events import Candidates


class EvaluationStopped(Exception):
    """A forward pass was given up because the caller asked to stop."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a drafter proposes in one round.

    `ids` are all drafted tokens, the first `n_send` of them are to be verified. `q`, `q_sampler` and `top` are per
    drafted token, or empty where not recorded.
    """

    ids: tuple[int, ...] = ()
    n_send: int = 0
    distributions: tuple[Distribution, ...] = ()
    """What each drafted token was drawn from; empty where drafting is greedy."""
    q: tuple[float | None, ...] = ()
    q_sampler: tuple[float | None, ...] = ()
    top: tuple[Candidates, ...] = ()
    decision: Decision | None = None
    """Of the policy: why drafting ended, and on what that was decided."""

    @property
    def send(self) -> tuple[int, ...]:
        """The tokens to be verified."""
        return self.ids[: self.n_send]


NO_DRAFT = Draft()


class Drafter(Protocol):
    """Proposes tokens. Knows nothing of the main model."""

    kind: str
    """`model`, `ngram` or `none`: the trace's `drafter`."""

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token; return how many of them were in the cache already."""

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        """Propose tokens to follow `history` (prompt and output so far, all decided): at most `room`, at least 1.

        Asks the policy before each token, and before sending (`specviz.decoding.policies`).
        """

    def rank(self, i: int, token: int) -> int | None:
        """Rank (from 1) of a token in the distribution that the i-th drafted token of the last draft came from."""

    def close(self) -> None:
        """Free what belongs to this generation only."""


class MainModel(Protocol):
    """Scores tokens; shapes distributions as the settings ask for."""

    n_ctx: int

    def begin(self, prompt: Sequence[int]) -> int:
        """Evaluate all of the prompt but its last token; return how many of them were in the cache already.

        Raises
        ------
        EvaluationStopped
        """

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Append tokens to the cache in one pass; afterwards every position of the pass can be looked at.

        Raises
        ------
        EvaluationStopped
            The cache holds what it held before.
        """

    def rewind(self, n: int) -> None:
        """Shorten the cache to its first `n` tokens."""

    def distribution(self, i: int) -> Distribution:
        """What the sampler draws the token after position `i` from (`specviz.decoding.distribution`)."""

    def probability(self, i: int, token: int) -> float:
        """Probability of a token at position `i`: full-vocabulary softmax at temperature 1."""

    def top(self, i: int) -> Candidates:
        """The most probable tokens of position `i`."""

    def is_end(self, token: int) -> bool:
        """Whether a token ends the generation."""

    def close(self) -> None:
        """Free what belongs to this generation only."""

    def text_piece(self, token: int) -> bytes:
        """Bytes of text of a token; empty for control tokens."""

    def pieces(self, tokens: Sequence[int]) -> Pieces | None:
        """Texts of those tokens that were not asked for before in this generation; None if there are none."""


class NoDrafter:
    """Plain decoding: proposes nothing."""

    kind = "none"

    def begin(self, prompt: Sequence[int]) -> int:
        """Do nothing."""
        return 0

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        """Propose nothing."""
        return NO_DRAFT

    def rank(self, i: int, token: int) -> int | None:
        """There is no distribution."""
        return None

    def close(self) -> None:
        """Nothing to free."""

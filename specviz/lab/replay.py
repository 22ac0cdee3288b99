"""Greedy speculative decoding of a known text, without a model.

What a greedy draft has accepted depends on nothing but where it agrees with the text: a round that begins at a position
accepts the tokens up to the first disagreement, the draft length, or the first token below `p_min`, whichever comes
first, and closes with one token of the main model. So accepted tokens and rounds are exact. How many tokens a draft
proposes after its first miss, which only costs time, is not known from the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Replay(NamedTuple):
    """What one setting does to a text."""

    accepted: tuple[int, ...]
    """Accepted tokens of each round, in order."""
    n_tokens: int
    """Tokens of the text."""

    @property
    def rounds(self) -> int:
        """Verify passes of the main model."""
        return len(self.accepted)

    @property
    def n_accepted(self) -> int:
        """Accepted tokens of all rounds."""
        return sum(self.accepted)

    @property
    def tokens_per_round(self) -> float:
        """Output tokens over rounds (vLLM's mean acceptance length)."""
        return self.n_tokens / self.rounds if self.rounds else 0.0


def replay(
    matches: Sequence[bool] | NDArray[np.bool_],
    num_draft_tokens: int,
    *,
    confidence: Sequence[float] | NDArray[np.floating] | None = None,
    p_min: float = 0.0,
    limited: bool = True,
) -> Replay:
    """Decode a text again with another draft length and cutoff.

    Parameters
    ----------
    matches
        Whether the draft's favourite is the token that stands there, shape (n_tokens,).
    num_draft_tokens
        Draft length; 0: plain decoding.
    confidence
        The draft's probability of its favourite, shape (n_tokens,); needed where `p_min` is above 0.
    p_min
        Cutoff, as in `Pair.generate`.
    limited
        Whether the text ended at its token limit: then the last token is never drafted, since there is no room for the
        token that closes the round. Otherwise an end token or a stop string ended it.

    Raises
    ------
    ValueError
        If a cutoff is asked for without confidences, or the lengths differ.
    """
    kept = np.asarray(matches, bool)
    if p_min > 0:
        if confidence is None or len(confidence) != len(kept):
            raise ValueError("p_min needs the confidence at every position")
        kept = kept & (np.asarray(confidence) >= p_min)
    n_tokens = len(kept)
    reach = _reach(kept)
    last = n_tokens - limited
    accepted, at = [], 0
    while at < n_tokens:
        n = min(num_draft_tokens, reach[at], last - at)
        accepted.append(n)
        at += n + 1
    return Replay(tuple(accepted), n_tokens)


def _reach(kept: NDArray[np.bool_]) -> list[int]:
    """Return, for each position, how many positions from it on are kept without a gap."""
    reach, n = [0] * len(kept), 0
    for i in range(len(kept) - 1, -1, -1):
        n = n + 1 if kept[i] else 0
        reach[i] = n
    return reach

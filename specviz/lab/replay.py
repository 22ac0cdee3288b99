"""Greedy speculative decoding of a known text, without a model.

What a greedy draft has accepted depends on nothing but where it agrees with the text: a round that begins at a position
accepts the tokens up to the first disagreement, the draft length, or the first token below `p_min`, whichever comes
first, and closes with one token of the main model. So accepted tokens and rounds are exact. What a draft says *after*
its first miss is not in the text: how many tokens it then drafts in vain, and whether they suffice for `n_min`, needs
its continuations (`specviz.decoding.continuations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from specviz.decoding.settings import MAX_DRAFT_TOKENS


class Replay(NamedTuple):
    """What one setting does to a text."""

    accepted: tuple[int, ...]
    """Accepted tokens of each round, in order."""
    sent: tuple[int, ...]
    """Tokens that went to the main model in each round."""
    drafted: tuple[int, ...]
    """Tokens drafted in each round, those that a cutoff stopped included."""
    n_tokens: int
    """Tokens of the text."""
    exact: bool
    """Whether `sent` and `drafted` are exact, too. If not, they are what a draft does that goes on to its length after
    a miss: at most so many."""

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
    n_min: int = 0,
    after: Sequence[Sequence[float]] | None = None,
    limit: int | None = None,
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
    p_min, n_min
        As in `Pair.generate`.
    after
        For each position, what the draft goes on to say where its favourite is not what stands there: the probabilities
        of its next favourites, up to its end token (`specviz.decoding.continuations`). Needed where `n_min` is above 1.
    limit
        Output tokens that the generation could have had. There is no draft for the last of them, since there has to be
        room for the token that closes the round. None: the text was ended by an end token, far from any limit.

    Raises
    ------
    ValueError
        If a setting needs what is not given, or the lengths differ.
    """
    n_tokens = len(matches)
    if p_min > 0 and (confidence is None or len(confidence) != n_tokens):
        raise ValueError("p_min needs the confidence at every position")
    if after is not None and len(after) != n_tokens:
        raise ValueError("the continuations are of another text")
    if n_min > 1 and after is None:
        raise ValueError("n_min needs the continuations after each miss: make the audit with thorough=True")
    agrees = np.asarray(matches, bool)
    trusted = np.ones(n_tokens, bool) if confidence is None else np.asarray(confidence) >= p_min
    reach, kept_reach = _reach(agrees), _reach(agrees & trusted)
    misses, trusts = (~agrees).tolist(), trusted.tolist()
    accepted, sent, drafted = [], [], []
    at = 0
    while at < n_tokens:
        room = n_tokens + MAX_DRAFT_TOKENS if limit is None else limit - 1 - at
        most = max(0, min(num_draft_tokens, room))
        kept = min(kept_reach[at], most)
        tried = kept
        stop = at + kept
        if kept < most and stop < n_tokens:
            tried += 1
            if trusts[stop]:
                kept += 1
                if misses[stop]:
                    more = _continued(after[stop] if after is not None else None, most - kept, p_min)
                    kept, tried = kept + more[0], tried + more[1]
        if kept < n_min:
            kept = 0
        taken = min(kept, reach[at])
        accepted.append(taken)
        sent.append(kept)
        drafted.append(tried)
        at += taken + 1
    exact = after is not None or num_draft_tokens == 0
    return Replay(tuple(accepted), tuple(sent), tuple(drafted), n_tokens, exact)


def _continued(confidences: Sequence[float] | None, room: int, p_min: float) -> tuple[int, int]:
    """Return how many tokens are kept, and how many are drafted, after a miss."""
    if confidences is None:
        return room, room
    for n, confidence in enumerate(confidences[:room]):
        if confidence < p_min:
            return n, n + 1
    n = min(room, len(confidences))
    return n, n


def _reach(kept: NDArray[np.bool_]) -> list[int]:
    """Return, for each position, how many positions from it on are kept without a gap."""
    reach, n = [0] * len(kept), 0
    for i in range(len(kept) - 1, -1, -1):
        n = n + 1 if kept[i] else 0
        reach[i] = n
    return reach

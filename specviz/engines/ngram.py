"""A drafter without a model: prompt lookup (Saxena 2023; llama.cpp's `lookup`, vLLM's `ngram`)."""

from __future__ import annotations

from collections.abc import Sequence

from specviz.decoding import NO_DRAFT, Draft, Look, Policy

LONGEST, SHORTEST = 4, 2
"""Tokens of the suffixes that are looked up, the longest first."""


class NGramDrafter:
    """Proposes what followed the latest earlier occurrence of the text's last tokens (`specviz.decoding.Drafter`).

    It has no probabilities: a cutoff compares 1 - 2^-n, where n tokens agree with what is being repeated.
    """

    kind = "ngram"

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}
        """Where each n-gram ended last, except at the end of the text."""
        self._indexed = 0

    def begin(self, prompt: Sequence[int]) -> int:
        """Forget the text before; there is no cache."""
        self._ends.clear()
        self._indexed = 0
        return 0

    def draft(self, history: Sequence[int], room: int, policy: Policy) -> Draft:
        """Propose as many tokens as there are and the policy wants."""
        self._index(history)
        start, agreeing = self._look_up(history)
        ids: list[int] = []
        looks: list[Look] = []
        if not agreeing:
            return NO_DRAFT
        kept = 0
        while True:
            ended = "room" if kept == room else policy.more(kept)
            if ended:
                break
            looks.append(Look(1 - 2.0 ** -(agreeing + kept)))
            ended = policy.cutoff(kept, looks[-1])
            at = start + kept
            ids.append(history[at] if at < len(history) else ids[at - len(history)])
            if ended:
                break
            kept += 1
        unknown = (None,) * len(ids)
        decision = policy.decision(ended, kept, looks)
        return Draft(tuple(ids), policy.send(kept), q=unknown, q_sampler=unknown, decision=decision)

    def _index(self, history: Sequence[int]) -> None:
        """Note all n-grams that end before the last token."""
        for end in range(self._indexed + 1, len(history)):
            for n in range(SHORTEST, min(LONGEST, end) + 1):
                self._ends[tuple(history[end - n : end])] = end
        self._indexed = max(self._indexed, len(history) - 1)

    def _look_up(self, history: Sequence[int]) -> tuple[int, int]:
        """Return where the text's end stood before (the index after it) and how many tokens agree."""
        for n in range(min(LONGEST, len(history) - 1), SHORTEST - 1, -1):
            end = self._ends.get(tuple(history[len(history) - n :]))
            if end is not None:
                return end, n
        return len(history), 0

    def rank(self, i: int, token: int) -> int | None:
        """There is no distribution."""
        return None

    def close(self) -> None:
        """Nothing to free."""

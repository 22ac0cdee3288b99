"""Acceptance rules: how many drafted tokens to take, and what closes the round.

Both are lossless: what is produced has the distribution of plain sampling, whatever was drafted. They accept different
amounts: with p and q the two models' sampler distributions, a greedy draft under `match` is accepted with probability
p(argmax q), a sampled one under `rejection` with sum(min(p, q)). At temperature 0 they are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numpy.random import Generator

from specviz.decoding.distribution import Certainty, Distribution
from specviz.decoding.engine import Draft, MainModel


class Verdict(NamedTuple):
    """What a rule decided: the first `taken` sent tokens are kept, `closing` follows them."""

    taken: int
    closing: int


Rule = Callable[[MainModel, Draft, Generator], Verdict]


def match(main: MainModel, draft: Draft, rng: Generator) -> Verdict:
    """Sample from the main model at each position; accept while the sample equals the drafted token.

    llama.cpp's rule (`common_sampler_sample_and_accept_n`) and mlx-lm's. Position `i` of the verify pass is the
    distribution that the i-th drafted token claims to follow; the last position gives the bonus token.
    """
    for i, drafted in enumerate(draft.send):
        token = main.distribution(i).draw(rng.random())
        if token != drafted:
            return Verdict(i, token)
    return Verdict(draft.n_send, main.distribution(draft.n_send).draw(rng.random()))


def rejection(main: MainModel, draft: Draft, rng: Generator) -> Verdict:
    """Accept a drafted token with probability min(1, p/q); after a rejection sample norm(max(0, p - q)).

    Speculative sampling (Leviathan 2211.17192, algorithm 1; Chen 2302.01318, algorithm 2). Where the draft was not
    sampled, q is the certainty of the drafted token.
    """
    for i in range(draft.n_send):
        if rng.random() >= chance(main, draft, i):
            residual = main.distribution(i).residual(_q(draft, i))
            return Verdict(i, residual.draw(rng.random()))
    return Verdict(draft.n_send, main.distribution(draft.n_send).draw(rng.random()))


def chance(main: MainModel, draft: Draft, i: int) -> float:
    """Return the acceptance probability of the i-th drafted token under either rule: min(1, p/q).

    `match` drafts greedily, so that q is 1 and what is left is p.
    """
    token = draft.ids[i]
    return min(1.0, main.distribution(i).probability(token) / _q(draft, i).probability(token))


def _q(draft: Draft, i: int) -> Distribution:
    return draft.distributions[i] if draft.distributions else Certainty(draft.ids[i])


RULES: dict[str, Rule] = {"match": match, "rejection": rejection}

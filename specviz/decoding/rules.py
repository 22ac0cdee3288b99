"""Acceptance rules: how many drafted tokens to take, and what closes the round.

Both are lossless: what is produced has the distribution of plain sampling, whatever was drafted. They accept different
amounts: with p and q the two models' sampler distributions, a greedy draft under `match` is accepted with probability
p(argmax q), a sampled one under `rejection` with sum(min(p, q)). At temperature 0 they are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numpy.random import Generator

from specviz.decoding.distribution import Distribution
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
    for i, drafted in enumerate(draft.send):
        p = main.distribution(i)
        q = draft.distributions[i] if draft.distributions else Distribution.one(drafted)
        if rng.random() * q.probability(drafted) >= p.probability(drafted):
            return Verdict(i, p.residual(q).draw(rng.random()))
    return Verdict(draft.n_send, main.distribution(draft.n_send).draw(rng.random()))


RULES: dict[str, Rule] = {"match": match, "rejection": rejection}

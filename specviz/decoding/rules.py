"""Acceptance rules: how many drafted tokens to take, and what closes the round.

`match` is llama.cpp's (`common_sampler_sample_and_accept_n`) and mlx-lm's: sample from the main model at each position
and accept the drafted token if it is the one that was sampled. What is produced is what the main model sampled, so the
rule is lossless for every sampler; at temperature 0 it is greedy verification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from specviz.decoding.engine import Draft, MainModel


class Verdict(NamedTuple):
    """What a rule decided: the first `taken` sent tokens are kept, `closing` follows them."""

    taken: int
    closing: int


Rule = Callable[[MainModel, Draft], Verdict]


def match(main: MainModel, draft: Draft) -> Verdict:
    """Accept while the main model's own sample equals the drafted token.

    Position `i` of the verify pass is the distribution that the i-th drafted token claims to follow; the last position
    gives the bonus token.
    """
    for i, drafted in enumerate(draft.send):
        token = main.sample(i)
        if token != drafted:
            return Verdict(i, token)
    return Verdict(draft.n_send, main.sample(draft.n_send))


RULES: dict[str, Rule] = {"match": match}

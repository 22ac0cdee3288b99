"""mlx-lm's own two generators, as what ours are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.generate import generate_step, speculative_generate_step


def plain(net: Any, prompt: Sequence[int], n: int) -> list[int]:
    """Greedy tokens of plain decoding."""
    return [int(token) for token, _ in generate_step(mx.array(prompt), net, max_tokens=n)]


def speculative(net: Any, draft: Any, prompt: Sequence[int], n: int, k: int) -> tuple[list[int], list[bool]]:
    """Greedy tokens of speculative decoding, and which of them were drafted.

    The generator goes on for a round past `n`, so that none of these is drafted or not because of the limit.
    """
    steps = speculative_generate_step(mx.array(prompt), net, draft, num_draft_tokens=k, max_tokens=n + k + 1)
    tokens, drafted = zip(*((int(token), bool(from_draft)) for token, _, from_draft in steps), strict=True)
    return list(tokens[:n]), list(drafted[:n])

"""mlx-lm's own two generators, as what ours are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.generate import generate_step, speculative_generate_step


def plain(net: Any, prompt: Sequence[int], n: int) -> list[int]:
    """Greedy tokens of plain decoding."""
    return [int(token) for token, _ in generate_step(mx.array(prompt), net, max_tokens=n)]


def speculative(net: Any, draft: Any, prompt: Sequence[int], n: int, k: int) -> tuple[list[int], int]:
    """Greedy tokens of speculative decoding, and how many of them were drafted."""
    steps = speculative_generate_step(mx.array(prompt), net, draft, num_draft_tokens=k, max_tokens=n)
    tokens, drafted = [], 0
    for token, _, from_draft in steps:
        tokens.append(int(token))
        drafted += bool(from_draft)
    return tokens, drafted

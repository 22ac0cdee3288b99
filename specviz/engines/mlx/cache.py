"""KV caches that can be rewound: mlx-lm's own, and one of ours for sliding windows.

mlx-lm's cache of a sliding window writes over its oldest entries. Once it has, `trim` does nothing, says nothing, and
what is decoded afterwards is wrong. Ours keeps the entries and masks them, as the models do where they read a prompt:
it takes the memory of a full cache.
"""

from __future__ import annotations

from typing import Any

from mlx_lm.models.cache import (
    CacheList,
    ConcatenateKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    create_attention_mask,
    make_prompt_cache,
)

GROUP = 32
"""Numbers that share a scale where the cache is quantised, as in llama.cpp's types."""
BITS = {"f16": 0, "q8_0": 8, "q4_0": 4}
"""By `specviz.engines.messages.KV_TYPES`; 0: not quantised."""


class _Windowed:
    """Masks what lies before the window."""

    window: int
    offset: int

    def make_mask(self, N: int, return_array: bool = False, window_size: int | None = None) -> Any:
        """Return the mask for the next `N` tokens, as the models ask for it."""
        if N == 1 and self.offset < self.window:
            return None
        return create_attention_mask(N, self.offset, return_array, window_size or self.window)


class WindowCache(_Windowed, KVCache):  # type: ignore[misc]
    """A full cache for a layer that sees a window."""


class QuantizedWindowCache(_Windowed, QuantizedKVCache):  # type: ignore[misc]
    """The same with quantised numbers."""


REWINDABLE = (KVCache, QuantizedKVCache, ConcatenateKVCache)


def make_cache(net: Any, kv_type: str) -> list[Any]:
    """Return a model's empty cache, layer by layer, rewindable where that is possible."""
    bits = BITS[kv_type]
    return [_replaced(one, bits) for one in make_prompt_cache(net)]


def _replaced(one: Any, bits: int) -> Any:
    if type(one) is RotatingKVCache and one.keep == 0:
        made = QuantizedWindowCache(group_size=GROUP, bits=bits) if bits else WindowCache()
        made.window = one.max_size
        return made
    if type(one) is KVCache and bits:
        return QuantizedKVCache(group_size=GROUP, bits=bits)
    return one


def can_rewind(cache: list[Any]) -> bool:
    """Whether every layer forgets what it is told to forget: recurrent and hybrid models have some that do not."""
    return all(can_rewind(one.caches) if isinstance(one, CacheList) else isinstance(one, REWINDABLE) for one in cache)


def rewind(cache: list[Any], n: int) -> bool:
    """Forget the last `n` tokens in every layer; return whether all did."""
    forgotten = [one.trim(n) for one in cache]
    return forgotten == [n] * len(cache)

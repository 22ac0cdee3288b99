"""One sequence of tokens evaluated by a model: KV cache, forward passes, logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specviz.decoding import EvaluationStopped
from specviz.engines.errors import EngineError
from specviz.engines.mlx.library import library

Logits = NDArray[np.float32]

CPU_CHUNK, GPU_CHUNK = 16, 512
"""Tokens of a prompt evaluated in one call; between calls a stop is looked for. On a CPU wide passes are no cheaper."""
CACHE_STEP = 256
"""Tokens by which mlx-lm's caches grow."""


class Context:
    """The KV cache of one sequence and the passes that fill it.

    `tokens` are the tokens in the cache, but for those of passes that are under way (`advance`), which `settle` names.

    Parameters
    ----------
    net
        mlx-lm's model.
    name
        Of the model, for messages.
    n_ctx
        Tokens that fit.
    kv_type
        Of the numbers in the cache, one of `specviz.engines.messages.KV_TYPES`; `f16`: as the model computes.

    Raises
    ------
    EngineError
        If the model cannot be evaluated with such a cache.
    """

    def __init__(self, net: Any, *, name: str, n_ctx: int, kv_type: str = "f16") -> None:
        from specviz.engines.mlx import cache

        lib = library()
        self._mx, self._cache = lib.mx, cache
        self.net, self.name, self.n_ctx, self.kv_type = net, name, n_ctx, kv_type
        self._chunk = CPU_CHUNK if lib.on_cpu else GPU_CHUNK
        self.tokens: list[int] = []
        self._n_cached = 0
        self._rows: Logits = np.empty((0, 0), np.float32)
        self.layers: list[Any] = cache.make_cache(net, kv_type)
        self.rewindable = cache.can_rewind(self.layers)
        """Whether the cache can forget its last tokens; if not, it is filled anew instead."""
        self.evaluate([0])
        blocks = -(-n_ctx // CACHE_STEP) if self.rewindable else 1
        self.cache_bytes = blocks * sum(int(one.nbytes) for one in self.layers)
        """Memory that the cache takes once it is full; it grows with what it holds."""
        self.n_vocab = self._rows.shape[1]
        """Tokens that have a logit; models may have more than their tokenizer."""
        self.clear()

    def prefill(self, tokens: Sequence[int], stopped: Callable[[], bool]) -> int:
        """Make the cache hold exactly `tokens`; keep the prefix it has already and return its length.

        Raises
        ------
        EvaluationStopped
            If `stopped` came true; the cache holds a prefix.
        """
        reused = 0
        for held, wanted in zip(self.tokens, tokens, strict=False):
            if held != wanted:
                break
            reused += 1
        if reused < self._n_cached and not self.rewindable:
            self.clear()
            reused = 0
        self.rewind(reused)
        for start in range(reused, len(tokens), self._chunk):
            if stopped():
                raise EvaluationStopped
            self._fill(tokens[start : start + self._chunk])
        self._mx.clear_cache()
        return reused

    def _fill(self, tokens: Sequence[int]) -> None:
        """Evaluate tokens whose logits nobody wants."""

        def compute() -> None:
            self.advance(self._mx.array(tokens))
            self._mx.eval([layer.state for layer in self.layers])

        self._computed(tokens, compute)

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Append tokens in one pass; `logits(i)` then gives the distribution after the i-th of them."""

        def compute() -> None:
            logits = self.advance(self._mx.array(tokens))
            self._mx.eval(logits)
            self._rows = np.asarray(logits)

        self._computed(tokens, compute)

    def _computed(self, tokens: Sequence[int], compute: Callable[[], None]) -> None:
        try:
            compute()
        except (RuntimeError, ValueError) as error:
            self.abandon()
            raise EngineError(f"MLX could not evaluate {len(tokens)} tokens with {self.name}: {error}") from error
        except BaseException:
            self.abandon()
            raise
        self.tokens.extend(tokens)

    def advance(self, ids: Any) -> Any:
        """Append tokens in a pass that is only begun, `ids` being an array of MLX, computed or not.

        Returns
        -------
        Their logits, shape (n, n_vocab), not computed yet. `settle` or `abandon` has to follow.
        """
        self._n_cached += ids.size
        return self.net(ids[None], cache=self.layers)[0].astype(self._mx.float32)

    def settle(self, tokens: Sequence[int]) -> None:
        """Say which tokens the passes since the last `evaluate`, `settle` or `abandon` had."""
        self.tokens.extend(tokens)

    def abandon(self) -> None:
        """Forget passes that were begun and will not be settled."""
        self.rewind(len(self.tokens))

    def logits(self, i: int) -> Logits:
        """Logits after the i-th token of the last `evaluate`, shape (n_vocab,)."""
        row: Logits = self._rows[i]
        return row

    def rewind(self, n: int) -> None:
        """Forget all but the first `n` tokens; where that is not possible, evaluate those anew."""
        if n >= self._n_cached:
            return
        if self.rewindable and self._cache.rewind(self.layers, self._n_cached - n):
            self._n_cached = n
            del self.tokens[n:]
            return
        kept = self.tokens[:n]
        self.clear()
        for start in range(0, n, self._chunk):
            self._fill(kept[start : start + self._chunk])

    def clear(self) -> None:
        """Forget everything, and give the memory back."""
        self.layers = self._cache.make_cache(self.net, self.kv_type)
        self._n_cached = 0
        self.tokens.clear()

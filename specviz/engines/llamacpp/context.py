"""One sequence of tokens evaluated by a model: KV cache, forward passes, logits."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specviz.decoding import EvaluationStopped
from specviz.engines.errors import EngineError
from specviz.engines.llamacpp.library import clear_log, keep, library, log_lines, log_reason
from specviz.engines.llamacpp.model import Model
from specviz.engines.llamacpp.placement import read_placement

Logits = NDArray[np.float32]

PREFILL_CHUNK = 512
"""Tokens of a prompt evaluated in one call; between calls a stop is looked for."""
CONTEXT_STEP = 256
"""llama.cpp rounds contexts up to multiples of it, but only after it has cut the batches to what was asked for."""
EXACT_WIDTH = 63
"""From 64 tokens on llama.cpp's flash attention takes another path on a CPU, whose logits differ. Passes stay narrower,
so that what is said does not depend on which part of a prompt was in the cache. Reading a long prompt takes a sixth
longer for it."""
ABORTED = 2


class Context:
    """The KV cache of one sequence and the passes that fill it.

    `tokens` are exactly the tokens in the cache. Flash attention is on: with it the logits of llama.cpp's CPU kernels
    do not depend on the width of a pass (for Q4_0, Q4_1 and Q8_0, widths below 64), without it greedy output drifts.

    Parameters
    ----------
    model
        Its weights; must outlive the context.
    n_ctx
        Tokens that fit.
    n_threads
        For single tokens and for wider passes alike: every verify pass is a wide one.
    kv_type
        Of the numbers in the cache, one of `specviz.engines.messages.KV_TYPES`; all but `f16` need flash attention.
    """

    def __init__(
        self, model: Model, *, n_ctx: int, n_threads: int, kv_type: str = "f16", flash_attention: bool = True
    ) -> None:
        self.lib = lib = library()
        self.model = model
        params = lib.llama_context_default_params()
        params.n_ctx = -(-n_ctx // CONTEXT_STEP) * CONTEXT_STEP
        params.n_batch = PREFILL_CHUNK
        params.n_ubatch = PREFILL_CHUNK if model.n_gpu_layers else EXACT_WIDTH
        params.n_threads = params.n_threads_batch = n_threads
        params.type_k = params.type_v = getattr(lib, f"GGML_TYPE_{kv_type.upper()}")
        params.flash_attn_type = (
            lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        clear_log()
        self.handle = lib.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise EngineError(f"cannot create a context of {n_ctx:,} tokens for {model.info.name}: {log_reason()}")
        self.placement = read_placement([*model.log, *log_lines()], n_layers=model.n_layers, n_threads=n_threads)
        self.memory = lib.llama_get_memory(self.handle)
        self.n_ctx: int = lib.llama_n_ctx(self.handle)
        self._chunk: int = lib.llama_n_batch(self.handle)
        """Tokens of one call at most: no more than fit."""
        self.n_threads = n_threads
        self.tokens: list[int] = []
        self._batch = lib.llama_batch_init(PREFILL_CHUNK, 0, 1)
        view = np.ctypeslib.as_array
        self._ids = view(self._batch.token, (PREFILL_CHUNK,))
        self._positions = view(self._batch.pos, (PREFILL_CHUNK,))
        self._wanted = view(self._batch.logits, (PREFILL_CHUNK,))
        view(self._batch.n_seq_id, (PREFILL_CHUNK,))[:] = 1
        for i in range(PREFILL_CHUNK):
            self._batch.seq_id[i][0] = 0
        self._row = ctypes.c_float * model.n_vocab
        self._views: dict[int, Logits] = {}
        """By address: llama.cpp moves its buffer only when a pass asks for more rows than any before."""
        self._should_stop: Callable[[], bool] = lambda: False
        self._abort = keep(lib.ggml_abort_callback(lambda _: self._should_stop()))
        self._no_abort = lib.ggml_abort_callback(0)

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
        if reused < len(self.tokens) and not self.model.rewindable:
            self.clear()
            reused = 0
        self.rewind(reused)
        self._should_stop = stopped
        self.lib.llama_set_abort_callback(self.handle, self._abort, None)
        try:
            for start in range(reused, len(tokens), self._chunk):
                if stopped():
                    raise EvaluationStopped
                self._decode(tokens[start : start + self._chunk], all_logits=False)
        finally:
            # The callback takes the GIL at every graph node: too dear for the passes of single rounds.
            self.lib.llama_set_abort_callback(self.handle, self._no_abort, None)
            self._should_stop = lambda: False
        return reused

    def evaluate(self, tokens: Sequence[int], *, all_logits: bool = True) -> None:
        """Append tokens in one pass; `logits(i)` then gives the distribution after the i-th of them."""
        self._decode(tokens, all_logits=all_logits)

    def _decode(self, tokens: Sequence[int], *, all_logits: bool) -> None:
        n, position = len(tokens), len(self.tokens)
        self._ids[:n] = tokens
        self._positions[:n] = range(position, position + n)
        self._wanted[:n] = all_logits
        self._wanted[n - 1] = True
        self._batch.n_tokens = n
        status = self.lib.llama_decode(self.handle, self._batch)
        if status != 0:
            if not (self.model.rewindable and self.lib.llama_memory_seq_rm(self.memory, 0, position, -1)):
                self.clear()
            if status == ABORTED:
                raise EvaluationStopped
            raise EngineError(f"llama.cpp could not evaluate {n} tokens (status {status}): {log_reason()}")
        self.lib.llama_synchronize(self.handle)
        self.tokens.extend(tokens)

    def logits(self, i: int) -> Logits:
        """Logits after the i-th token of the last pass, shape (n_vocab,): a view, valid until the next pass."""
        pointer = self.lib.llama_get_logits_ith(self.handle, i)
        if not pointer:
            raise IndexError(f"no logits at position {i} of the last pass")
        address = ctypes.addressof(pointer.contents)
        view = self._views.get(address)
        if view is None:
            row: Any = self._row.from_address(address)
            view = self._views[address] = np.frombuffer(row, dtype=np.float32)
        return view

    def rewind(self, n: int) -> None:
        """Forget all but the first `n` tokens; where that is not possible, evaluate those anew."""
        if n >= len(self.tokens):
            return
        if self.model.rewindable and self.lib.llama_memory_seq_rm(self.memory, 0, n, -1):
            del self.tokens[n:]
            return
        kept = self.tokens[:n]
        self.clear()
        for start in range(0, n, self._chunk):
            self._decode(kept[start : start + self._chunk], all_logits=False)

    def clear(self) -> None:
        """Forget everything."""
        self.lib.llama_memory_clear(self.memory, True)
        self.tokens.clear()

    def close(self) -> None:
        """Free the cache."""
        if self.handle:
            self.lib.llama_batch_free(self._batch)
            self.lib.llama_free(self.handle)
            self.handle = None

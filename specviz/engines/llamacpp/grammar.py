"""Answers that follow a JSON schema: llama.cpp's grammars, at every position of a verify pass.

A grammar's state after a token follows from the state before it, so the states along a draft are a chain of clones. It
is only ever built as far as the acceptance rule looks, and forgotten with the tokens that are.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from specviz.engines.errors import PromptError
from specviz.engines.llamacpp.library import clear_log, log_reason
from specviz.engines.llamacpp.model import Model
from specviz.engines.row import Logits

DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.cpp's `llama_token_data`."""


class Grammar:
    """What may follow an answer so far.

    Parameters
    ----------
    model
        Whose tokens it is about.
    json_schema
        As JSON text; `{}`: any JSON value.

    Raises
    ------
    PromptError
        If it is no schema that llama.cpp can follow.
    """

    def __init__(self, model: Model, json_schema: str) -> None:
        self._lib, self._model = model.lib, model
        text = _gbnf(json_schema)
        clear_log()
        handle = self._lib.llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
        if not handle:
            raise PromptError(f"the JSON schema cannot be followed: {log_reason()}")
        self._states: dict[int, Any] = {0: handle}
        """By the number of answer tokens that led to it."""
        self._data = np.zeros(model.n_vocab, DATA)
        self._ids = np.arange(model.n_vocab, dtype=np.int32)

    def masked(self, answer: Sequence[int], logits: Logits) -> Logits:
        """Return a copy of the logits after an answer, those of tokens that may not follow at -infinity."""
        data = self._data
        data["id"], data["logit"] = self._ids, logits
        self._apply(self._state(answer), data)
        masked: Logits = data["logit"].copy()
        return masked

    def allows(self, answer: Sequence[int], token: int) -> bool:
        """Whether a token may follow an answer."""
        return self._allowed(self._state(answer), token)

    def rewind(self, n: int) -> None:
        """Forget all but the state after the first `n` tokens of the answer."""
        for count in self._states.keys() - {max((c for c in self._states if c <= n), default=0)}:
            self._lib.llama_sampler_free(self._states.pop(count))

    def close(self) -> None:
        """Free all states."""
        for state in self._states.values():
            self._lib.llama_sampler_free(state)
        self._states.clear()

    def _state(self, answer: Sequence[int]) -> Any:
        """Return the state after an answer, built from the longest that is there."""
        known = max(count for count in self._states if count <= len(answer))
        state = self._states[known]
        for count in range(known, len(answer)):
            token = answer[count]
            if not self._allowed(state, token):
                raise AssertionError(f"token {token} was taken, which the grammar does not allow")
            state = self._lib.llama_sampler_clone(state)
            self._lib.llama_sampler_accept(state, token)
            self._states[count + 1] = state
        return state

    def _allowed(self, state: Any, token: int) -> bool:
        one = np.array([(token, 0.0, 0.0)], DATA)
        self._apply(state, one)
        return bool(one["logit"][0] > -np.inf)

    def _apply(self, state: Any, data: np.ndarray[Any, Any]) -> None:
        lib = self._lib
        array = lib.llama_token_data_array(
            data=ctypes.cast(data.ctypes.data, lib.llama_token_data_p), size=len(data), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(state, ctypes.byref(array))


def _gbnf(json_schema: str) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        schema = json.loads(json_schema)
        _refuse_remote(schema)
        text: str = json_schema_to_gbnf(json.dumps(schema))
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError) as error:
        raise PromptError(f"the JSON schema cannot be followed: {error or type(error).__name__}") from None
    return text


def _refuse_remote(schema: Any) -> None:
    """Refuse references to other documents, which the converter would fetch."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError(f"it refers to another document, {reference}")
        for value in schema.values():
            _refuse_remote(value)
    elif isinstance(schema, list):
        for value in schema:
            _refuse_remote(value)

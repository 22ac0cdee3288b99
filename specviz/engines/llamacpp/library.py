"""The shared library: loaded once, its log kept where errors can quote it."""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from importlib.metadata import version
from typing import Any

from specviz.engines.errors import EngineMissingError

_WARN, _ERROR, _CONTINUED = 3, 4, 5
"""Levels of ggml.h; llama_cpp._logger has them off by one, which is why we set our own callback."""

_log: deque[str] = deque(maxlen=64)
_callbacks: list[Any] = []
"""ctypes callbacks that C may call at any time: never collected."""


@cache
def library() -> Any:
    """Import the bindings, take over the log, start the backend.

    Raises
    ------
    EngineMissingError
        If llama-cpp-python is not installed or its library does not load.
    """
    try:
        import llama_cpp.llama_cpp as lib
    except ImportError as error:
        raise EngineMissingError(
            'the llama.cpp engine needs llama-cpp-python: pip install "specviz-lab[llamacpp]" (takes a C++ compiler)'
        ) from error
    except (OSError, RuntimeError) as error:
        raise EngineMissingError(f"llama-cpp-python is installed, but its library does not load: {error}") from error

    level = 0

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def log(new_level: int, text: bytes, _: Any) -> None:
        nonlocal level
        if new_level != _CONTINUED:
            level = new_level
        if level in (_WARN, _ERROR):
            message = text.decode("utf-8", "replace")
            if new_level == _CONTINUED and _log:
                _log[-1] += message
            else:
                _log.append(message)

    _callbacks.append(log)
    lib.llama_log_set(log, ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


def keep(callback: Any) -> Any:
    """Keep a ctypes callback for the life of the process."""
    _callbacks.append(callback)
    return callback


def clear_log() -> None:
    """Forget the log, before a call whose reasons are wanted."""
    _log.clear()


def log_reason() -> str:
    """The most telling warning or error since `clear_log`: the first line, without llama.cpp's function name."""
    lines = [line.strip() for line in _log if line.strip()]
    if not lines:
        return "llama.cpp gave no reason"
    head, colon, rest = lines[0].partition(": ")
    return rest if colon and " " not in head else lines[0]


def engine_version() -> str:
    """Name and version of the bindings."""
    return f"llama-cpp-python {version('llama-cpp-python')}"

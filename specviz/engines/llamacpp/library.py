"""The shared library: loaded once, its log kept where errors can quote it."""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from specviz.engines.errors import EngineBrokenError, EngineMissingError, EngineTooOldError

NEEDED = (
    "ggml_abort_callback",
    "llama_backend_init",
    "llama_batch_free",
    "llama_batch_init",
    "llama_context_default_params",
    "llama_decode",
    "llama_free",
    "llama_get_logits_ith",
    "llama_get_memory",
    "llama_init_from_model",
    "llama_log_callback",
    "llama_log_set",
    "llama_memory_clear",
    "llama_memory_seq_rm",
    "llama_model_chat_template",
    "llama_model_default_params",
    "llama_model_desc",
    "llama_model_free",
    "llama_model_get_vocab",
    "llama_model_is_hybrid",
    "llama_model_is_recurrent",
    "llama_model_load_from_file",
    "llama_model_meta_val_str",
    "llama_model_n_ctx_train",
    "llama_model_n_layer",
    "llama_model_n_params",
    "llama_model_quantize",
    "llama_model_quantize_default_params",
    "llama_model_size",
    "llama_n_batch",
    "llama_n_ctx",
    "llama_sampler_accept",
    "llama_sampler_apply",
    "llama_sampler_chain_add",
    "llama_sampler_chain_default_params",
    "llama_sampler_chain_init",
    "llama_sampler_clone",
    "llama_sampler_free",
    "llama_sampler_init_grammar",
    "llama_sampler_init_min_p",
    "llama_sampler_init_top_k",
    "llama_sampler_init_top_p",
    "llama_set_abort_callback",
    "llama_supports_gpu_offload",
    "llama_supports_mlock",
    "llama_supports_mmap",
    "llama_synchronize",
    "llama_token",
    "llama_token_data_array",
    "llama_token_data_p",
    "llama_token_to_piece",
    "llama_tokenize",
    "llama_vocab_bos",
    "llama_vocab_eos",
    "llama_vocab_is_control",
    "llama_vocab_is_eog",
    "llama_vocab_n_tokens",
    "GGML_TYPE_F16",
    "GGML_TYPE_Q4_0",
    "GGML_TYPE_Q8_0",
    "LLAMA_FLASH_ATTN_TYPE_DISABLED",
    "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "LLAMA_SPLIT_MODE_NONE",
)
"""What this package uses of the bindings."""
NEEDED_FIELDS = {
    "llama_model_params": ("n_gpu_layers", "split_mode", "main_gpu", "vocab_only"),
    "llama_context_params": (
        "n_ctx",
        "n_batch",
        "n_ubatch",
        "n_threads",
        "n_threads_batch",
        "type_k",
        "type_v",
        "flash_attn_type",
    ),
}
"""And which fields of its structures: setting one that is not there would do nothing, silently."""
MIN_VERSION = "0.3.36"
"""The oldest that this package was tried with."""
INSTALL = 'pip install "specviz-lab[llamacpp]"'

_INFO, _WARN, _ERROR, _CONTINUED = 2, 3, 4, 5
"""Levels of ggml.h; llama_cpp._logger has them off by one, which is why we set our own callback."""

_log: deque[str] = deque(maxlen=64)
_info: deque[str] = deque(maxlen=1024)
_callbacks: list[Any] = []
"""ctypes callbacks that C may call at any time: never collected."""


@cache
def library() -> Any:
    """Import the bindings, take over the log, start the backend.

    Raises
    ------
    EngineMissingError
        If llama-cpp-python is not installed.
    EngineBrokenError
        If its library does not load.
    EngineTooOldError
        If it lacks something that is needed.
    """
    try:
        import llama_cpp.llama_cpp as lib
    except ModuleNotFoundError as error:
        if error.name == "llama_cpp":
            raise EngineMissingError(
                f"the llama.cpp engine needs llama-cpp-python: {INSTALL} (takes a C++ compiler)"
            ) from error
        raise _broken(error) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise _broken(error) from error
    lacking = [name for name in NEEDED if not hasattr(lib, name)]
    for structure, fields in NEEDED_FIELDS.items():
        there = {field[0] for field in getattr(getattr(lib, structure, None), "_fields_", ())}
        lacking += [f"{structure}.{field}" for field in fields if field not in there]
    if lacking:
        missing = f"{lacking[0]} is" if len(lacking) == 1 else f"{lacking[0]} and {len(lacking) - 1} more are"
        raise EngineTooOldError(
            f"{engine_version()} is too old: specviz needs {MIN_VERSION} or newer because {missing} "
            f"missing: {INSTALL} --upgrade"
        )

    level = 0

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def log(new_level: int, text: bytes, _: Any) -> None:
        nonlocal level
        if new_level != _CONTINUED:
            level = new_level
        if new_level == _INFO:
            _info.append(text.decode("utf-8", "replace"))
        elif level in (_WARN, _ERROR):
            message = text.decode("utf-8", "replace")
            if new_level == _CONTINUED and _log:
                _log[-1] += message
            else:
                _log.append(message)

    _callbacks.append(log)
    lib.llama_log_set(log, ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


def _broken(error: Exception) -> EngineBrokenError:
    return EngineBrokenError(
        f"llama-cpp-python is installed, but its library does not load: {error}: {INSTALL} --force-reinstall"
    )


def keep(callback: Any) -> Any:
    """Keep a ctypes callback for the life of the process."""
    _callbacks.append(callback)
    return callback


def clear_log() -> None:
    """Forget the log, before a call whose reasons are wanted."""
    _log.clear()
    _info.clear()


def log_lines() -> list[str]:
    """Return what llama.cpp has told of its doings since `clear_log`."""
    return list(_info)


def log_reason() -> str:
    """The most telling warning or error since `clear_log`: the first line, without llama.cpp's function name."""
    lines = [line.strip() for line in _log if line.strip()]
    if not lines:
        return "llama.cpp gave no reason"
    head, colon, rest = lines[0].partition(": ")
    return rest if colon and " " not in head else lines[0]


def engine_version() -> str:
    """Name and version of the bindings."""
    try:
        return f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        return "llama-cpp-python"

"""What llama.cpp can compute on, from ggml's registry of backends."""

from __future__ import annotations

import ctypes
from typing import Any

from msgspec import Struct

FUNCTIONS = {
    "ggml_backend_dev_count": (ctypes.c_size_t, []),
    "ggml_backend_dev_get": (ctypes.c_void_p, [ctypes.c_size_t]),
    "ggml_backend_dev_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_description": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_memory": (
        None,
        [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
    ),
    "ggml_version": (ctypes.c_char_p, []),
    "ggml_commit": (ctypes.c_char_p, []),
}
"""Result and arguments, of ggml-backend.h and ggml.h: llama-cpp-python does not bind them."""


class Device(Struct, frozen=True):
    """A processor with its memory."""

    name: str
    """ggml's, such as `CPU` or `CUDA0`."""
    description: str
    memory_bytes: int
    """All of it, not only what is free."""


def devices(lib: Any) -> list[Device]:
    """Return the devices that this build of llama.cpp finds here; empty where its symbols cannot be reached."""
    ggml = _bind(lib)
    if ggml is None:
        return []
    found = []
    for i in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(i)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        name, description = (
            getattr(ggml, f"ggml_backend_dev_{what}")(device).decode("utf-8", "replace")
            for what in ("name", "description")
        )
        found.append(Device(name, description, total.value))
    return found


def ggml_version(lib: Any) -> str:
    """Return version and commit of the ggml that was built; empty where its symbols cannot be reached."""
    ggml = _bind(lib)
    if ggml is None:
        return ""
    version, commit = ggml.ggml_version().decode(), ggml.ggml_commit().decode()
    return f"{version}, commit {commit}"


def _bind(lib: Any) -> Any:
    """Return the loaded library with these functions' types set; None where they cannot be reached."""
    ggml = getattr(lib, "_lib", None)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(ggml, name, None)
        if function is None:
            return None
        function.restype, function.argtypes = result, arguments
    return ggml

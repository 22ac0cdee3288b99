"""MLX and mlx-lm: imported once, with what they need set before."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes.util import find_library
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, NamedTuple

from specviz.engines.errors import EngineBrokenError, EngineMissingError, EngineTooOldError

PACKAGES = {"mlx.core": "mlx", "mlx_lm.utils": "mlx-lm", "mlx_lm.models.cache": "mlx-lm", "tokenizers": "tokenizers"}
"""What is imported -> the package that it comes with."""
NEEDED = {
    "mlx.core": ("argmax", "array", "async_eval", "clear_cache", "default_device", "device_info", "eval", "float32"),
    "mlx_lm.utils": ("get_total_parameters", "load_model"),
    "mlx_lm.models.cache": (
        "CacheList",
        "ConcatenateKVCache",
        "KVCache",
        "QuantizedKVCache",
        "RotatingKVCache",
        "create_attention_mask",
        "make_prompt_cache",
    ),
    "tokenizers": ("Tokenizer",),
}
"""What this package uses of each."""
MIN_VERSION = "0.32"
"""Of mlx-lm and mlx: the oldest that this package was tried with."""
INSTALL = 'pip install "specviz-lab[mlx]"' if sys.platform == "darwin" else 'pip install "specviz-lab[mlx-cpu]"'


class Library(NamedTuple):
    """The modules that are used."""

    mx: ModuleType
    utils: ModuleType
    tokenizers: ModuleType
    blas: Any
    """The OpenBLAS that computes for MLX; None: there is none, or MLX has its own."""

    @property
    def on_cpu(self) -> bool:
        """Whether MLX computes on the CPU."""
        return bool(self.mx.default_device().type == self.mx.cpu)


@cache
def library() -> Library:
    """Import MLX and mlx-lm.

    Raises
    ------
    EngineMissingError
        If one of them is not installed.
    EngineBrokenError
        If it does not load; plain mlx on Linux, which lacks what computes, does not.
    EngineTooOldError
        If it lacks something that is needed.
    """
    # On CUDA, cuDNN's attention compiles anew for every length of the cache (50 ms each).
    os.environ.setdefault("MLX_CUDA_USE_CUDNN_SDPA", "0")
    blas = _openblas()
    modules = {name: _import(name) for name in PACKAGES}
    lacking = [f"{name}.{one}" for name, ones in NEEDED.items() for one in ones if not hasattr(modules[name], one)]
    if lacking:
        missing = f"{lacking[0]} is" if len(lacking) == 1 else f"{lacking[0]} and {len(lacking) - 1} more are"
        raise EngineTooOldError(
            f"{engine_version()} is too old: specviz needs {MIN_VERSION} or newer because {missing} missing: "
            f"{INSTALL} --upgrade"
        )
    return Library(modules["mlx.core"], modules["mlx_lm.utils"], modules["tokenizers"], blas)


def _import(name: str) -> ModuleType:
    package = PACKAGES[name]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise EngineMissingError(f"the MLX engine needs {package}: {INSTALL}") from error
        raise _broken(package, error) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise _broken(package, error) from error


def _broken(package: str, error: Exception) -> EngineBrokenError:
    return EngineBrokenError(f"{package} is installed, but does not load: {error}: {INSTALL} --force-reinstall")


def _openblas() -> Any:
    """Load the system's OpenBLAS, if there is one, before MLX looks for the functions that it has too.

    MLX's wheels for Linux bring the reference BLAS, which multiplies matrices ten times slower.
    """
    name = find_library("openblas") if sys.platform == "linux" else None
    if name is None:
        return None
    try:
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def set_threads(n: int) -> None:
    """Let OpenBLAS use `n` threads; without it MLX computes on one."""
    set_number = getattr(library().blas, "openblas_set_num_threads", None)
    if set_number is not None:
        set_number(n)


def engine_version() -> str:
    """Names and versions of what is installed."""
    return ", ".join(f"{package} {_version(package)}".strip() for package in ("mlx", "mlx-lm"))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

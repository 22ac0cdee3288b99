"""Which engines there are."""

from __future__ import annotations

from importlib.util import find_spec

from specviz.engines.errors import EngineMissingError
from specviz.engines.report import EngineReport
from specviz.engines.service import Engine

ENGINES = ("llama.cpp", "MLX")
PACKAGES = {"llama.cpp": "llama_cpp", "MLX": "mlx_lm"}


def installed(name: str) -> bool:
    """Whether an engine's package is there; nothing is imported, so whether it works is not said."""
    return find_spec(PACKAGES[name]) is not None


def make_engine(name: str) -> Engine:
    """Make an engine by name, importing its library.

    Raises
    ------
    EngineMissingError
        If there is no such engine, or its library is not installed, too old or broken.
    """
    if name == "llama.cpp":
        from specviz.engines.llamacpp.engine import LlamaEngine

        return LlamaEngine()
    if name == "MLX":
        from specviz.engines.mlx.engine import MlxEngine

        return MlxEngine()
    raise EngineMissingError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")


def check_engine(name: str) -> EngineReport:
    """Try an engine in this process, which a broken library may end; `specviz.engines.probe` does it in another one.

    Raises
    ------
    EngineMissingError
        If there is no such engine.
    """
    if name == "llama.cpp":
        from specviz.engines.llamacpp.check import check

        return check()
    if name == "MLX":
        from specviz.engines.mlx.check import check

        return check()
    raise EngineMissingError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")

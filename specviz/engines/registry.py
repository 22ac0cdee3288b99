"""Which engines there are."""

from __future__ import annotations

from specviz.engines.errors import EngineMissingError
from specviz.engines.service import Engine

ENGINES = ("llama.cpp",)


def make_engine(name: str) -> Engine:
    """Make an engine by name, importing its library.

    Raises
    ------
    EngineMissingError
        If there is no such engine or its library is not installed.
    """
    if name == "llama.cpp":
        from specviz.engines.llamacpp.engine import LlamaEngine

        return LlamaEngine()
    raise EngineMissingError(f"there is no engine {name!r}; there is {', '.join(ENGINES)}")

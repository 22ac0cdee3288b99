"""What can go wrong with an engine, as exceptions a reader can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specviz.trace import Trace


class EngineError(RuntimeError):
    """An engine could not do what was asked.

    Attributes
    ----------
    trace : Trace or None
        What had been generated before it failed.
    """

    trace: Trace | None = None


class EngineMissingError(EngineError):
    """The engine's library is not installed; the message says how to install it."""


class ModelFileError(EngineError):
    """A file is not a model that the engine can load; the message names the file and the reason."""


class IncompatibleDraftError(EngineError):
    """The draft model does not share the main model's vocabulary; the message names the first difference."""


class PromptError(EngineError, ValueError):
    """The prompt is empty, or does not fit into the context."""


class EngineCrashed(EngineError):
    """The engine's process ended; the message names the cause. The next call starts a new one."""


BY_NAME: dict[str, type[EngineError]] = {
    cls.__name__: cls
    for cls in (
        EngineError,
        EngineMissingError,
        ModelFileError,
        IncompatibleDraftError,
        PromptError,
        EngineCrashed,
    )
}

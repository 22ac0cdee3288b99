"""What can go wrong with an engine, as exceptions a reader can act on."""

from __future__ import annotations

import signal
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


class EngineTooOldError(EngineMissingError):
    """The engine's library lacks something; the message says what, and how to get a newer one."""


class EngineBrokenError(EngineMissingError):
    """The engine's library is installed but does not load; the message says why."""


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
        EngineTooOldError,
        EngineBrokenError,
        ModelFileError,
        IncompatibleDraftError,
        PromptError,
        EngineCrashed,
    )
}


SIGNAL_REASONS = {
    "SIGKILL": "killed from outside; often the system ran out of memory",
    "SIGABRT": "an assertion of the engine failed",
    "SIGSEGV": "a memory error in the engine, often a damaged model file",
    "SIGILL": "the engine was built for another processor",
    "SIGBUS": "a memory error, often a model file that was changed while in use",
}


def ended_by(returncode: int) -> str:
    """Say how a process ended, after "its process": by which signal and what that means, or with which status."""
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        return f"ended with status {returncode}"
    return f"was ended by {name}" + (f" ({SIGNAL_REASONS[name]})" if name in SIGNAL_REASONS else "")

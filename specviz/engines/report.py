"""What is known of an engine on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from specviz.engines.errors import EngineBrokenError, EngineMissingError, EngineTooOldError

State = Literal["ready", "too old", "not installed", "broken"]


class EngineReport(Struct, frozen=True, kw_only=True):
    """What came of trying an engine."""

    name: str
    state: State
    version: str = ""
    """Of what is installed; empty: nothing is."""
    backends: tuple[str, ...] = ()
    """What it computes on here, each with what it is and its memory."""
    can: tuple[str, ...] = ()
    """What was tried and works."""
    cannot: tuple[str, ...] = ()
    """What was tried and does not."""
    reason: str = ""
    """If it is not ready: what is needed, why, and the command for it. Without full stop."""


def unusable(name: str, error: EngineMissingError, version: Callable[[], str]) -> EngineReport:
    """Return the report on a library that is not installed, too old, or does not load (`version` is asked then)."""
    if not isinstance(error, EngineTooOldError | EngineBrokenError):
        return EngineReport(name=name, state="not installed", reason=str(error))
    state: State = "too old" if isinstance(error, EngineTooOldError) else "broken"
    return EngineReport(name=name, state=state, version=version(), reason=str(error))

"""What is known of an engine on this machine."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

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

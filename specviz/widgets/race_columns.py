"""A race in columns, as a page draws it: the prompt under way and its runs (docs/protocol.md)."""

from __future__ import annotations

from typing import Any

from specviz.lab.race import Way
from specviz.trace import Event, Header, Round
from specviz.trace.projection import Projection
from specviz.trace.stats import Tally


class RunColumns:
    """One run in columns: its rounds by the clock, its tokens by what proposed them."""

    def __init__(self, serial: int) -> None:
        self._projection = Projection()
        self._serial = serial
        self._seconds: list[float] = []
        self._count: list[int] = []
        self._speed: list[float] = []
        self._text: list[str] = []
        self._kind = ""
        self._told = (0, 0)

    @property
    def tally(self) -> Tally:
        """What its rounds add up to."""
        return self._projection.tally

    def add(self, event: Event) -> None:
        """Take an event into account."""
        self._projection.add(event)
        if isinstance(event, Round):
            tally = self._projection.tally
            self._seconds.append(round(tally.seconds, 6))
            self._count.append(tally.tokens)
            self._speed.append(round(tally.tokens / tally.seconds, 1) if tally.seconds else 0.0)

    def content(self, *, whole: bool) -> dict[str, Any]:
        """Return the columns: all of them, or what has come since the last time."""
        tokens = self._projection.take().get("tokens")
        if tokens is not None:
            self._text += tokens["text"]
            self._kind += tokens["kind"]
        rounds, said = (0, 0) if whole else self._told
        self._told = len(self._seconds), len(self._text)
        return {
            "serial": self._serial,
            "seconds": self._seconds[rounds:],
            "count": self._count[rounds:],
            "speed": self._speed[rounds:],
            "text": self._text[said:],
            "kind": self._kind[said:],
        }


class HeatColumns:
    """What is shown of the prompt under way."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.lanes: dict[Way, RunColumns] = {}
        """Of each way the run under way, or the last."""
        self.serial = 0
        """Counts the runs of this prompt, from 1."""
        self.way: Way | None = None
        """Of the run under way, or the last; None: it is being warmed up."""
        self.live = False
        self.told: tuple[int, bool] | None = None
        """Of how many prompts the page knows the result, and whether the race had ended."""
        self._runs: dict[Way, int] = {}
        self._ended: dict[Way, tuple[int, float]] = {}

    @property
    def number(self) -> int:
        """Which of its way's runs the present one is, from 1; 0: none."""
        return self._runs.get(self.way, 0) if self.way else 0

    @property
    def ratio(self) -> float | None:
        """Speed with the draft over speed without, as far as they have run."""
        speeds = []
        for way in ("speculative", "plain"):
            tokens, seconds = self._ended.get(way, (0, 0.0))
            if self.live and way == self.way:
                tally = self.lanes[way].tally
                tokens, seconds = tokens + tally.tokens, seconds + tally.seconds
            if not (tokens and seconds):
                return None
            speeds.append(tokens / seconds)
        return speeds[0] / speeds[1]

    def add(self, way: Way, event: Event) -> None:
        """Take an event into account; a header begins a run."""
        if isinstance(event, Header):
            self.way, self.live = way, True
            self.serial += 1
            self._runs[way] = self._runs.get(way, 0) + 1
            self.lanes[way] = RunColumns(self.serial)
        self.lanes[way].add(event)

    def end(self, way: Way) -> None:
        """The run under way has ended."""
        self.live = False
        tokens, seconds = self._ended.get(way, (0, 0.0))
        tally = self.lanes[way].tally
        self._ended[way] = tokens + tally.tokens, seconds + tally.seconds

"""A race, watched: the same prompts with and without a draft, side by side (docs/protocol.md)."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from html import escape
from math import exp, inf, log
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import traitlets as t

from specviz.decoding import check_settings
from specviz.engines.errors import EngineCrashed
from specviz.lab.interval import Interval
from specviz.lab.prompts import LabPrompt, Prompts, prompts_of
from specviz.lab.race import MAX_TOKENS, REPEATS, SETTINGS, Heat, Race, Way, run_heat, without_draft
from specviz.pair import Pair, load
from specviz.trace import Event, Round
from specviz.trace.projection import rounded
from specviz.widgets.bundle import BundleWidget, joined
from specviz.widgets.feed import BATCH_SECONDS
from specviz.widgets.race_columns import HeatColumns

LANES: tuple[Way, ...] = ("plain", "speculative")
"""The ways that are drawn, from the top."""


def state(phase: str, message: str = "", detail: str = "", *, running: bool = False) -> dict[str, Any]:
    """Return what the view says about where the race is, and which buttons are alive."""
    return {
        "phase": phase,
        "message": message,
        "detail": detail,
        "can_start": not running,
        "can_stop": running and phase != "stopping",
    }


class RaceTrack(BundleWidget):
    """A race to watch: two lanes on one clock, with and without a draft, and what may be said of the speedup.

    Each prompt is first answered both ways untimed, then the ways take turns and run again in reverse; see
    `specviz.race`. A lane that ran before is replayed at its recorded pace beside the one that runs.

    Parameters
    ----------
    pair
        With a draft; or a main model, as for `specviz.load`, to be loaded with `draft` when the race starts.
    prompts
        Several, the name of a file of them (`*.jsonl`), or None for three of ours.
    draft
        As for `specviz.load`, where `pair` is not one yet.
    max_tokens
        Output tokens of an answer at most.
    repeats
        How often each way runs there and back, on each prompt.
    baseline
        A pair that answers without a draft; None: the main model in a process of its own. Of servers it is needed:
        another one that runs the same model without a draft.
    **settings
        Of `Pair.generate`: `num_draft_tokens`, `p_min`, `temperature`, ...

    Attributes
    ----------
    phase : str
        idle, loading, warming, racing, stopping, finished, stopped, crashed or failed; may be observed.
    verdict : str
        What may be said after the prompts that are done; empty before the first; may be observed.

    Raises
    ------
    ValueError, TypeError
        If a setting is wrong or there are no prompts.

    Examples
    --------
    >>> track = sv.RaceTrack()
    >>> track                                            # press Start, or:
    >>> track.start()
    """

    view = t.Unicode("race").tag(sync=True)
    snapshot = t.Dict().tag(sync=True)
    phase = t.Unicode("idle", help="idle, loading, warming, racing, stopping, finished, stopped, crashed, failed.")
    verdict = t.Unicode("", help="What may be said after the prompts that are done.")

    def __init__(
        self,
        pair: Pair | str | Path = "auto",
        prompts: Prompts = None,
        *,
        draft: str | Path | None = "auto",
        max_tokens: int = MAX_TOKENS,
        repeats: int = REPEATS,
        baseline: Pair | None = None,
        **settings: Any,
    ) -> None:
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}")
        self._settings = SETTINGS | settings
        check_settings(max_tokens=max_tokens, **self._settings)
        self._source, self._draft, self._baseline = pair, draft, baseline
        self._prompts = prompts_of(prompts)
        self._max_tokens, self._repeats = max_tokens, repeats
        self._sending = threading.RLock()
        self._seq = 0
        self._sent = 0.0
        self._thread: threading.Thread | None = None
        self._stop_asked = False
        self._pairs: list[Pair] = []
        self._state = state("idle")
        self._clear()
        super().__init__()

    def _clear(self) -> None:
        self._pair_name = ""
        self._heat = HeatColumns(0)
        self._result: Race | None = None
        self._interval: Interval | None = None

    @property
    def result(self) -> Race | None:
        """The race over the prompts that are done; None before the first."""
        return self._result

    def start(self) -> None:
        """Race; returns at once. A race under way goes on."""
        with self._sending:
            if not self._state["can_start"]:
                return
            self._stop_asked = False
            self._clear()
            self._tell(state("loading", running=True), whole=True)
            self._observe()
            self._thread = threading.Thread(target=self._work, name="specviz-race", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; the race ends within a round and keeps the prompts that are done."""
        with self._sending:
            if not self._state["can_stop"]:
                return
            self._stop_asked = True
            warming = self._state["phase"] == "warming"
            self._tell(state("stopping", running=True))
            pairs = list(self._pairs)
        if warming:
            for pair in pairs:
                pair.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the race has ended; return whether it has."""
        return joined(self._thread, timeout, self._observe)

    def close(self) -> None:
        """Stop, and close the widget."""
        if hasattr(self, "_sending"):
            self.stop()
        super().close()

    def _work(self) -> None:
        """Race all prompts; every way it can end becomes a state."""
        try:
            self._race()
            end = state("finished")
        except _Stopped:
            end = state("stopped")
        except Exception as error:
            phase = "crashed" if isinstance(error, EngineCrashed) else "failed"
            end = state("stopped") if self._stop_asked else _failure(phase, error)
        finally:
            self._pairs = []
        self._tell(end)
        self._observe()

    def _race(self) -> None:
        source = self._source
        with nullcontext(source) if isinstance(source, Pair) else load(source, self._draft) as pair:
            self._raise_if_stopped()
            with without_draft(pair) if self._baseline is None else nullcontext(self._baseline) as plain:
                with self._sending:
                    self._pairs = [pair, plain]
                    self._pair_name = pair.description
                for i, prompt in enumerate(self._prompts):
                    with self._sending:
                        self._raise_if_stopped()
                        self._heat = HeatColumns(i)
                        self._tell(state("warming", running=True))
                    self._observe()
                    self._add(
                        run_heat(pair, plain, prompt, self._max_tokens, self._repeats, self._settings, self._watch)
                    )

    def _add(self, heat: Heat) -> None:
        """A prompt is done."""
        raced = Race([*self._heats, heat], self._pair_name)
        found = raced.interval()
        with self._sending:
            self._result, self._interval = raced, found

    @property
    def _heats(self) -> list[Heat]:
        return [] if self._result is None else self._result.heats

    def _raise_if_stopped(self) -> None:
        if self._stop_asked:
            raise _Stopped

    def _watch(self, way: Way, _: LabPrompt, event: Event | None) -> None:
        """Take an event of a timed run into account; on the racing thread, so quick."""
        self._raise_if_stopped()
        with self._sending:
            if event is None:
                self._heat.end(way)
            else:
                self._heat.add(way, event)
            if self._state["phase"] == "warming":
                self._tell(state("racing", running=True))
                self._observe()
        if event is None:
            # What is left of a run is told at its end, no sooner than the pace allows.
            sleep(max(0.0, self._sent + BATCH_SECONDS - monotonic()))
            self._tell()
        elif isinstance(event, Round) and monotonic() >= self._sent + BATCH_SECONDS:
            self._tell()

    def _tell(self, new: dict[str, Any] | None = None, *, whole: bool = False) -> None:
        with self._sending:
            if new is not None:
                self._state = new
            self._seq += 1
            self._sent = monotonic()
            self.send({"type": "race", "seq": self._seq, "whole": whole} | self._content(whole=whole))

    def _content(self, *, whole: bool) -> dict[str, Any]:
        """Return what a page needs: all of it, or what has come since the last time."""
        heat = self._heat
        lanes = {way: heat.lanes[way].content(whole=whole) for way in LANES if way in heat.lanes}
        content: dict[str, Any] = {
            "state": self._state,
            "run": self._run(),
            "lanes": {way: lane for way, lane in lanes.items() if lane["seconds"]},
            "speedup": rounded(self._speedup()),
        }
        known = len(self._heats), self._state["can_start"]
        if whole or heat.told != known:
            heat.told = known
            content["heats"] = self._heats_content()
        return content

    def _run(self) -> dict[str, Any]:
        """Which run of how many is under way."""
        heat = self._heat
        return {
            "prompt": heat.index,
            "serial": heat.serial,
            "way": heat.way,
            "number": heat.number,
            "of": 2 * self._repeats,
            "live": heat.live,
        }

    def _speedup(self) -> float | None:
        """The geometric mean over the prompts, that of the one under way as far as it has come."""
        if self._interval is not None and len(self._heats) > self._heat.index:
            return self._interval.ratio
        ratios = [heat.speedup() for heat in self._heats]
        if self._heat.ratio is not None:
            ratios.append(self._heat.ratio)
        return exp(sum(map(log, ratios)) / len(ratios)) if ratios else None

    def _heats_content(self) -> dict[str, Any]:
        """What is known of the prompts; an entry per prompt in every column."""
        n, found = len(self._prompts), self._interval
        partings = [heat.divergence for heat in self._heats]
        return {
            "pair": self._pair_name,
            "prompt": [prompt.text for prompt in self._prompts],
            "category": [prompt.category for prompt in self._prompts],
            "ratio": _padded([rounded(heat.speedup()) for heat in self._heats], n),
            "parting": _padded([None if one is None else str(one) for one in partings], n),
            "tie": _padded([None if one is None else one.is_tie for one in partings], n),
            "interval": [rounded(one) for one in found] if found is not None and self._sure else None,
            "done": len(self._heats),
            "verdict": f"faster: {self._said}" if self._said and found is not None and found.low > 1 else self._said,
        }

    @property
    def _sure(self) -> bool:
        """Whether there is an interval over prompts; that of the first of several tells how alike its runs were."""
        several = len(self._prompts) == 1 or len(self._heats) > 1
        return several and self._interval is not None and self._interval.high < inf

    @property
    def _said(self) -> str:
        told = self._sure or self._state["can_start"]
        return self._result.verdict if self._result is not None and told else ""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the model's state; the snapshot is built when somebody asks for it."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if "snapshot" in state or key is None:
            with self._sending:
                state["snapshot"] = self._snapshot()
        return state

    def _snapshot(self) -> dict[str, Any]:
        """Everything that has been sent, as one message."""
        if not self._state["can_start"]:
            self._tell()
        return {"type": "race", "seq": self._seq, "whole": True} | self._content(whole=True)

    def _on_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        match content.get("type"):
            case "resync":
                with self._sending:
                    self._tell(whole=True)
            case "start":
                self.start()
            case "stop":
                self.stop()
            case _:
                super()._on_message(widget, content, buffers)

    def _observe(self) -> None:
        """Let the observable traits and the record follow, on the main thread."""
        with self._sending:
            phase, verdict, ended = self._state["phase"], self._said, self._state["can_start"]

        def follow() -> None:
            with self.hold_trait_notifications():
                self.phase = phase
                self.verdict = verdict
            if ended and self._record_shown:
                self._update_record(self._html())

        self._on_main_thread(follow)

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(self._html())

    def _html(self) -> str:
        raced = self.result
        if raced is None:
            return f"<p>{escape(repr(self))}</p>"
        head = "".join(f"<th>{name}</th>" for name in ("prompt", "without draft", "with draft", "speedup", ""))
        rows = "".join(_row(heat) for heat in raced.heats)
        return (
            f"<p><b>{escape(raced.verdict)}</b><br><small>{escape(raced.pair)}</small></p>"
            f"<table><tr>{head}</tr>{rows}</table>"
        )

    def __repr__(self) -> str:
        n = len(self._prompts)
        done = f", {len(self._heats)} done: {self._said}" if self._heats else ""
        return f"<RaceTrack of {n} prompt{'' if n == 1 else 's'}, {self._state['phase']}{done}>"


class _Stopped(Exception):
    """The race was asked to stop."""


T = TypeVar("T")


def _padded(known: list[T], n: int) -> list[T | None]:
    """Fill a column with None up to an entry for each prompt."""
    return [*known, *[None] * (n - len(known))]


def _failure(phase: str, error: Exception) -> dict[str, Any]:
    message = str(error)
    return state(phase, message[:1].upper() + message[1:], "\n".join(getattr(error, "__notes__", [])))


def _row(heat: Heat) -> str:
    """Return one prompt's row in the record."""
    speeds = [f"{heat.tokens_per_second(way):.1f} tokens/s" for way in LANES]
    parting = heat.divergence
    cells = (heat.prompt.text, *speeds, f"{heat.speedup():.2f}x", "" if parting is None else str(parting))
    return "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells) + "</tr>"

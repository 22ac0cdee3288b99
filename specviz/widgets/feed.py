"""A feed: the stream of a generation from kernel to page (docs/protocol.md).

The worker thread that reads a generation only `send()`s; traits that users observe are set on the kernel's main thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import traitlets as t

from specviz.engines import messages as m
from specviz.engines.errors import EngineCrashed
from specviz.pair import Generation
from specviz.trace import Baseline, Header, Round, StopReason, Trace
from specviz.trace.dialects import DIALECTS
from specviz.trace.events import Event
from specviz.trace.inspection import round_detail
from specviz.trace.projection import STOP_WORDS, Projection
from specviz.trace.reasoning import TAGS, check_tags
from specviz.widgets.bundle import BundleWidget, joined

BATCH_SECONDS = 0.033
COLOURS = ("provenance", "round", "p", "q", "surprise")
"""What tokens can be coloured by: who proposed them, their round, both probabilities, -log2 p."""
METRICS = ("specviz", *DIALECTS)
"""In whose names statistics can be told."""
OBSERVED_SECONDS = 0.5
"""How often `stats` and `text` follow while a generation runs."""


def state(
    phase: str, message: str = "", detail: str = "", *, running: bool = False, can_continue: bool = False
) -> dict[str, Any]:
    """Return what a view says about where a run is, and which buttons are alive."""
    return {
        "phase": phase,
        "message": message,
        "detail": detail,
        "can_generate": not running,
        "can_stop": running and phase != "stopping",
        "can_continue": can_continue and not running,
    }


IDLE = state("idle")


def ended(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return the state of a view that shows an answer and its continuations to their end."""
    summary = traces[-1].summary
    if summary is None:
        return state("stopped", "the record breaks off", can_continue=True)
    if summary.stop_reason == StopReason.FAILED:
        return state("failed", summary.error, can_continue=True)
    if summary.stop_reason == StopReason.USER_STOPPED:
        return state("stopped", "; ".join(summary.notes), can_continue=True)
    why = STOP_WORDS.get(summary.stop_reason or "", "")
    full = summary.stop_reason == StopReason.CONTEXT_LENGTH
    return state("finished", "; ".join(filter(None, (why, *summary.notes))), can_continue=not full)


class Feed(BundleWidget):
    """The data behind the views: follows generations and shows them wherever its parts are displayed.

    Displayed itself it draws tokens, rounds, plots and statistics below each other.

    Examples
    --------
    >>> feed = sv.Feed()
    >>> display(ipywidgets.VBox([sv.TokenStream(feed), sv.AcceptancePlot(feed)]))
    >>> feed.follow(pair.stream("Explain the Pythagorean theorem"))
    """

    view = t.Unicode("feed").tag(sync=True)
    snapshot = t.Dict().tag(sync=True)
    show_provenance = t.Bool(True, help="Colour tokens by who proposed them.").tag(sync=True)
    show_rejected = t.Bool(False, help="Show dropped drafted tokens in place.").tag(sync=True)
    colour = t.Enum(COLOURS, "provenance", help="What tokens are coloured by.").tag(sync=True)
    metrics = t.Enum(METRICS, "specviz", help="In whose names statistics are told.").tag(sync=True)
    reasoning_tags = t.Tuple(
        t.Unicode(), t.Unicode(), default_value=TAGS, help="Around reasoning, which is folded; empty: fold nothing."
    ).tag(sync=True)

    phase = t.Unicode("idle", help="idle, loading, prefill, baseline, generating, stopping, finished, stopped, ...")
    text = t.Unicode("", help="The answer so far; follows twice a second.")
    stats = t.Dict(help="Statistics so far (Stats.to_dict()); follows twice a second.")
    trace = t.Instance(Trace, allow_none=True, help="Trace of the latest generation.")

    def __init__(self, **kwargs: Any) -> None:
        self._sending = threading.RLock()
        self._seq = 0
        self._run = 0
        self._state = IDLE
        self._traces: list[Trace] = []
        self._projection = Projection()
        self._thread: threading.Thread | None = None
        self._stop_asked = False
        self._generation: Generation | None = None
        super().__init__(**kwargs)

    @t.validate("reasoning_tags")  # type: ignore[untyped-decorator]
    def _check_tags(self, proposal: Any) -> tuple[str, str]:
        try:
            return check_tags(proposal.value)
        except ValueError as error:
            raise t.TraitError(str(error)) from error

    def follow(self, generation: Generation, *, append: bool = False) -> Feed:
        """Show a generation as it runs; returns at once.

        Parameters
        ----------
        generation
            From `Pair.stream`.
        append
            Go on after what is shown, instead of clearing it.
        """
        self._start(lambda: generation, append=append)
        return self

    def stop(self) -> None:
        """Stop the generation that is shown; it ends within a round."""
        with self._sending:
            if not self._state["can_stop"]:
                return
            self._send_batch(state=state("stopping", running=True))
            self._stop_asked = True
            generation = self._generation
        if generation is not None:
            generation.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the generation that is shown has ended; return whether it has."""
        return joined(self._thread, timeout, self._observe)

    def to_html(self, path: str | Path) -> Path:
        """Write what is shown as one HTML file with all views and a replay, which needs neither kernel nor network.

        Raises
        ------
        ValueError
            If nothing was generated yet.
        """
        from specviz.widgets.page import write_html  # which plays a feed, and so needs this module

        return write_html(self._page()[1], path)

    def _page(self) -> tuple[str, str]:
        """Return what is shown as a page: its file name, and the page."""
        from specviz.widgets.page import page_html, page_name

        with self._sending:
            traces = list(self._traces)
        if not traces:
            raise ValueError("nothing was generated yet")
        return page_name(traces[0].header), page_html(traces, reasoning_tags=self.reasoning_tags, **self._shown())

    def _shown(self) -> dict[str, Any]:
        """Return how the views of a page begin: as they are."""
        return {name: getattr(self, name) for name in ("show_provenance", "show_rejected", "colour", "metrics")}

    def _start(
        self, begin: Callable[[], Generation], *, append: bool, prepare: Callable[[], None] = lambda: None
    ) -> None:
        """Begin a generation and follow it, on a thread of its own, after the one before it has ended.

        Where `prepare`, which is called first, raises, what was shown stays.
        """
        self.stop()
        before = self._thread

        def work() -> None:
            if before is not None:
                before.join()
            self._work(begin, append, prepare)

        self._thread = threading.Thread(target=work, name="specviz-feed", daemon=True)
        self._thread.start()

    def _work(self, begin: Callable[[], Generation], append: bool, prepare: Callable[[], None]) -> None:
        """Run one generation; every way it can end becomes a state."""
        try:
            with self._sending:
                self._stop_asked = False
                prepare()
                if not append:
                    self._run += 1
                    self._traces = []
                    self._projection = Projection(self.reasoning_tags)
                self._send_batch(reset=not append, state=state("loading", running=True))
            self._observe()
            generation = begin()
            with self._sending:
                self._generation = generation
                if self._stop_asked:
                    generation.cancel()
            self._follow(generation)
            self._end(generation)
        except EngineCrashed as error:
            self._fail("crashed", error)
        except Exception as error:
            self._fail("failed", error)
        finally:
            self._generation = None
            self._observe()

    def _follow(self, generation: Generation) -> None:
        """Read events to the end and send them in batches."""
        due = monotonic() + BATCH_SECONDS
        observed = monotonic()
        while True:
            try:
                event = generation.next_event(timeout=max(0.0, due - monotonic()))
            except queue.Empty:
                pass
            else:
                if event is None:
                    return
                self._take(generation, event)
            if monotonic() >= due:
                if self._projection.pending:
                    self._send_batch()
                due = monotonic() + BATCH_SECONDS
                if monotonic() - observed > OBSERVED_SECONDS:
                    self._observe()
                    observed = monotonic()

    def _take(self, generation: Generation, event: Event | m.Phase) -> None:
        with self._sending:
            if isinstance(event, m.Phase):
                self._tell_phase(event.phase, event.detail)
                return
            if isinstance(event, Header) and generation.trace is not None:
                self._traces.append(generation.trace)
            self._projection.add(event)
            if isinstance(event, Round | Baseline) and self._state["phase"] in ("loading", "prefill"):
                self._state = state("generating", running=True)

    def _tell_phase(self, phase: str, detail: str) -> None:
        """Say what is under way, unless it is being stopped."""
        with self._sending:
            if self._state["phase"] != "stopping":
                self._send_batch(state=state(phase, detail, running=True))

    def _end(self, generation: Generation) -> None:
        trace = generation.trace
        self._send_batch(state=state("stopped", can_continue=True) if trace is None else ended([trace]))

    def _fail(self, phase: str, error: BaseException) -> None:
        with self._sending:
            detail = "\n".join(getattr(error, "__notes__", []))
            message = str(error)
            message = message[:1].upper() + message[1:]
            self._send_batch(state=state(phase, message, detail, can_continue=bool(self._projection.tally.tokens)))

    def _send_batch(self, *, reset: bool = False, state: dict[str, Any] | None = None) -> None:
        with self._sending:
            if state is not None:
                self._state = state
            self._seq += 1
            content = (self._beside() if reset else {}) | self._projection.take()
            self.send(
                {"type": "batch", "seq": self._seq, "run": self._run, "reset": reset, "state": self._state} | content
            )

    def _snapshot(self) -> dict[str, Any]:
        """Everything that has been sent, as one message; `{}` before the first run."""
        if self._seq == 0:
            return {}
        if self._projection.pending:
            self._send_batch()
        projection = Projection(self._projection.reasoning_tags)
        remaining = self._projection.tally.rounds
        for trace in self._traces:
            for event in trace.events():
                if isinstance(event, Round):
                    if not remaining:
                        break
                    remaining -= 1
                projection.add(event)
        return {"seq": self._seq, "run": self._run, "state": self._state} | self._beside() | projection.take()

    def _send_snapshot(self) -> None:
        with self._sending:
            self._seq += 1
            self.send({"type": "snapshot", "run": self._run} | self._snapshot() | {"seq": self._seq})

    def _beside(self) -> dict[str, Any]:
        """Content that a reset and a snapshot have beside that of the generation."""
        return {}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the model's state; the snapshot is built when somebody asks for it."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if "snapshot" in state or key is None:
            with self._sending:
                state["snapshot"] = self._snapshot()
        return state

    def _on_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        match content.get("type"):
            case "resync":
                self._send_snapshot()
            case "inspect":
                self._inspect(content.get("run"), content.get("round"))
            case "save_page":
                self._send_file(content.get("id"), self._page)
            case "stop":
                self.stop()
            case _:
                super()._on_message(widget, content, buffers)

    def _inspect(self, run: Any, round: Any) -> None:
        """Tell a page what is recorded of a round; of a run that is no longer shown nothing."""
        with self._sending:
            traces = list(self._traces) if run == self._run else []
        detail = round_detail(traces, round) if isinstance(round, int) else None
        if detail is not None:
            self.send({"type": "detail", "run": run, "round": round} | detail)

    def _observe(self) -> None:
        """Let the observable traits follow, on the main thread."""

        def follow() -> None:
            with self._sending:
                phase, traces, stats = self._state["phase"], list(self._traces), self._projection.stats
            with self.hold_trait_notifications():
                self.phase = phase
                self.text = "".join(trace.text for trace in traces)
                self.stats = stats.to_dict()
                self.trace = traces[-1] if traces else None

        self._on_main_thread(follow)

"""The dashboard: choose a pair, write a prompt, watch."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import traitlets as t

from specviz.decoding import RULES, check_settings
from specviz.decoding.settings import AUTO
from specviz.engines import messages as m
from specviz.models import ModelNotFoundError
from specviz.pair import Generation, Pair, engine_of, load
from specviz.trace import Event, Header, Settings, Trace
from specviz.widgets.feed import Feed
from specviz.widgets.model_choice import ModelChoice
from specviz.widgets.static_html import traces_html

PRESETS = (
    "Write a quicksort algorithm in Python. Write code only.",
    "Explain the Pythagorean theorem",
    "Plan a 1 day trip to DC",
)
BASELINE_TOKENS = 16
PLACEMENT = tuple(inspect.signature(load).parameters.keys() - {"main", "draft", "engine", "in_process"})
"""Keywords of `load` that say where models are placed."""


def explore(
    main: str | Path = "auto", draft: str | Path | None = "auto", *, engine: str | None = None, **settings: Any
) -> Explorer:
    """Open the dashboard on a pair of models.

    Parameters
    ----------
    main, draft, engine
        As for `specviz.load`; other models can be chosen in the dashboard.
    **settings
        Traits of `Explorer` (`prompt`, `num_draft_tokens`, `p_min`, `temperature`, `max_tokens`, ...) and placement
        keywords of `load` (`n_ctx`, `n_threads`, `n_gpu_layers`, ...). `num_draft_tokens="auto"` stands for
        `auto_length=True`.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.
    EngineMissingError
        If there is no such engine, or the main model runs in another one.
    TypeError
        If a keyword is unknown.
    """
    return Explorer(main, draft, engine=engine, **settings)


class Explorer(ModelChoice, Feed):
    """The dashboard. Models are loaded when they are first needed; the engine runs in a process of its own.

    Traits may be read, set and observed from Python; `generate()`, `continue_()`, `stop()` and `wait()` do what the
    buttons do.
    """

    view = t.Unicode("explorer").tag(sync=True)
    prompt = t.Unicode(PRESETS[1]).tag(sync=True)
    presets = t.List(t.Unicode(), list(PRESETS)).tag(sync=True)
    launched = t.List(t.Unicode(), help="Main model and draft of the last run.").tag(sync=True)
    auto_length = t.Bool(False, help="Choose the draft length automatically.").tag(sync=True)
    num_draft_tokens = t.Int(4, min=0, max=16).tag(sync=True)
    p_min = t.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    temperature = t.Float(0.0, min=0.0, max=2.0).tag(sync=True)
    rule = t.Enum(tuple(RULES), "match", help="Acceptance rule; matters above temperature 0.").tag(sync=True)
    max_tokens = t.Int(256, min=1).tag(sync=True)
    seed = t.Int(None, allow_none=True).tag(sync=True)
    ignore_eos = t.Bool(False).tag(sync=True)
    measure_baseline = t.Bool(True).tag(sync=True)

    def __init__(
        self,
        main: str | Path = "auto",
        draft: str | Path | None = "auto",
        *,
        engine: str | None = None,
        **settings: Any,
    ) -> None:
        self._placement = {name: settings.pop(name) for name in PLACEMENT if name in settings}
        unknown = settings.keys() - {*self.trait_names(sync=True)}
        if unknown:
            raise TypeError(f"unknown setting {', '.join(sorted(unknown))} of an Explorer")
        if settings.get("num_draft_tokens") == AUTO:
            del settings["num_draft_tokens"]
            settings["auto_length"] = True
        self._pair: Pair | None = None
        self._pair_key: tuple[str, str] | None = None
        self._placed: list[str] = []
        super().__init__(main, draft, engine=engine, **settings)
        if self.problem:
            self._fail("failed", ModelNotFoundError(self.problem))

    def generate(self) -> None:
        """Answer the prompt; returns at once."""
        self._launch(append=False)

    def continue_(self) -> None:
        """Go on where the last answer ended; returns at once."""
        self._launch(append=True)

    def close(self) -> None:
        """Stop, free the models, and close the widget."""
        if hasattr(self, "_sending"):
            self.stop()
            pair, self._pair = self._pair, None
            if pair is not None:
                pair.close()
        super().close()

    def _launch(self, *, append: bool) -> None:
        """Take the settings as they are now and run with them."""
        prompt, key, append = self.prompt, (self.main, self.draft), append and bool(self._traces)
        given = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "num_draft_tokens": AUTO if self.auto_length else self.num_draft_tokens,
            "p_min": 0.0 if self.auto_length else self.p_min,
            "rule": self.rule,
            "seed": self.seed,
            "ignore_eos": self.ignore_eos,
            "baseline_tokens": BASELINE_TOKENS if self.measure_baseline else 0,
        }
        self.launched = list(key)

        def begin() -> Generation:
            checked: Settings = check_settings(**given)
            pair = self._load(key)
            source: str | Trace = self._traces[-1] if append else prompt
            return pair.stream(source, **{name: getattr(checked, name) for name in given})

        self._start(begin, append=append)

    def _load(self, key: tuple[str, str]) -> Pair:
        """Return the chosen pair; what both the old and the new one use stays loaded."""
        if self._pair is not None and self._pair_key == key:
            return self._pair
        main, draft = key
        if not main:
            raise ModelNotFoundError("choose a main model first")
        before, self._pair = self._pair, None
        made = [self._local[one].name for one in key if one in self._local and not self._local[one].exists]
        if made:
            self._tell_phase("loading", f"making {' and '.join(made)}, which is done once")
        try:
            self._pair = load(main, draft, engine=engine_of(self._local[main]), **self._placement)
        finally:
            if before is not None:
                before.close()
        self._pair_key = key
        if made:
            self._library.refresh()
            self._ask("models", "offers")
        return self._pair

    def _on_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        match content.get("type"):
            case "generate":
                self.generate()
            case "continue":
                self.continue_()
            case _:
                super()._on_message(widget, content, buffers)

    def _observe(self) -> None:
        super()._observe()
        if self._record_shown and not self._state["can_stop"] and self._traces:
            traces = list(self._traces)
            self._on_main_thread(lambda: self._update_record(traces_html(traces, self.show_rejected)))

    def _take(self, generation: Generation, event: Event | m.Phase) -> None:
        super()._take(generation, event)
        if isinstance(event, Header):
            roles = {"Main model": event.main, "Draft": event.draft}
            self._placed = [f"{role}: {one.placement}" for role, one in roles.items() if one and one.placement]
            self._ask("more")

    def _content(self, due: set[str]) -> dict[str, Any]:
        content = super()._content(due)
        return content | {"placement": self._placed} if "more" in due else content

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record()

"""The dashboard: choose a pair, write a prompt, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import traitlets as t
from IPython.display import display, update_display

from specviz.decoding import RULES, check_settings
from specviz.decoding.settings import AUTO
from specviz.models import LocalModel, ModelNotFoundError, demo_drafts, demo_mains
from specviz.pair import NGRAM, Generation, Pair, find_draft, find_main, load
from specviz.trace import Settings, Trace
from specviz.widgets.feed import Feed
from specviz.widgets.static_html import traces_html

PRESETS = (
    "Write a quicksort algorithm in Python. Write code only.",
    "Explain the Pythagorean theorem",
    "Plan a 1 day trip to DC",
)
NO_DRAFT = "none"
NO_DRAFT_CHOICE = {"key": NO_DRAFT, "label": "No draft: plain decoding", "detail": "", "reason": ""}
NGRAM_CHOICE = {
    "key": NGRAM,
    "label": "N-gram lookup (no model)",
    "detail": "Repeats what followed the same words",
    "reason": "",
}
BASELINE_TOKENS = 16


def explore(main: str | Path = "auto", draft: str | Path | None = "auto", **settings: Any) -> Explorer:
    """Open the dashboard on a pair of models.

    Parameters
    ----------
    main, draft
        As for `specviz.load`. The models of the demo pair can always be chosen too.
    **settings
        Traits of `Explorer` (`prompt`, `num_draft_tokens`, `p_min`, `temperature`, `max_tokens`, ...) and placement
        keywords of `load` (`n_ctx`, `n_threads`, `n_gpu_layers`, `draft_gpu_layers`). `num_draft_tokens="auto"` stands
        for `auto_length=True`.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.
    TypeError
        If a keyword is unknown.
    """
    return Explorer(main, draft, **settings)


class Explorer(Feed):
    """The dashboard. Models are loaded when they are first needed; the engine runs in a process of its own.

    Traits may be read, set and observed from Python; `generate()`, `continue_()`, `stop()` and `wait()` do what the
    buttons do.
    """

    view = t.Unicode("explorer").tag(sync=True)
    prompt = t.Unicode(PRESETS[1]).tag(sync=True)
    presets = t.List(t.Unicode(), list(PRESETS)).tag(sync=True)
    main_choices = t.List(t.Dict()).tag(sync=True)
    draft_choices = t.List(t.Dict()).tag(sync=True)
    main = t.Unicode().tag(sync=True)
    draft = t.Unicode(NO_DRAFT).tag(sync=True)
    auto_length = t.Bool(False, help="Choose the draft length automatically.").tag(sync=True)
    num_draft_tokens = t.Int(4, min=0, max=16).tag(sync=True)
    p_min = t.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    temperature = t.Float(0.0, min=0.0, max=2.0).tag(sync=True)
    rule = t.Enum(tuple(RULES), "match", help="Acceptance rule; matters above temperature 0.").tag(sync=True)
    max_tokens = t.Int(256, min=1).tag(sync=True)
    seed = t.Int(None, allow_none=True).tag(sync=True)
    ignore_eos = t.Bool(False).tag(sync=True)
    measure_baseline = t.Bool(True).tag(sync=True)

    def __init__(self, main: str | Path = "auto", draft: str | Path | None = "auto", **settings: Any) -> None:
        self._placement = {
            name: settings.pop(name)
            for name in ("n_ctx", "n_threads", "n_gpu_layers", "draft_gpu_layers")
            if name in settings
        }
        unknown = settings.keys() - {*self.trait_names(sync=True)}
        if unknown:
            raise TypeError(f"unknown setting {', '.join(sorted(unknown))} of an Explorer")
        if settings.get("num_draft_tokens") == AUTO:
            del settings["num_draft_tokens"]
            settings["auto_length"] = True
        ngram = str(draft).lower() == NGRAM
        problem = ""
        try:
            main_model = find_main(main)
            draft_model = None if ngram else find_draft(draft, main_model)
        except ModelNotFoundError as error:
            if str(main) != "auto":
                raise
            main_model, draft_model, problem = None, None, str(error)
        self._mains = _by_name(main_model, _demo(demo_mains))
        self._drafts = _by_name(draft_model, _demo(demo_drafts))
        self._pair: Pair | None = None
        self._pair_key: tuple[str, str] | None = None
        self._record_shown = False
        super().__init__(
            main_choices=[_choice(model) for model in self._mains.values()],
            draft_choices=[
                NO_DRAFT_CHOICE,
                *(_choice(model) for model in self._drafts.values()),
                NGRAM_CHOICE,
            ],
            main=main_model.name if main_model is not None else "",
            draft=NGRAM if ngram else NO_DRAFT if draft_model is None else draft_model.name,
            **settings,
        )
        if problem:
            self._fail("failed", ModelNotFoundError(problem))

    def generate(self) -> None:
        """Answer the prompt; returns at once."""
        self._launch(append=False)

    def continue_(self) -> None:
        """Go on where the last answer ended; returns at once."""
        self._launch(append=True)

    def close(self) -> None:
        """Stop, free the models, and close the widget."""
        if hasattr(self, "_pair"):
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
        main, draft = self._mains.get(key[0]), self._drafts.get(key[1])
        if main is None:
            raise ModelNotFoundError("choose a main model first")
        before, self._pair = self._pair, None
        self._pair = load(
            main.name if main.source is not None else main.path,
            NGRAM if key[1] == NGRAM else None if draft is None else draft.path,
            **self._placement,
        )
        self._pair_key = key
        if before is not None:
            before.close()
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
            self._on_main_thread(lambda: self._show_record(traces))

    def _ipython_display_(self, **_: Any) -> None:
        """Show the dashboard, and room for the record that a saved notebook keeps."""
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        record = _record("", self.feed_id)
        display(record, raw=True, display_id=f"specviz-{self.feed_id}")  # type: ignore[no-untyped-call]
        self._record_shown = True

    def _show_record(self, traces: list[Trace]) -> None:
        update_display(  # type: ignore[no-untyped-call]
            _record(traces_html(traces, self.show_rejected), self.feed_id),
            raw=True,
            display_id=f"specviz-{self.feed_id}",
        )


def _record(html: str, feed_id: str) -> dict[str, str]:
    """The static result, which the page hides while the live view is there."""
    return {"text/html": f'<div class="specviz-static" data-feed="{feed_id}">{html}</div>', "text/plain": ""}


def _choice(model: LocalModel) -> dict[str, str]:
    making = "" if model.exists else ", made on first use"
    return {"key": model.name, "label": model.label or model.name, "detail": model.detail + making, "reason": ""}


def _by_name(chosen: LocalModel | None, known: list[LocalModel]) -> dict[str, LocalModel]:
    models = {model.name: model for model in known}
    if chosen is not None and models.get(chosen.name) != chosen:
        models = {chosen.name: chosen} | models
    return models


def _demo(list_models: Any) -> list[LocalModel]:
    try:
        return list(list_models())
    except ModelNotFoundError:
        return []

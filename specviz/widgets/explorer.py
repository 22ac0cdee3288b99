"""The dashboard: choose a pair, write a prompt, watch."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import traitlets as t

from specviz.decoding import RULES, check_settings
from specviz.decoding.settings import AUTO
from specviz.engines import messages as m
from specviz.engines.errors import PromptError
from specviz.models import ModelNotFoundError
from specviz.pair import Generation, Pair, engine_of, is_url, load
from specviz.trace import Conversation, Event, Header, Trace, Turn, read_conversation
from specviz.trace.conversation import encodable
from specviz.trace.projection import project_answer
from specviz.widgets.feed import IDLE, Feed, ended
from specviz.widgets.model_choice import ModelChoice
from specviz.widgets.static_html import conversation_html
from specviz.widgets.turn_columns import turn_columns

PRESETS = (
    "Write a quicksort algorithm in Python. Write code only.",
    "Explain the Pythagorean theorem",
    "Plan a 1 day trip to DC",
)
BASELINE_TOKENS = 16
PLACEMENT = tuple(inspect.signature(load).parameters.keys() - {"main", "draft", "engine", "in_process"})
"""Keywords of `load` that say where models are placed."""


def explore(
    main: str | Path = "auto",
    draft: str | Path | None = "auto",
    *,
    engine: str | None = None,
    conversation: Conversation | str | Path | None = None,
    **settings: Any,
) -> Explorer:
    """Open the dashboard on a pair of models.

    Parameters
    ----------
    main, draft, engine
        As for `specviz.load`; other models can be chosen in the dashboard.
    conversation
        To go on with: one that `Explorer.save` wrote, or `Explorer.conversation`.
    **settings
        Traits of `Explorer` (`prompt`, `system`, `num_draft_tokens`, `temperature`, `max_tokens`, ...) and placement
        keywords of `load` (`n_ctx`, `n_threads`, `n_gpu_layers`, ...). `num_draft_tokens="auto"` stands for
        `auto_length=True`.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.
    EngineMissingError
        If there is no such engine, or the main model runs in another one.
    TraceError
        If a file is not a conversation.
    TypeError
        If a keyword is unknown.
    """
    return Explorer(main, draft, engine=engine, conversation=conversation, **settings)


class Explorer(ModelChoice, Feed):
    """The dashboard. Models are loaded when they are first needed; the engine runs in a process of its own.

    Traits may be read, set and observed from Python; `generate()`, `continue_()`, `follow_up()`, `regenerate()`,
    `stop()` and so on do what the buttons do. The views show the last turn of the `conversation`.
    """

    view = t.Unicode("explorer").tag(sync=True)
    name = t.Unicode(help="Of the conversation; saved with it.").tag(sync=True)
    system = t.Unicode(help="System prompt; empty: none, and the model's template may have its own.").tag(sync=True)
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
    json_schema = t.Unicode(help="Answers are JSON that follows this schema; empty: they are free.").tag(sync=True)
    measure_baseline = t.Bool(True).tag(sync=True)

    def __init__(
        self,
        main: str | Path = "auto",
        draft: str | Path | None = "auto",
        *,
        engine: str | None = None,
        conversation: Conversation | str | Path | None = None,
        **settings: Any,
    ) -> None:
        self._placement = {name: settings.pop(name) for name in PLACEMENT if name in settings}
        unknown = settings.keys() - {*self.trait_names(sync=True)}
        if unknown:
            raise TypeError(f"unknown setting {', '.join(sorted(unknown))} of an Explorer")
        if settings.get("num_draft_tokens") == AUTO:
            del settings["num_draft_tokens"]
            settings["auto_length"] = True
        self._earlier: list[tuple[Turn, dict[str, Any]]] = []
        self._asked = ""
        self._before: Conversation | None = None
        self._opened = read_conversation(conversation) if isinstance(conversation, str | Path) else conversation
        if self._opened is not None:
            settings = _traits_of(self._opened) | settings
        self._pair: Pair | None = None
        self._pair_key: tuple[str, str] | None = None
        self._placed: list[str] = []
        self._told: list[tuple[str, bool]] = []
        super().__init__(main, draft, engine=engine, **settings)
        if self._traces:
            self._observe()
        if self.problem:
            self._fail("failed", ModelNotFoundError(self.problem))

    def open(self) -> None:
        """Announce the model to the page, which then finds in it a conversation that is opened."""
        if self._opened is not None and self._opened.turns:
            self._set_conversation(self._opened)
            self._seq = self._run = 1
        super().open()

    def generate(self) -> None:
        """Answer the prompt; returns at once.

        A prompt that is not the first turn's begins another conversation; otherwise the last turn is answered anew.
        """
        turns = self.conversation.turns
        if turns and self.prompt == turns[0].user:
            self.regenerate()
        else:
            self._launch(0, self.prompt, fresh=bool(turns))

    def continue_(self) -> None:
        """Go on where the last answer ended; returns at once."""
        if self._traces:
            self._launch()
        else:
            self.generate()

    def follow_up(self, text: str) -> None:
        """Say something after the last answer; returns at once."""
        self._launch(len(self.conversation.turns), text)

    def edit(self, turn: int, text: str) -> None:
        """Say something else in a turn, from 0: its answer and all turns after it are replaced; returns at once."""
        n = len(self.conversation.turns)
        if not 0 <= turn < n:
            raise IndexError(f"there is no turn {turn}: the conversation has {n}")
        if turn == 0:
            self.prompt = text
        self._launch(turn, text)

    def regenerate(self) -> None:
        """Answer the last turn anew; returns at once."""
        turns = self.conversation.turns
        if turns:
            self._launch(len(turns) - 1, turns[-1].user)

    def new_conversation(self) -> None:
        """Put what was said aside; `undo` brings it back."""
        self._show(Conversation(system=self.system))

    def undo(self) -> None:
        """Bring back the conversation as it was before part of it was replaced; a second time, the new one."""
        before, self._before = self._before, None
        if before is not None:
            self._show(before)

    @property
    def conversation(self) -> Conversation:
        """What has been said so far."""
        with self._sending:
            turns = [turn for turn, _ in self._earlier]
            if self._asked or self._traces:
                turns.append(Turn(self._asked, tuple(self._traces)))
        return Conversation(name=self.name, system=self.system, turns=tuple(turns))

    def save(self, path: str | Path) -> Path:
        """Write the conversation, with the traces of all its answers, as JSON lines.

        `explore(conversation=path)` goes on with it, `read_conversation` reads it.
        """
        return self.conversation.save(path)

    def close(self) -> None:
        """Stop, free the models, and close the widget."""
        if hasattr(self, "_sending"):
            self.stop()
            pair, self._pair = self._pair, None
            if pair is not None:
                pair.close()
        super().close()

    def _launch(self, turn: int | None = None, text: str = "", *, fresh: bool = False) -> None:
        """Take the settings as they are now and ask a text as a turn, in the place of what was said from there on.

        Parameters
        ----------
        turn
            Its number; None: nothing is asked, the last answer goes on.
        fresh
            This begins another conversation.
        """
        key, system, text = (self.main, self.draft), self.system, encodable(text)
        given: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "num_draft_tokens": AUTO if self.auto_length else self.num_draft_tokens,
            "p_min": 0.0 if self.auto_length else self.p_min,
            "rule": self.rule,
            "seed": self.seed,
            "ignore_eos": self.ignore_eos,
            "json_schema": self.json_schema.strip(),
            "baseline_tokens": BASELINE_TOKENS if self.measure_baseline else 0,
        }
        self.launched = list(key)

        def prepare() -> None:
            check_settings(**given)
            if turn is not None:
                if not text.strip():
                    raise PromptError("the prompt is empty")
                self._cut(turn, text)
                if fresh:
                    self._on_main_thread(lambda: setattr(self, "name", ""))

        def begin() -> Generation:
            pair = self._load(key)
            if turn is None:
                return pair.stream(_continuable(self._traces[-1], pair), **given)
            turns = (*(one for one, _ in self._earlier), Turn(text))
            return pair.stream(Conversation(system=system, turns=turns).messages(), **given)

        self._start(begin, append=turn is None, prepare=prepare)

    def _cut(self, turn: int, text: str) -> None:
        """Keep the turns before a turn, and ask a text there."""
        before = self.conversation
        if turn < len(self._earlier) or (turn == len(self._earlier) and self._traces):
            self._before = before
        elif self._traces:
            live = before.turns[-1]
            self._earlier.append((live, turn_columns(live, self.reasoning_tags)))
        del self._earlier[turn:]
        self._asked = text

    def _show(self, conversation: Conversation) -> None:
        """Put a conversation in the place of the one that is shown."""
        self.stop()
        self.wait()
        with self._sending:
            if (before := self.conversation).turns:
                self._before = before
            self._set_conversation(conversation)
            self._run += 1
            self._send_snapshot()

        def follow() -> None:
            for name, value in _traits_of(conversation).items():
                self.set_trait(name, value)

        self._on_main_thread(follow)
        self._observe()

    def _set_conversation(self, conversation: Conversation) -> None:
        *earlier, live = conversation.turns or (Turn(""),)
        self._earlier = [(turn, turn_columns(turn, self.reasoning_tags)) for turn in earlier]
        self._asked, self._traces = live.user, list(live.traces)
        self._projection = project_answer(live.traces, self.reasoning_tags)
        self._projection.take()
        self._state = IDLE
        if live.traces:
            self._state = ended(live.traces)

    def _beside(self) -> dict[str, Any]:
        turns = [columns for _, columns in self._earlier]
        asked = {"run_info": {"prompt": self._asked}} if self._asked else {}
        return {"conversation": {"turns": turns, "can_undo": self._before is not None}} | asked

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
            engine = None if is_url(main) else engine_of(self._local[main])
            self._pair = load(main, draft, engine=engine, **self._placement)
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
            case "follow_up":
                self.follow_up(str(content["text"]))
            case "edit" if 0 <= int(content["turn"]) < len(self.conversation.turns):
                self.edit(int(content["turn"]), str(content["text"]))
            case "regenerate":
                self.regenerate()
            case "new":
                self.new_conversation()
            case "undo":
                self.undo()
            case "save":
                name = f"{_stem(self.name)}.jsonl"
                self._send_file(content.get("id"), lambda: (name, self.conversation.encode().decode()))
            case _:
                super()._on_message(widget, content, buffers)

    def _page(self) -> tuple[str, str]:
        from specviz.widgets.page import conversation_page, page_name

        conversation = self.conversation
        html = conversation_page(conversation, reasoning_tags=self.reasoning_tags, **self._shown())
        if conversation.name:
            return f"{_stem(conversation.name)}.html", html
        return page_name(conversation.turns[0].traces[0].header), html

    def _observe(self) -> None:
        super()._observe()
        if self._record_shown and not self._state["can_stop"]:
            html = conversation_html(self.conversation, self.show_rejected, self.reasoning_tags)
            self._on_main_thread(lambda: self._update_record(html))

    def _take(self, generation: Generation, event: Event | m.Phase) -> None:
        super()._take(generation, event)
        if isinstance(event, Header):
            self._asked = event.prompt
            roles = {"Main model": event.main, "Draft": event.draft}
            self._placed = [f"{role}: {one.placement}" for role, one in roles.items() if one and one.placement]
            told = None if self._pair is None else self._pair.capabilities
            self._told = [] if told is None else told.rows()
            self._ask("more")

    def _content(self, due: set[str]) -> dict[str, Any]:
        content = super()._content(due)
        return content | {"placement": self._placed, "told": self._told} if "more" in due else content

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(conversation_html(self.conversation, self.show_rejected, self.reasoning_tags))


def _traits_of(conversation: Conversation) -> dict[str, str]:
    """Return the traits of an Explorer that follow a conversation."""
    first = {"prompt": conversation.turns[0].user} if conversation.turns else {}
    return {"name": conversation.name, "system": conversation.system} | first


def _continuable(trace: Trace, pair: Pair) -> Trace:
    """Return a trace that a pair can go on with, token by token."""
    told, now = trace.header.main, pair.main
    if told.n_vocab and now.n_vocab and told.n_vocab != now.n_vocab:
        raise PromptError(
            f"{now.name} cannot go on with an answer of {told.name}, whose vocabulary is another; regenerate it instead"
        )
    return trace


def _stem(name: str) -> str:
    """Return what the file of a conversation may be called anywhere, without its ending."""
    return re.sub(r"[^\w -]+", "", name)[:80].strip() or "conversation"

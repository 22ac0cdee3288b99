"""Choosing a main model and a draft: what `ModelPicker` and `Explorer` have in common.

The library works in its own thread, and what the page is told of it is put together in another (`_tell`); the kernel's
main thread only sets traits.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import traitlets as t

from specviz.engines.errors import EngineError
from specviz.engines.probe import probe
from specviz.engines.registry import ENGINES
from specviz.models import NGRAM_LOOKUP, LocalModel, ModelNotFoundError, demo_drafts, demo_mains
from specviz.models.card import ModelCard
from specviz.models.compatibility import compare
from specviz.models.convert import FILE_TYPE
from specviz.models.defaults import NGRAM, NONE, default_draft
from specviz.models.downloads import SUGGESTIONS
from specviz.models.folders import Found, find_beside
from specviz.models.index import Library, Progress, shared_library
from specviz.pair import engine_name, engine_of, find_draft, find_main, in_engine, is_url, set_draft
from specviz.widgets.bundle import BundleWidget
from specviz.widgets.model_columns import model_columns, offer_columns, progress_columns, unusable
from specviz.widgets.pair_download import PairDownload

TELL_SECONDS = 0.1
LIST_SECONDS = 1.0
"""How often the list follows while models are indexed."""
RESTING = ("new", "ready", "failed")
"""States of the library in which nothing is under way."""
MADE_ON_FIRST_USE = "made on first use"
SERVERS_OWN = "the server's own draft"


class ModelChoice(BundleWidget):
    """A widget with a chosen main model and draft.

    Parameters
    ----------
    main, draft
        As for `specviz.load`. If there is no demo model for `"auto"`, nothing is chosen, and `problem` says why. Of a
        server, the draft is the id of one, if it can be chosen with a request.
    engine
        As for `specviz.load`; the demo's models are offered as this engine takes them, too.
    """

    main = t.Unicode(help="Path of the main model (if made on first use, its name), or a server's URL.").tag(sync=True)
    draft = t.Unicode(NONE, help='Path of the draft, "ngram" or "none"; of a server, the id of one.').tag(sync=True)
    chosen = t.Dict(help="Names of both; the draft's is empty where there is none.").tag(sync=True)

    def __init__(
        self,
        main: str | Path = "auto",
        draft: str | Path | None = "auto",
        *,
        engine: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.problem = ""
        self._engine = None if engine is None else engine_name(engine)
        self._local: dict[str, LocalModel] = {}
        self._engines: dict[str, dict[str, Any]] = {}
        self._download: PairDownload | None = None
        self._library = shared_library()
        self._lock = threading.Lock()
        self._due: set[str] = set()
        self._listed: set[str] | None = None
        self._teller: threading.Thread | None = None
        try:
            main_key, draft_key = self._keys(main, draft)
        except ModelNotFoundError as error:
            if str(main) != "auto":
                raise
            main_key, draft_key, self.problem = "", NONE, str(error)
        super().__init__(main=main_key, draft=draft_key, **kwargs)
        self.chosen = self._names()
        self.observe(self._follow_main, "main")
        self.observe(self._follow_draft, "draft")

    def _keys(self, main: str | Path, draft: str | Path | None) -> tuple[str, str]:
        if is_url(main):
            return str(main), NONE if draft in (None, "", "auto") else str(draft)
        model = find_main(main, self._engine)
        return self._remember(model), self._remember(find_draft(draft, model))

    @t.validate("main")  # type: ignore[untyped-decorator]
    def _valid_main(self, proposal: Any) -> str:
        """Turn whatever `load` takes into a key."""
        value = str(proposal.value)
        known = value in self._local or not value or is_url(value)
        return value if known else self._remember(find_main(value))

    @t.validate("draft")  # type: ignore[untyped-decorator]
    def _valid_draft(self, proposal: Any) -> str:
        value = str(proposal.value)
        main = self._local.get(self.main)
        if value in self._local or value in (NONE, NGRAM) or main is None:
            return value
        return self._remember(find_draft(value, main))

    def _remember(self, model: LocalModel | None) -> str:
        """Return the key of a model that was found."""
        if model is None or model is NGRAM_LOOKUP:
            return NONE if model is None else NGRAM
        key = str(model.path) if model.exists else model.name
        self._local.setdefault(key, model)
        if model.exists:
            _given(self._library).paths.add(key)
        return key

    def _follow_main(self, _: Any) -> None:
        """Take the draft that is remembered, else keep the one that was chosen if it fits, else the demo's."""
        main = self._local.get(self.main)
        if is_url(self.main):
            self.draft = NONE
        elif main is not None:
            auto = find_draft("auto", main)
            demo = in_engine(demo_drafts(), engine_of(main))
            said = default_draft(main.path) is not None or auto not in (None, *demo)
            if said or self.draft == NONE or not self._fits(main):
                self.draft = self._remember(auto)
        self.chosen = self._names()
        self._look_if_unknown(self.main)
        self._ask("offers")

    def _follow_draft(self, _: Any) -> None:
        self.chosen = self._names()
        self._look_if_unknown(self.draft)

    def _look_if_unknown(self, key: str) -> None:
        """Have the library look at a model that was given by path."""
        if self._listed is not None and key in self._local and key not in self._listed:
            self._library.refresh()
            self._ask("models")

    def _fits(self, main: LocalModel) -> bool:
        """Whether the chosen draft can draft for another main model."""
        draft = self._local.get(self.draft)
        try:
            return self.draft == NGRAM if draft is None else compare(main.readable, draft.readable).compatible
        except FileNotFoundError:
            return False

    def _names(self) -> dict[str, str]:
        if is_url(self.main):
            return {"main": self.main, "draft": SERVERS_OWN if self.draft == NONE else self.draft}
        main, draft = self._local.get(self.main), self._local.get(self.draft)
        no_model = NGRAM_LOOKUP.label if self.draft == NGRAM else ""
        return {"main": main.name if main else "", "draft": draft.name if draft else no_model}

    def _on_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        match content.get("type"):
            case "models" | "refresh":
                self._library.refresh()
                self._ask("models", "offers", "more")
            case "set_default":
                self._in_background(lambda: self._set_default(self.main, str(content.get("draft") or "auto")))
            case "download" if self._download is None or not self._download.running:
                self._start_download(int(content["suggestion"]))
            case "cancel_download" if self._download is not None:
                self._download.cancel()
            case "probe":
                names = [content["engine"]] if content.get("engine") in ENGINES else list(ENGINES)
                self._in_background(lambda: self._probe(names))
            case _:
                super()._on_message(widget, content, buffers)

    def _set_default(self, main: str, draft: str) -> None:
        try:
            set_draft(main, draft, remember=True)
        except (EngineError, OSError) as error:
            self._send_content(problems=[f"the default cannot be remembered: {error}"])
        self._ask("offers")

    def _start_download(self, suggestion: int) -> None:
        def done(main: Path, draft: Path) -> None:
            def choose() -> None:
                self.main = str(main)
                self.draft = str(draft)

            self._library.refresh()
            self._ask("models", "offers")
            self._on_main_thread(choose)

        self._download = PairDownload(suggestion, lambda: self._ask("more"), done)
        self._download.start()
        self._ask("more")

    def _probe(self, names: list[str]) -> None:
        blank = {"version": "", "backends": [], "can": [], "cannot": [], "reason": ""}
        for name in names:
            before = self._engines.get(name, blank | {"name": name, "state": ""})
            self._engines[name] = before | {"checking": True}
        self._ask("more")
        for name in names:
            self._engines[name] = msgspec.to_builtins(probe(name)) | {"checking": False}
            self._ask("more")

    def _ask(self, *parts: str) -> None:
        """Have the page told `models`, `offers` or `more`; returns at once."""
        with self._lock:
            self._due.update(parts)
            if self._teller is None:
                self._teller = self._in_background(self._tell)

    def _tell(self) -> None:
        """Tell the page what is due, and how far the search is, until it has ended and nothing is due."""
        told: Progress | None = None
        listed: Progress | None = None
        listed_at = -LIST_SECONDS
        while True:
            progress = self._library.progress
            settled = self._library.wait(0) and progress.state in RESTING
            with self._lock:
                due, self._due = self._due, set()
                if settled and progress == listed and not due:
                    self._teller = None
                    return
            if progress != listed and (settled or time.monotonic() - listed_at > LIST_SECONDS):
                due |= {"models", "offers"}
            if "models" in due:
                listed, listed_at = progress, time.monotonic()
            if due or progress != told:
                told = progress
                try:
                    self._send_content(progress=progress_columns(progress), **self._content(due))
                except Exception as error:
                    self._send_content(problems=[f"the models cannot be listed: {error}"])
            time.sleep(TELL_SECONDS)

    def _content(self, due: set[str]) -> dict[str, Any]:
        """Put together what is due."""
        content: dict[str, Any] = {}
        if due & {"models", "offers"}:
            cards, key = self._cards()
            if "models" in due:
                notes = {str(model.path): MADE_ON_FIRST_USE for model in self._made_on_first_use()}
                content["models"] = model_columns(cards, key, notes)
                content["problems"] = [f"{source}: {why}" for source, why in self._library.problems.items()]
            content["offers"] = self._offers(self.main, cards, key)
        if "more" in due:
            content |= {
                "suggestions": [{"label": one.label, "size_bytes": one.size_bytes or 0} for one in SUGGESTIONS],
                "download": None if self._download is None else self._download.columns(),
            }
            if self._engines:
                content["engines"] = [self._engines[name] for name in ENGINES if name in self._engines]
        return content

    def _cards(self) -> tuple[list[ModelCard], Callable[[str], str]]:
        """Return all models, those that are made on first use too, and what gives the key of a path."""
        cards = list(self._library.cards)
        keys: dict[str, str] = {}
        for model in self._made_on_first_use():
            key = self._remember(model)
            of = next((card for card in cards if card.path == str(model.source)), None)
            if of is not None:
                keys[str(model.path)] = key
                cards.append(_copy(of, model))
        listed = {card.path for card in cards}
        other_spelling = {
            os.path.realpath(self._local[key].path): key
            for key in (self.main, self.draft)
            if key in self._local and key not in listed
        }
        if other_spelling:
            keys |= {path: spelled for path in listed if (spelled := other_spelling.get(os.path.realpath(path)))}
        for card in cards:
            if not unusable(card):
                self._local.setdefault(keys.get(card.path, card.path), LocalModel(card.name, Path(card.path)))
        self._listed = {keys.get(path, path) for path in listed}
        return cards, lambda path: keys.get(path, path)

    def _made_on_first_use(self) -> list[LocalModel]:
        with contextlib.suppress(ModelNotFoundError):
            mains = demo_mains()
            models = dict.fromkeys([*mains, *in_engine([*mains, *demo_drafts()], self._engine)])
            return [model for model in models if not model.exists]
        return []

    def _mains_to_be_made(self) -> set[str]:
        """Return paths of what `load` does not know as a draft until it has been made."""
        drafts = in_engine(demo_drafts(), self._engine)
        return {str(model.path) for model in self._made_on_first_use() if model not in drafts}

    def _offers(self, main: str, cards: list[ModelCard], key: Callable[[str], str]) -> dict[str, Any] | None:
        card = next((card for card in cards if key(card.path) == main), None)
        if card is None:
            return None
        no_draft = self._mains_to_be_made()
        drafts = [one for one in cards if one.usable and one.path not in no_draft]
        offers = self._library.offers(card, drafts=drafts)
        remembered = default_draft(card.path) or ""
        others = [card for card in cards if not card.usable]
        return offer_columns(main, offers, others, key, key(remembered))

    def _send_content(self, **content: Any) -> None:
        self.send({"type": "picker", **content})

    def close(self) -> None:
        """Stop a download that is under way, and close the widget."""
        if (download := getattr(self, "_download", None)) is not None:
            download.cancel()
        super().close()

    @staticmethod
    def _in_background(action: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=action, name="specviz-models", daemon=True)
        thread.start()
        return thread


class GivenSource:
    """Models that were given by path; those that another source keeps are listed there."""

    name = "given"

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def find(self) -> Iterator[Found]:
        """Yield those that are still there."""
        for path in sorted(self.paths):
            with contextlib.suppress(FileNotFoundError):
                yield msgspec.structs.replace(find_beside(path), source=self.name)


def _given(library: Library) -> GivenSource:
    for source in library.sources:
        if isinstance(source, GivenSource):
            return source
    library.sources.append(given := GivenSource())
    return given


def _copy(card: ModelCard, model: LocalModel) -> ModelCard:
    """Return the card of a model that is still to be made, from that of its source."""
    return msgspec.structs.replace(
        card,
        name=model.name,
        path=str(model.path),
        format="mlx" if model.file_type.startswith(FILE_TYPE) else card.format,
        quantization=model.file_type,
        bits_per_weight=0.0,
        size_bytes=0,
    )

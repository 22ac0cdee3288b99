"""The models that a request may name, and the draft that goes with one. No text of a request is ever a path."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from specviz.models import NGRAM_LOOKUP, LocalModel, ModelNotFoundError, demo_mains
from specviz.models.card import ModelCard
from specviz.models.compatibility import Compatibility, compare
from specviz.models.defaults import NGRAM, NONE
from specviz.models.index import Library, shared_library
from specviz.models.library import MAX_LISTED, printable
from specviz.pair import find_draft
from specviz.server.errors import ApiError

FRESH_SECONDS = 2.0
"""For which a search for models counts as done."""
SEARCH_SECONDS = 60.0
"""That a request waits for one."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that clients can name."""

    id: str
    model: LocalModel
    card: ModelCard | None = None
    """Of one that is made on first use: mostly that of its source. None: it was given by a path."""

    @property
    def size_bytes(self) -> int:
        """Of its files, or of the file it is made from."""
        if self.card is not None:
            return self.card.size_bytes
        with contextlib.suppress(OSError):
            return self.model.readable.stat().st_size
        return 0

    @property
    def format(self) -> str:
        """`gguf` or `mlx`."""
        return self.card.format if self.card is not None else "mlx" if self.model.path.is_dir() else "gguf"


@dataclass(frozen=True, slots=True)
class Choice:
    """The pair that a request is answered by."""

    main: Offered
    draft: Offered | None = None
    ngram: bool = False

    @property
    def draft_id(self) -> str | None:
        """What `stats.draft_model` says; None: no drafting."""
        return NGRAM if self.ngram else None if self.draft is None else self.draft.id


class Catalogue:
    """Models by their ids: a model's name, with `:2` and so on where several share it.

    May be called from any thread; what searches blocks.

    Parameters
    ----------
    library
        Where models are found; None: the library of this process.
    own
        Models that whoever runs the server named, which need not be in the library.
    """

    def __init__(self, library: Library | None = None, own: Iterable[LocalModel] = ()) -> None:
        self.default: Offered | None = None
        self._library = library or shared_library()
        self._own = tuple(own)
        self._drafts: dict[str, LocalModel | None] = {}
        self._verdicts: dict[tuple[Path, Path], Compatibility] = {}
        self._searched = -FRESH_SECONDS
        self._lock = threading.Lock()

    def search(self, *, wait: bool = True) -> None:
        """Look what models there are, unless that was done a moment ago; without `wait` in the background."""
        with self._lock:
            fresh = time.monotonic() - self._searched < FRESH_SECONDS
            if not fresh:
                self._library.refresh()
            if wait:
                self._library.wait(SEARCH_SECONDS)
            if not fresh:
                self._searched = time.monotonic()

    def known(self) -> list[Offered]:
        """Return all models that were found so far, and begin to look for more; only the first time that is awaited."""
        self.search(wait=self._library.progress.state in ("new", "searching"))
        return list(self.offers.values())

    @property
    def offers(self) -> dict[str, Offered]:
        """All models by id, as far as they are known."""
        cards = {card.path: card for card in self._library.models}
        made_later: list[LocalModel] = []
        with contextlib.suppress(ModelNotFoundError):
            made_later = [model for model in demo_mains() if not model.exists]
        there = [LocalModel(card.name, Path(card.path)) for card in cards.values()]
        known = [*there, *(model for model in (*self._own, *made_later) if str(model.path) not in cards)]
        offers: dict[str, Offered] = {}
        for model in known:
            name = printable(model.name)
            id, n = name, 1
            while id in offers:
                n += 1
                id = f"{name}:{n}"
            card = cards.get(str(model.path)) or cards.get(str(model.source))
            if card is not None and model.source is not None:
                card = structs.replace(card, quantization=model.file_type)
            offers[id] = Offered(id, model, card)
        return offers

    def find(self, id: str, param: str | None = "model") -> Offered:
        """Return the model with an id, in any case of letters.

        Raises
        ------
        ApiError
            404, with the ids that there are.
        """
        for search in (False, True):
            if search:
                self.search()
            offers = self.offers
            for offered in offers.values():
                if offered.id.lower() == id.lower():
                    return offered
        listed = ", ".join(list(offers)[:MAX_LISTED])
        more = f" and {len(offers) - MAX_LISTED:,} more" if len(offers) > MAX_LISTED else ""
        raise ApiError(
            404,
            f"there is no model {printable(id)[:200]!r}; there are: {listed}{more}",
            param=param,
            code="model_not_found",
        )

    def offered(self, model: LocalModel) -> Offered:
        """Return how a model that was found in another way is offered."""
        for offered in self.offers.values():
            if offered.model.path == model.path:
                return offered
        return Offered(printable(model.name), model)

    def drafts_for(self, main: Offered) -> list[Offered]:
        """Return the models that can draft for a main model, the most promising first."""
        if main.card is None:
            return []
        ranked = self._library.offers(main.card)
        return [self.offered(LocalModel(one.card.name, Path(one.card.path))) for one in ranked if one.fit]

    def forget_draft(self, main: LocalModel) -> None:
        """Let the user's own default count again (`specviz.set_draft`)."""
        self._drafts.pop(os.path.realpath(main.path), None)

    def set_draft(self, main: LocalModel, draft: LocalModel | None) -> None:
        """Say which draft goes with a main model while this server runs, where a request names none."""
        self._drafts[os.path.realpath(main.path)] = draft

    def choose(self, main: str | None, draft: str | None, *, draft_given: bool) -> Choice:
        """Return the pair for a request.

        Parameters
        ----------
        main
            An id; None: the server's default model.
        draft
            An id, `"ngram"`, or `None`, `""` or `"none"`: no drafting.
        draft_given
            Whether the request says anything about it; if not, the server's draft for the main model counts, else the
            user's default for it (`specviz.set_draft`).

        Raises
        ------
        ApiError
            404: there is no such model. 400: the draft does not fit, with the library's reason.
        """
        if main is None and self.default is None:
            raise ApiError(400, "the request names no model, and the server has no default one", param="model")
        chosen = self.default if main is None else self.find(main)
        assert chosen is not None
        if not draft_given:
            found = self._default_draft(chosen.model)
            if found is None or found is NGRAM_LOOKUP:
                return Choice(chosen, ngram=found is NGRAM_LOOKUP)
            return Choice(chosen, self.offered(found))
        word = (draft or NONE).lower()
        if word in (NONE, NGRAM):
            return Choice(chosen, ngram=word == NGRAM)
        assert draft is not None
        offered = self.find(draft, "draft_model")
        verdict = self._verdict(chosen, offered)
        if not verdict:
            message = f"{offered.id} cannot draft for {chosen.id}: {'; '.join(verdict.reasons)}"
            raise ApiError(400, message, param="draft_model", code="incompatible_draft")
        return Choice(chosen, offered)

    def _default_draft(self, main: LocalModel) -> LocalModel | None:
        key = os.path.realpath(main.path)
        if key in self._drafts:
            return self._drafts[key]
        return find_draft("auto", main)

    def _verdict(self, main: Offered, draft: Offered) -> Compatibility:
        paths = (main.model.readable, draft.model.readable)
        verdict = self._verdicts.get(paths)
        if verdict is None:
            try:
                verdict = compare(*paths)
            except OSError:
                gone = f"{main.id} or {draft.id} cannot be read any more"
                raise ApiError(404, gone, param="draft_model", code="model_not_found") from None
            self._verdicts[paths] = verdict
        return verdict

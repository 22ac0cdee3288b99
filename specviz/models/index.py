"""The library: all models on this machine, indexed in the background and remembered between sessions."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
from msgspec import Struct

from specviz.models.advice import Offer, rank
from specviz.models.card import ModelCard
from specviz.models.compatibility import Compatibility, VocabularyDifference, compare_cards, vocabulary_difference
from specviz.models.defaults import default_draft
from specviz.models.demo import demo_recommendation
from specviz.models.folders import Found
from specviz.models.indexer import Card, Differ, Difference, IndexerError, IndexerProcess, Read
from specviz.models.library import LocalModel
from specviz.models.reading import damaged_card, read_path
from specviz.models.sources import Source, default_sources, discover
from specviz.models.store import Entry, Index, Signature, Store, signature
from specviz.models.vocabulary import Vocabulary

FILE_SECONDS = 10.0
SAVE_SECONDS = 2.0


class Progress(Struct, frozen=True):
    """How far indexing is."""

    state: str
    """`new`, `searching`, `indexing`, `comparing`, `ready` or `failed`."""
    k: int = 0
    n: int = 0
    """Models indexed, or vocabularies compared, of how many."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.k:,} of {self.n:,})" if self.state in ("indexing", "comparing") else self.state


class Library:
    """The models on this machine, and which of them can draft for which.

    `refresh` finds them in the background; what earlier sessions read is not read again. All methods may be called from
    any thread.

    Parameters
    ----------
    folders
        To be searched beside the usual places.
    sources
        Where to search; None: the usual places (`default_sources`).
    cache
        Folder for what is remembered; None: specviz's own.
    file_seconds
        That reading one model may take; one that takes longer is listed as damaged.

    Examples
    --------
    >>> library = Library()
    >>> library.refresh()
    >>> library.wait()
    >>> [offer.card.name for offer in library.offers(library.models[0]) if offer.fit]
    """

    def __init__(
        self,
        folders: Iterable[str | Path] = (),
        *,
        sources: Sequence[Source] | None = None,
        cache: str | Path | None = None,
        file_seconds: float = FILE_SECONDS,
    ) -> None:
        self.sources = list(sources) if sources is not None else default_sources(folders)
        self.store = Store(cache)
        self.file_seconds = file_seconds
        self.progress = Progress("new")
        self.problems: dict[str, str] = {}
        self._index = self.store.load()
        self._cards: dict[str, ModelCard] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False
        self._closing = False

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """All that was found, by name; also what is damaged or is no model."""
        with self._lock:
            return tuple(sorted(self._cards.values(), key=lambda card: (card.name.lower(), card.path)))

    @property
    def models(self) -> tuple[ModelCard, ...]:
        """Those that can generate text."""
        return tuple(card for card in self.cards if card.usable)

    def refresh(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Search all sources and read what is new or changed, in the background; returns at once.

        Called while that is under way, it is done once more afterwards. `on_progress` is called on the background
        thread.
        """
        with self._lock:
            if self._thread is not None:
                self._again = True
                return
            self._thread = threading.Thread(target=self._run, args=(on_progress,), name="specviz-library", daemon=True)
            self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until indexing has ended; return whether it has, within `timeout` seconds."""
        with self._lock:  # until it is started
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def close(self) -> None:
        """Stop indexing; what was read is kept."""
        self._closing = True
        self.wait()

    def compare(self, main: ModelCard, draft: ModelCard) -> Compatibility:
        """Say whether one model can draft for another.

        From memory where both vocabularies have been compared, else in some 10 ms.
        """
        return compare_cards(main, draft, lambda: self._difference(main, draft))

    def offers(
        self, main: ModelCard, *, drafts: Sequence[ModelCard] | None = None, gpu_bytes: int | None = None
    ) -> list[Offer]:
        """Return every other model as a draft of `main`: those that fit ranked, the best first, then the others.

        Parameters
        ----------
        main
            The main model.
        drafts
            The models to choose from; None: all.
        gpu_bytes
            Memory of the GPU that the models would run on.
        """
        default = default_draft(main.path)
        return rank(
            main,
            [
                (card, self._said(main, card))
                for card in (self.models if drafts is None else drafts)
                if card.path != main.path
            ],
            made_for=demo_recommendation(main.path),
            default=None if default is None else os.path.realpath(default),
            memory_bytes=psutil.virtual_memory().available,
            gpu_bytes=gpu_bytes,
        )

    def _said(self, main: ModelCard, draft: ModelCard) -> Compatibility:
        """Compare two models, of which one may have changed since it was indexed."""
        try:
            return self.compare(main, draft)
        except OSError as error:
            return Compatibility(
                main=main.name, draft=draft.name, compatible=False, strictness="none", reasons=(str(error),)
            )

    def _difference(self, main: ModelCard, draft: ModelCard) -> VocabularyDifference:
        assert main.tokenizer is not None and draft.tokenizer is not None
        first, second = sorted((main, draft), key=lambda card: card.tokenizer.digest if card.tokenizer else "")
        pair = _pair(main.tokenizer.digest, draft.tokenizer.digest)
        known = self._index.differences.get(pair)
        if known is None:
            known = vocabulary_difference(self._vocabulary(first), self._vocabulary(second))
            with self._lock:
                self._index.differences[pair] = known
        return known if first is main else known.swapped()

    def _vocabulary(self, card: ModelCard) -> Vocabulary:
        """Return a model's vocabulary from the store, or from its file."""
        assert card.tokenizer is not None
        vocabulary = self.store.vocabulary(card.tokenizer.digest)
        if vocabulary is None:
            _, vocabulary = read_path(card.path)
        if vocabulary is None or vocabulary.digest != card.tokenizer.digest:
            raise FileNotFoundError(f"{card.path} has changed since it was indexed: refresh the library")
        return vocabulary

    def _run(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Index until nobody asks again."""

        def report(progress: Progress) -> None:
            self.progress = progress
            if on_progress is not None:
                on_progress(progress)

        indexer = IndexerProcess(self.store, self.file_seconds)
        try:
            while True:
                self._again = False
                report(Progress("searching"))
                found, self.problems = discover(self.sources)
                self._read(found, indexer, report)
                self._compare_all(indexer, report)
                self._save()
                with self._lock:
                    if not self._again or self._closing:
                        self._thread = None
                        break
            report(Progress("ready", len(self._cards), len(self._cards)))
        except Exception as error:
            with self._lock:
                self._thread = None
            report(Progress("failed", detail=str(error)))
            raise
        finally:
            indexer.close()

    def _read(self, found: list[Found], indexer: IndexerProcess, report: Callable[[Progress], None]) -> None:
        """Read what is new or has changed; a model that could not be read in time is tried again the next time."""
        waiting: list[tuple[Found, Signature | None]] = []
        cards = {}
        for model in found:
            state = signature(model.files)
            entry = self._index.entries.get(model.path)
            if entry is not None and (entry.found, entry.signature) == (model, state) and self._kept(entry.card):
                cards[model.path] = entry.card
            else:
                waiting.append((model, state))
        with self._lock:
            self._cards = cards
        saved = time.monotonic()
        for k, (model, state) in enumerate(waiting):
            if self._closing:
                return
            report(Progress("indexing", len(found) - len(waiting) + k, len(found), model.name))
            try:
                reply = indexer.ask(Read(model))
                assert isinstance(reply, Card)
                card = reply.card
                entry = None if state is None else Entry(model, state, card)
            except IndexerError as error:
                card, entry = damaged_card(model, str(error)), None
            with self._lock:
                self._cards[model.path] = card
                if entry is not None:
                    self._index.entries[model.path] = entry
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()

    def _kept(self, card: ModelCard) -> bool:
        """Whether the vocabulary of a remembered card is still there."""
        return card.tokenizer is None or not card.tokenizer.digest or self.store.has_vocabulary(card.tokenizer.digest)

    def _compare_all(self, indexer: IndexerProcess, report: Callable[[Progress], None]) -> None:
        """Compare each distinct vocabulary with each other one, once."""
        digests = {card.tokenizer.digest for card in self.cards if card.tokenizer is not None} - {""}
        pairs = [
            pair for pair in itertools.combinations(sorted(digests), 2) if _pair(*pair) not in self._index.differences
        ]
        for k, pair in enumerate(pairs):
            if self._closing:
                return
            if k % 100 == 0:
                report(Progress("comparing", k, len(pairs)))
            try:
                reply = indexer.ask(Differ(*pair))
            except IndexerError:
                continue
            assert isinstance(reply, Difference)
            if reply.difference is not None:
                with self._lock:
                    self._index.differences[_pair(*pair)] = reply.difference

    def _save(self) -> None:
        with self._lock:
            index = Index(entries=dict(self._index.entries), differences=dict(self._index.differences))
        self.store.save(index)


_shared: Library | None = None
_shared_lock = threading.Lock()


def shared_library() -> Library:
    """Return the library of this process, which all that list models here share; `refresh` it to see what is new."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Library()
        return _shared


def local_models() -> list[LocalModel]:
    """Return all models on this machine that can generate text, after looking what is new; waits for that.

    Raises
    ------
    RuntimeError
        If it cannot be found out.
    """
    library = shared_library()
    library.refresh()
    library.wait()
    if library.progress.state == "failed":
        raise RuntimeError(f"the models cannot be listed: {library.progress.detail}")
    return [LocalModel(card.name, Path(card.path)) for card in library.models]


def _pair(digest: str, other: str) -> str:
    """Return the key of a pair of vocabularies, whichever comes first."""
    return " ".join(sorted((digest, other)))

"""Pairs that are loaded when a request wants them, kept while they are used, and freed for others.

All methods but `ids` are called on one thread, the worker's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specviz.engines.client import shared_client
from specviz.models import LocalModel
from specviz.pair import Pair, default_threads, load, make
from specviz.server.catalogue import Choice, Offered
from specviz.server.errors import ApiError


@dataclass(slots=True)
class _Loaded:
    choice: Choice
    pair: Pair
    ttl: float
    used: float

    @property
    def paths(self) -> tuple[Path, ...]:
        return _paths(self.choice)

    @property
    def bytes(self) -> dict[Path, int]:
        """What each model takes where it is: weights, cache and buffers."""
        taken: dict[Path, int] = {}
        for offered, info in ((self.choice.main, self.pair.main), (self.choice.draft, self.pair.draft)):
            if offered is None or info is None:
                continue
            placed = info.placement
            size = offered.size_bytes if placed is None else placed.total_bytes
            taken[offered.model.path] = taken.get(offered.model.path, 0) + size
        return taken


def _paths(choice: Choice) -> tuple[Path, ...]:
    return tuple(one.model.path for one in (choice.main, choice.draft) if one is not None)


class LoadedPairs:
    """The pairs that are in memory.

    Parameters
    ----------
    ttl
        Seconds after which a pair that nobody uses is freed.
    memory_bytes
        What all models together may take; the pair that was not used for the longest time makes room.
    options
        How models are placed: keywords of `specviz.load`.
    """

    def __init__(
        self, ttl: float, memory_bytes: int, options: dict[str, Any], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.ttl, self.memory_bytes, self.options = ttl, memory_bytes, options
        self._now = now
        self._loaded: list[_Loaded] = []

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the models that are in memory."""
        choices = [one.choice for one in list(self._loaded)]
        offers = [one for choice in choices for one in (choice.main, choice.draft) if one is not None]
        return tuple(dict.fromkeys(one.id for one in offers))

    def context_of(self, offered: Offered) -> int | None:
        """Return how many tokens the context of a loaded main model holds; None: it is not loaded as one."""
        for one in list(self._loaded):
            if one.choice.main.model.path == offered.model.path:
                return one.pair.main.n_ctx
        return None

    def pair(self, choice: Choice, ttl: float | None = None) -> Pair:
        """Return the pair of a choice, loaded if it is not.

        Raises
        ------
        ApiError
            400: it does not fit into the memory that the server may use.
        EngineError
            If it cannot be loaded.
        """
        found = self._find(choice)
        if found is None:
            self._make_room(choice)
            for offered in (choice.main, choice.draft):
                if offered is not None:
                    _make(offered.model, self.options)
            draft = None if choice.draft is None else choice.draft.model.path
            found = _Loaded(choice, load(choice.main.model.path, draft, **self.options), self.ttl, self._now())
            self._loaded.append(found)
            self._evict(lambda: self._total() > self.memory_bytes, keep=found)
        if ttl is not None:
            found.ttl = ttl
        found.used = self._now()
        return found.pair

    def used(self, pair: Pair) -> None:
        """Note that a pair was in use until now."""
        for one in self._loaded:
            if one.pair is pair:
                one.used = self._now()

    def free_idle(self) -> float | None:
        """Free what was idle for its time to live; return the seconds until more may be, None: nothing is left."""
        for one in list(self._loaded):
            if self._now() - one.used >= one.ttl:
                self._free(one)
        return min((one.used + one.ttl - self._now() for one in self._loaded), default=None)

    def close(self) -> None:
        """Free all pairs."""
        for one in list(self._loaded):
            self._free(one)

    def _find(self, choice: Choice) -> _Loaded | None:
        """A choice without a draft model is served by any pair with its main model."""
        for one in reversed(self._loaded):
            same_draft = choice.draft is None or (
                one.choice.draft is not None and one.choice.draft.model.path == choice.draft.model.path
            )
            if one.choice.main.model.path == choice.main.model.path and same_draft:
                return one
        return None

    def _total(self) -> int:
        taken: dict[Path, int] = {}
        for one in self._loaded:
            taken |= one.bytes
        return sum(taken.values())

    def _make_room(self, choice: Choice) -> None:
        def missing() -> int:
            there = {path for one in self._loaded for path in one.paths}
            offers = {one.model.path: one for one in (choice.main, choice.draft) if one is not None}
            return sum(offered.size_bytes for path, offered in offers.items() if path not in there)

        self._evict(lambda: self._total() + missing() > self.memory_bytes)
        if missing() > self.memory_bytes:
            what = choice.main.id + ("" if choice.draft is None else f" with {choice.draft.id}")
            raise ApiError(
                400,
                f"{what} takes {missing() / 1e6:,.0f} MB, but the server may use {self.memory_bytes / 1e6:,.0f} MB",
                param="model",
                code="insufficient_memory",
            )

    def _evict(self, too_much: Callable[[], bool], keep: _Loaded | None = None) -> None:
        while too_much():
            others = [one for one in self._loaded if one is not keep]
            if not others:
                return
            self._free(min(others, key=lambda one: one.used))

    def _free(self, one: _Loaded) -> None:
        self._loaded.remove(one)
        one.pair.close()


def _make(model: LocalModel, options: dict[str, Any]) -> None:
    """Make a copy that is made on first use."""
    if not model.exists and model.source is not None:
        make(model, shared_client(), "llama.cpp", options.get("n_threads") or default_threads())

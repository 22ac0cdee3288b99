"""Real runs over a grid of pairs, prompts and settings: resumable, on one machine or several."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import track

from specviz.engines.errors import EngineError
from specviz.lab.prompts import Prompts, prompts_of
from specviz.lab.report import Report, Run
from specviz.models import ModelNotFoundError, demo_drafts
from specviz.pair import Pair, load
from specviz.trace import Trace

MAX_TOKENS = 128
GRID: Mapping[str, Sequence[Any]] = {"num_draft_tokens": (2, 4, 8)}
PairNames = tuple[str | Path, str | Path]


class Cell(Struct, frozen=True, kw_only=True):
    """One thing to be measured: a pair with a setting on a prompt."""

    main: str
    draft: str
    prompt: str | tuple[dict[str, str], ...]
    category: str = ""
    settings: dict[str, Any]
    """Of `Pair.generate`."""
    placement: dict[str, Any] = {}
    """Of `specviz.load`."""
    repeats: int = 1

    @property
    def key(self) -> str:
        """The same for the same cell, whoever makes it and when."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


def sweep(
    pairs: Iterable[PairNames] | None = None,
    prompts: Prompts = None,
    grid: Mapping[str, Sequence[Any]] = GRID,
    *,
    file: str | Path | None = None,
    executor: Executor | None = None,
    max_tokens: int = MAX_TOKENS,
    repeats: int = 1,
    progress: bool = True,
    **placement: Any,
) -> Report:
    """Measure every pair with every setting on every prompt.

    Each cell is run with and without the draft in the order A B B A. Cells that fail are recorded and skipped.

    Parameters
    ----------
    pairs
        Main model and draft of each, as for `specviz.load`; None: the demo main with each of its drafts.
    prompts
        Several (texts or chats), the name of a file of them (`*.jsonl`), or None for three of ours.
    grid
        Settings of `Pair.generate` and the values of each; all combinations are run.
    file
        JSON lines to which each cell is appended as soon as it was measured. Those that stand there already are not
        measured again, so that a sweep that was killed goes on with the cell that it was at.
    executor
        Where cells run, such as `distributed.Client().get_executor()`, each worker with an engine of its own; None:
        here, one after another. Workers that share a machine also share its pace.
    max_tokens
        Output tokens of an answer at most.
    repeats
        How often A B B A is run.
    progress
        Show a progress bar.
    **placement
        Keywords of `specviz.load` that say where models are placed.

    Raises
    ------
    ValueError, TypeError
        If there is nothing to measure, a setting is wrong, or the file is not a sweep's.
    OSError
        If the file cannot be read or written.
    """
    cells = list(_cells(pairs, prompts, grid, max_tokens, repeats, placement))
    book = _Book(None if file is None else Path(file))
    missing = [cell for cell in cells if cell.key not in book.runs]
    if executor is None:
        runs: Iterator[Run] = map(run_cell, missing)
    else:
        futures = [executor.submit(run_cell, cell) for cell in missing]
        runs = (future.result() for future in as_completed(futures))
    try:
        for run in track(
            runs, "Sweeping", len(missing), console=Console(stderr=True), disable=not progress, transient=True
        ):
            book.add(run)
    finally:
        _close()
    return Report([book.runs[cell.key] for cell in cells])


def _cells(
    pairs: Iterable[PairNames] | None,
    prompts: Prompts,
    grid: Mapping[str, Sequence[Any]],
    max_tokens: int,
    repeats: int,
    placement: dict[str, Any],
) -> Iterator[Cell]:
    from specviz.decoding import check_settings

    chosen = [("auto", model.path) for model in demo_drafts()] if pairs is None else list(pairs)
    given = prompts_of(prompts)
    if not chosen:
        raise ValueError("there are no pairs to measure")
    if any(isinstance(one.prompt, Trace) for one in given):
        raise ValueError("a sweep takes texts and chats as prompts, not traces")
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for settings in combinations:
        check_settings(**settings)
    seen = set()
    for (main, draft), one, settings in itertools.product(chosen, given, combinations):
        prompt = one.prompt if isinstance(one.prompt, str) else tuple(map(dict, one.prompt))
        cell = Cell(
            main=str(main),
            draft=str(draft),
            prompt=prompt,
            category=one.category,
            settings={"seed": 0} | settings | {"max_tokens": max_tokens},
            placement=placement,
            repeats=repeats,
        )
        if cell.key not in seen:
            seen.add(cell.key)
            yield cell


class _Book:
    """The sweep's file: what was measured so far, and where it is added."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.runs: dict[str, Run] = {}
        if path is None or not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for n, line in enumerate(data[:whole].splitlines(), 1):
            try:
                run = msgspec.json.decode(line, type=Run)
            except msgspec.DecodeError as error:
                raise ValueError(f"line {n} of {path} is not of a sweep: {error}") from None
            self.runs[run.key] = run
        if whole < len(data):
            os.truncate(path, whole)  # a line that was being written when the process was killed

    def add(self, run: Run) -> None:
        """Write a run down before anything else happens."""
        self.runs[run.key] = run
        if self.path is None:
            return
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(run) + b"\n")
            file.flush()
            os.fsync(file.fileno())


_open: tuple[Any, Pair] | None = None
"""The pair that this process has loaded, and for which cells: they come pair by pair."""


def run_cell(cell: Cell) -> Run:
    """Measure a cell in this process; what goes wrong with it is recorded."""
    text = cell.prompt if isinstance(cell.prompt, str) else cell.prompt[-1]["content"]
    known: dict[str, Any] = {"key": cell.key, "prompt": text, "category": cell.category, "settings": cell.settings}
    try:
        return _measured(cell, known)
    except (EngineError, ModelNotFoundError, ValueError, TypeError) as error:
        _close()
        return Run(main=cell.main, draft=cell.draft, error=f"{type(error).__name__}: {error}", finished=_now(), **known)


def _measured(cell: Cell, known: dict[str, Any]) -> Run:
    pair = _pair(cell)
    if pair.draft is None and not pair.spec.ngram:
        raise ValueError(f"{cell.draft!r} is no draft")
    prompt = cell.prompt if isinstance(cell.prompt, str) else list(cell.prompt)
    ways: dict[str, dict[str, Any]] = {
        "draft": cell.settings,
        "plain": cell.settings | {"num_draft_tokens": 0, "n_min": 0},
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(cell.repeats):
        for name in (*ways, *reversed(ways)):
            trace = pair.generate(prompt, draft="auto" if name == "draft" else None, detail=False, **ways[name])
            seconds[name].append(trace.tally.seconds / trace.tally.tokens)
            if name == "draft":
                tally = trace.tally
    return Run(
        main=pair.main.name,
        draft="n-gram lookup" if pair.draft is None else pair.draft.name,
        seconds=tuple(seconds["draft"]),
        plain_seconds=tuple(seconds["plain"]),
        n_tokens=tally.tokens,
        accepted=tally.accepted,
        drafted=tally.drafted,
        rounds=tally.rounds,
        memory_bytes=_memory(pair),
        finished=_now(),
        **known,
    )


def _pair(cell: Cell) -> Pair:
    global _open
    key = (cell.main, cell.draft, json.dumps(cell.placement, sort_keys=True, default=str))
    if _open is None or _open[0] != key:
        _close()
        pair = load(cell.main, cell.draft, **cell.placement)
        _open = key, pair
        for draft in ("auto", None):
            pair.generate("Count to ten.", max_tokens=16, draft=draft)
    return _open[1]


def _close() -> None:
    global _open
    if _open is not None:
        (_, pair), _open = _open, None
        pair.close()


def _memory(pair: Pair) -> int:
    places = [info.placement for info in (pair.main, pair.draft) if info is not None and info.placement is not None]
    return sum(place.total_bytes for place in places)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

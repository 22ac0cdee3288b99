"""`specviz models`: what is on this machine, and what can draft for what."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from specviz.models.card import ModelCard
from specviz.models.compatibility import Compatibility, compare
from specviz.models.index import Library, Progress
from specviz.models.library import ModelNotFoundError
from specviz.models.reading import read_path


def add_models_command(commands: Any) -> None:
    """Add the command to those of an `argparse` parser; each sets `run`, which returns the exit status."""
    parser = commands.add_parser(
        "models",
        help="the models on this machine, and what can draft for what",
        description="List the models on this machine. With a subcommand: say what can draft for what.",
    )
    parser.set_defaults(run=_list)
    _add_common(parser)
    actions = parser.add_subparsers(metavar="SUBCOMMAND")
    check = actions.add_parser("check", help="say whether DRAFT can draft for MAIN, and if not, why")
    check.set_defaults(run=_check)
    check.add_argument("main", metavar="MAIN", help="a GGUF file, an MLX folder, or a part of a model's name")
    check.add_argument("draft", metavar="DRAFT", help="the same for the draft")
    pairs = actions.add_parser("pairs", help="list, for each model, the models that can draft for it")
    pairs.set_defaults(run=_pairs)
    for action in (check, pairs):
        _add_common(action, argparse.SUPPRESS)


def _add_common(parser: argparse.ArgumentParser, default: Any = None) -> None:
    parser.add_argument("--json", action="store_true", default=default or False, help="print JSON")
    parser.add_argument("--folder", action="append", default=default or [], help="search this folder too")


def _list(arguments: argparse.Namespace) -> int:
    library = _indexed(arguments)
    if arguments.json:
        _print_json(library.cards)
        return 0
    _print_table(
        ("name", "format", "parameters", "quantization", "size", "vocabulary", "source", ""),
        (
            (
                card.name,
                card.format.upper(),
                f"{card.n_params / 1e6:,.0f} M" if card.n_params else "",
                card.quantization,
                f"{card.size_bytes / 1e6:,.0f} MB",
                f"{card.n_vocab:,}" if card.n_vocab else "",
                card.source,
                card.damaged or ("" if card.kind == "model" else card.kind),
            )
            for card in library.cards
        ),
    )
    for source, problem in library.problems.items():
        print(f"{source}: {problem}", file=sys.stderr)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    """Exit status 0: it can; 1: it cannot."""
    names = (arguments.main, arguments.draft)
    library = None if all(map(os.path.exists, names)) else _indexed(arguments)
    main, draft = (_card(name, library) for name in names)
    verdict = compare(main, draft)
    if arguments.json:
        first = verdict.first_difference
        shown = None if first is None else {"id": first.id, "main": first.shown[0], "draft": first.shown[1]}
        _print_json(msgspec.to_builtins(verdict) | {"first_difference": shown})
    else:
        print(_sentence(verdict))
        for reason in verdict.reasons:
            print(f"- {printable(reason)}")
        print(f"llama.cpp's rule: {_accepts(verdict.llamacpp_accepts)}; MLX's rule: {_accepts(verdict.mlx_accepts)}")
    return 0 if verdict.compatible else 1


def _pairs(arguments: argparse.Namespace) -> int:
    library = _indexed(arguments)
    fitting = {main: [card for card, fit in library.drafts(main) if fit] for main in library.models}
    if arguments.json:
        _print_json({main.path: [card.path for card in drafts] for main, drafts in fitting.items()})
        return 0
    for main, drafts in fitting.items():
        smaller = [card.name for card in drafts if card.n_params < main.n_params]
        print(f"{printable(main.name)}: {', '.join(map(printable, smaller)) or 'no smaller model that fits'}")
    return 0


def _indexed(arguments: argparse.Namespace) -> Library:
    """Return the library, brought up to date; a line on standard error says how far it is."""
    shown = sys.stderr.isatty()

    def on_progress(progress: Progress) -> None:
        if shown:
            print(f"\r\x1b[K{progress}", end="", file=sys.stderr, flush=True)

    library = Library(arguments.folder)
    library.refresh(on_progress)
    try:
        library.wait()
    finally:
        library.close()
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if library.progress.state == "failed":
        raise RuntimeError(f"the models cannot be listed: {library.progress.detail}")
    return library


def _card(name: str, library: Library | None) -> ModelCard:
    """Return the model at a path or, else, the one with a name."""
    if library is None or os.path.exists(name):
        return read_path(name)[0]
    wanted = name.lower()
    cards = [card for card in library.cards if card.name.lower() == wanted]
    cards = cards or [card for card in library.cards if wanted in card.name.lower()]
    if len(cards) == 1:
        return cards[0]
    if cards:
        raise ModelNotFoundError(f"{name!r} may mean several models: {', '.join(card.name for card in cards)}")
    raise ModelNotFoundError(f"there is no model {name!r}: specviz models lists those that there are")


def _sentence(verdict: Compatibility) -> str:
    can = "can draft" if verdict.compatible else "cannot draft"
    also = {"whole": ": their vocabularies are the same", "rule": ", though they differ:", "none": ":"}
    return f"{printable(verdict.draft)} {can} for {printable(verdict.main)}{also[verdict.strictness]}"


def _accepts(accepts: bool) -> str:
    return "accepts the pair" if accepts else "refuses it"


def _print_json(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a table for a reader; piped, lines with tabs."""
    if not sys.stdout.isatty():
        for row in (head, *rows):
            print("\t".join(map(printable, row)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in ("parameters", "size", "vocabulary") else "left")
    for row in rows:
        table.add_row(*map(printable, row))
    Console(highlight=False, markup=False).print(table)


def printable(text: str) -> str:
    """Make control characters visible, so that a file's name cannot steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)

"""`specviz models`: what is on this machine, and what can draft for what."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from specviz.models.card import ModelCard
from specviz.models.compatibility import compare
from specviz.models.defaults import NGRAM, NONE, default_draft, set_default_draft
from specviz.models.demo import demo_drafts, demo_mains
from specviz.models.index import Library, Progress
from specviz.models.library import LocalModel, ModelNotFoundError, find_by_name, find_model, printable
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
    download = actions.add_parser("download", help="fetch a GGUF model from the Hugging Face hub; goes on where it was")
    download.set_defaults(run=_download)
    download.add_argument("repo", metavar="REPO", help="owner/name of a repository")
    download.add_argument("file", metavar="FILE", nargs="?", help="a GGUF file of it, or a part of the name (Q4_K_M)")
    download.add_argument("--revision", help="branch, tag or commit (default: the main branch)")
    convert = actions.add_parser("convert", help="make an MLX copy of a GGUF file, in the folder for converted models")
    convert.set_defaults(run=_convert)
    convert.add_argument("file", metavar="FILE", help="a GGUF file")
    convert.add_argument("--layers", type=int, metavar="N", help="keep the first N layers only: a bad draft")
    convert.add_argument("--dtype", metavar="D", help="dequantise to float16, bfloat16 or float32 (default: do not)")
    convert.add_argument("--to", metavar="FOLDER", help="the folder to be made (default: named after the file)")
    default = actions.add_parser(
        "default", help="show or set the draft that is taken for MAIN unless another is asked for"
    )
    default.set_defaults(run=_default)
    default.add_argument("main", metavar="MAIN", help="a GGUF file, or a part of a model's name")
    change = default.add_mutually_exclusive_group()
    change.add_argument(
        "draft",
        metavar="DRAFT",
        nargs="?",
        help="the same for the draft; ngram: lookup without a model; none: no drafting",
    )
    change.add_argument("--clear", action="store_true", help="forget what was set")
    for action in (check, pairs, default):
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
        print(verdict)
    return 0 if verdict.compatible else 1


def _pairs(arguments: argparse.Namespace) -> int:
    library = _indexed(arguments)
    fitting = {main: [offer.card for offer in library.offers(main) if offer.fit] for main in library.models}
    if arguments.json:
        _print_json({main.path: [card.path for card in drafts] for main, drafts in fitting.items()})
        return 0
    for main, drafts in fitting.items():
        smaller = [card.name for card in drafts if card.n_params < main.n_params]
        print(f"{printable(main.name)}: {', '.join(map(printable, smaller)) or 'no smaller model that fits'}")
    return 0


def _download(arguments: argparse.Namespace) -> int:
    """Print the path of the file that was fetched; progress goes to standard error."""
    from specviz.models.downloads import download

    print(download(arguments.repo, arguments.file, revision=arguments.revision))
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    """Print the path of the folder that was made."""
    from specviz.models.convert import convert, converted_path

    target = converted_path(arguments.file, arguments.layers, arguments.dtype) if arguments.to is None else arguments.to
    convert(arguments.file, target, n_layers=arguments.layers, dtype=arguments.dtype)
    print(target)
    return 0


def _default(arguments: argparse.Namespace) -> int:
    """Exit status 0: done, also where there is no default; 1: the draft does not fit."""
    mains = []
    with contextlib.suppress(ModelNotFoundError):
        mains = demo_mains()
    main = _local(arguments, arguments.main, mains)
    if arguments.clear:
        set_default_draft(main.path, None)
    elif arguments.draft in (NGRAM, NONE):
        set_default_draft(main.path, arguments.draft)
    elif arguments.draft is not None:
        draft = _local(arguments, arguments.draft, demo_drafts())
        verdict = compare(main.readable, draft.path)
        if not verdict:
            print(verdict)
            return 1
        set_default_draft(main.path, draft.path)
    default = default_draft(main.path)
    if arguments.json:
        _print_json({"main": str(main.path), "draft": default})
    else:
        print(f"{printable(main.name)}: {printable(default) if default is not None else 'no default draft'}")
    return 0


def _local(arguments: argparse.Namespace, name: str, known: list[LocalModel]) -> LocalModel:
    """Return the model at a path, or the one with a name, for which all models are looked at only if they must be."""

    def more() -> list[LocalModel]:
        return [LocalModel(card.name, Path(card.path)) for card in _indexed(arguments).models]

    return find_model(name, known, more)


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
    return find_by_name(name, library.cards)


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

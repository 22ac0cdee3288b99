"""The command `specviz`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from specviz.pair import Generation
    from specviz.trace import Header, ModelInfo
    from specviz.trace.projection import Projection

STYLES = {"a": "underline #4aa3df", "c": "#e8833a", "b": "#2fb58c", "p": ""}
SETTINGS = (
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "rule",
    "num_draft_tokens",
    "p_min",
    "n_min",
    "entropy_max",
    "seed",
)
LEGEND = {"a": "accepted", "c": "correction", "b": "bonus"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status (0 done, 1 failed, 2 misused, 130 interrupted)."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except KeyboardInterrupt:
        print("specviz: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        print(f"specviz: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", []):
            print(note, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from specviz import __version__
    from specviz.jupyter import add_jupyter_command
    from specviz.lab.command import add_lab_commands, draft_length
    from specviz.models.command import add_models_command
    from specviz.server.command import add_serve_command

    parser = argparse.ArgumentParser(prog="specviz", description="Explore speculative decoding.")
    parser.add_argument("--version", action="version", version=f"specviz {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    generate = commands.add_parser(
        "generate",
        help="answer a prompt, every token coloured by who proposed it",
        description="Answer a prompt; the tokens are coloured in a terminal, the statistics follow them.",
    )
    generate.set_defaults(run=_generate)
    add = generate.add_argument
    add("prompt", help="the prompt; - reads it from standard input")
    add(
        "--main",
        default="auto",
        help="a GGUF file or a part of a known model's name (default: the demo model)",
    )
    add(
        "--draft",
        default="auto",
        help="the same for the draft; ngram: lookup without a model; none: plain decoding (default: the demo draft)",
    )
    add(
        "--num-draft-tokens",
        type=draft_length,
        default=4,
        metavar="K",
        help="tokens drafted in a round; auto: as many as pay (default: %(default)s)",
    )
    add(
        "--p-min",
        type=float,
        default=0.0,
        metavar="P",
        help="stop drafting below this draft probability (default: 0)",
    )
    add("--n-min", type=int, default=0, metavar="K", help="drop drafts that are shorter (default: 0)")
    add("--entropy-max", type=float, metavar="H", help="stop drafting above this entropy, in nats (default: never)")
    add(
        "--max-tokens",
        type=int,
        default=256,
        metavar="N",
        help="output tokens at most (default: %(default)s)",
    )
    add("--temperature", type=float, default=0.0, metavar="T", help="0 is greedy (default: 0)")
    add("--top-k", type=int, default=0, metavar="K", help="sample from the k most probable tokens only (default: all)")
    add("--top-p", type=float, default=1.0, metavar="P", help="sample from the fewest tokens with this probability")
    add("--min-p", type=float, default=0.0, metavar="P", help="sample from tokens with this share of the best one's")
    add(
        "--repeat-penalty", type=float, default=1.0, metavar="R", help="make recent tokens less probable (default: off)"
    )
    add("--rule", choices=("match", "rejection"), default="match", help="acceptance rule (default: %(default)s)")
    add("--seed", type=int, default=None, help="of the sampler (default: drawn)")
    add("--threads", type=int, default=None, help="CPU threads (default: physical cores less one)")
    add("--show-rejected", action="store_true", help="show dropped tokens in place, struck through")
    add("--trace", metavar="FILE", help="save the trace (JSON lines)")
    add("--json", action="store_true", help="print one object with text, token_ids and stats instead")
    add_lab_commands(commands)
    add_models_command(commands)
    add_serve_command(commands)
    engines = commands.add_parser(
        "engines",
        help="the engines on this machine: versions, what they compute on, what they can do",
        description="Try each engine in a process of its own. Exit status 0: one of them is ready.",
    )
    engines.set_defaults(run=_engines)
    engines.add_argument("engine", nargs="?", metavar="ENGINE", help="only this one (default: all)")
    engines.add_argument("--json", action="store_true", help="print JSON")
    add_jupyter_command(commands)
    return parser


def _generate(arguments: argparse.Namespace) -> int:
    import msgspec

    from specviz.decoding import check_settings
    from specviz.pair import load

    settings = {name: getattr(arguments, name) for name in SETTINGS}
    check_settings(**settings)
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    with load(arguments.main, arguments.draft, n_threads=arguments.threads) as pair:
        with pair.stream(prompt, **settings) as generation:
            try:
                if arguments.json:
                    for _ in generation:
                        pass
                else:
                    _print_live(generation, arguments.show_rejected)
            finally:
                if arguments.trace and generation.trace is not None:
                    generation.trace.save(arguments.trace)
        trace = generation.trace
        assert trace is not None
        if arguments.json:
            data = {
                "text": trace.text,
                "token_ids": trace.token_ids,
                "stats": trace.stats.to_dict(),
                "placement": {role: msgspec.to_builtins(info.placement) for role, info in _models(trace.header)},
            }
            print(json.dumps(data, ensure_ascii=False))
    return 0


def _models(header: Header) -> list[tuple[str, ModelInfo]]:
    return [(role, info) for role, info in (("main", header.main), ("draft", header.draft)) if info is not None]


def _engines(arguments: argparse.Namespace) -> int:
    """Exit status 0: an engine is ready; 1: none is."""
    import msgspec

    from specviz.engines.probe import probe, probe_all

    reports = [probe(arguments.engine)] if arguments.engine else probe_all()
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(reports), indent=2).decode())
    else:
        for report in reports:
            print(f"{report.name}: {report.state}" + (f", {report.version}" if report.version else ""))
            for label, words in (
                ("computes on", report.backends),
                ("can", report.can),
                ("cannot", report.cannot),
                ("needed", (report.reason,) if report.reason else ()),
            ):
                if words:
                    print(f"  {label}: {_printable(', '.join(words))}")
    return 0 if any(report.state == "ready" for report in reports) else 1


def _print_live(generation: Generation, show_rejected: bool) -> None:
    """Print tokens as they come, then legend and statistics. Piped, only the answer goes to standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from specviz.engines.messages import Phase
    from specviz.trace.projection import Projection, stats_rows

    out = Console(highlight=False, soft_wrap=True)
    beside = out if out.is_terminal else Console(stderr=True, highlight=False)
    projection = Projection()
    while (event := generation.next_event()) is not None:
        if isinstance(event, Phase):
            continue
        projection.add(event)
        if projection.pending:
            out.print(_coloured(projection, show_rejected and out.is_terminal), end="")
    out.print()
    if out.is_terminal:
        out.print(Text.assemble(*(part for kind, name in LEGEND.items() for part in ((name, STYLES[kind]), "  "))))
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for row in stats_rows(projection.stats):
        table.add_row(row["label"], row["value"])
    beside.print(table)
    if generation.trace is not None:
        if generation.trace.summary is not None:
            for note in generation.trace.summary.notes:
                beside.print(note, markup=False)
        for role, info in _models(generation.trace.header):
            if info.placement is not None:
                beside.print(f"{role}: {info.placement}", markup=False)


def _coloured(projection: Projection, show_rejected: bool) -> Text:
    """Return the new tokens as styled text, control characters made visible."""
    from rich.text import Text

    content = projection.take()
    tokens, dropped = content.get("tokens", {"text": [], "kind": "", "round": []}), content.get("dropped")
    gone: dict[int, str] = {}
    if show_rejected and dropped:
        for round, text in zip(dropped["round"], dropped["text"], strict=True):
            gone[round] = gone.get(round, "") + text.replace("\n", "↵")
    line = Text()
    for i, (text, kind, round) in enumerate(zip(tokens["text"], tokens["kind"], tokens["round"], strict=True)):
        closes = i + 1 == len(tokens["text"]) or tokens["round"][i + 1] != round
        if closes and round in gone:
            line.append(_printable(gone[round]), "strike dim #e8833a")
        if not kind.isupper():
            line.append(_printable(text), STYLES[kind])
    return line


def _printable(text: str) -> str:
    """Make control characters visible, so that a model cannot steer the terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text)


if __name__ == "__main__":
    sys.exit(main())

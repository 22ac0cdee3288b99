"""`specviz race`, `specviz audit` and `specviz sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from specviz.lab.costs import Costs

SHOWN_LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16)


def add_lab_commands(commands: Any) -> None:
    """Add the commands to those of an `argparse` parser; each sets `run`, which returns the exit status."""
    race = commands.add_parser(
        "race",
        help="the same prompts with and without a draft, in turn: the speedup and how sure it is",
        description="Decode prompts with and without a draft, in turn, and say how much faster it is. Exit status 0: "
        "faster; 3: inside the noise; 4: slower.",
    )
    race.set_defaults(run=_race)
    race.add_argument("--draft", default="auto", help="as for generate (default: the demo's draft)")
    race.add_argument(
        "--num-draft-tokens", type=draft_length, default=4, metavar="K", help="draft length, or auto (%(default)s)"
    )
    race.add_argument("--p-min", type=float, default=0.0, metavar="P", help="as for generate")
    race.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 is greedy (default: 0)")
    race.add_argument("--repeats", type=int, default=1, metavar="N", help="how often each way runs there and back")
    audit = commands.add_parser(
        "audit",
        help="what every draft length and cutoff would do, from one plain answer a prompt",
        description="Answer prompts plainly, have drafts read the answers, and print what every setting would do. "
        "Accepted tokens and rounds are exact, for greedy decoding.",
    )
    audit.set_defaults(run=_audit)
    audit.add_argument("--speed", action="store_true", help="measure costs, too, and predict speedups")
    sweep = commands.add_parser(
        "sweep",
        help="real runs over drafts, draft lengths and cutoffs",
        description="Run every draft with every length and cutoff on every prompt, and print the best of each draft.",
    )
    sweep.set_defaults(run=_sweep)
    sweep.add_argument("--lengths", type=_lengths, default=[2, 4, 8], metavar="K,K", help="draft lengths (2,4,8)")
    sweep.add_argument("--cutoffs", type=_cutoffs, default=[0.0], metavar="P,P", help="values of p_min (0)")
    sweep.add_argument("--repeats", type=int, default=1, metavar="N", help="how often A B B A is run")
    sweep.add_argument("--file", metavar="FILE", help="append each run to this file; go on with what it lacks")
    for parser in (audit, sweep):
        parser.add_argument(
            "--draft",
            action="append",
            metavar="DRAFT",
            help="as for generate; may be repeated (default: the demo's drafts)",
        )
    for parser in (race, audit, sweep):
        add = parser.add_argument
        add("--main", default="auto", help="as for generate (default: the demo model)")
        add("--prompts", metavar="FILE", help="JSON lines with `prompt`, or Spec-Bench's `turns` (default: ours)")
        add("--max-tokens", type=int, default=128, metavar="N", help="output tokens of each answer (%(default)s)")
        add("--threads", type=int, default=None, help="CPU threads (default: physical cores less one)")
        layout = parser.add_mutually_exclusive_group()
        layout.add_argument("--json", action="store_true", help="print JSON lines instead")
        layout.add_argument("--markdown", action="store_true", help="print a Markdown table instead")


def draft_length(text: str) -> int | str:
    """Read a draft length; argparse names this function where it cannot."""
    return text if text == "auto" else int(text)


def _lengths(text: str) -> list[int | str]:
    return [draft_length(one) for one in text.split(",")]


def _cutoffs(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


def _drafts(arguments: argparse.Namespace) -> list[str | Path]:
    from specviz.models import demo_drafts

    return arguments.draft or [model.path for model in demo_drafts()]


def _prompts(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.prompts) if arguments.prompts else None


def _race(arguments: argparse.Namespace) -> int:
    import json

    from specviz.lab.race import race
    from specviz.pair import load

    with load(arguments.main, arguments.draft, n_threads=arguments.threads) as pair:
        raced = race(
            pair,
            _prompts(arguments),
            max_tokens=arguments.max_tokens,
            repeats=arguments.repeats,
            progress=not arguments.json,
            num_draft_tokens=arguments.num_draft_tokens,
            p_min=arguments.p_min,
            temperature=arguments.temperature,
        )
    found, frame = raced.interval(), raced.frame()
    if arguments.json:
        print(frame.to_json(orient="records", lines=True), end="")
        print(
            json.dumps(
                {"verdict": raced.verdict, "speedup": found.ratio, "low": found.low, "high": _finite(found.high)}
            )
        )
    else:
        _print(frame, arguments.markdown)
        for parting in raced.divergences:
            print(parting)
        print(raced.verdict)
    return 3 if found.inside_the_noise else 0 if found.low > 1 else 4


def _finite(number: float) -> float | None:
    return number if number < float("inf") else None


def _audit(arguments: argparse.Namespace) -> int:
    from specviz.lab.audit import audit

    audited = audit(
        arguments.main,
        arguments.draft,
        _prompts(arguments),
        max_tokens=arguments.max_tokens,
        thorough=arguments.speed,
        n_threads=arguments.threads,
    )
    surface = audited.surface(costs=_costs(arguments, audited.drafts) if arguments.speed else None)
    if arguments.json:
        print(surface.to_json(orient="records", lines=True), end="")
        return 0
    figure = "speedup" if arguments.speed else "tokens_per_round"
    title = "predicted speedup" if arguments.speed else "tokens per round"
    for draft in audited.drafts:
        of = surface[(surface.draft == draft) & surface.num_draft_tokens.isin(SHOWN_LENGTHS)]
        grid = of.pivot(index="num_draft_tokens", columns="p_min", values=figure)
        grid.columns = [f"p_min {p_min:g}" for p_min in grid.columns]
        print(f"{draft}: {title}")
        _print(grid.rename_axis("length").reset_index(), arguments.markdown)
    return 0


def _costs(arguments: argparse.Namespace, names: list[str]) -> dict[str, Costs]:
    from specviz.lab.costs import measure_costs
    from specviz.pair import load

    costs = {}
    for name, draft in zip(names, _drafts(arguments), strict=True):
        with load(arguments.main, draft, n_threads=arguments.threads) as pair:
            costs[name] = measure_costs(pair)
    return costs


def _sweep(arguments: argparse.Namespace) -> int:
    from specviz.lab.sweep import sweep

    pairs = [(arguments.main, draft) for draft in _drafts(arguments)]
    report = sweep(
        pairs,
        _prompts(arguments),
        {"num_draft_tokens": arguments.lengths, "p_min": arguments.cutoffs},
        file=arguments.file,
        max_tokens=arguments.max_tokens,
        repeats=arguments.repeats,
        progress=not arguments.json,
        **({} if arguments.threads is None else {"n_threads": arguments.threads}),
    )
    if arguments.json:
        print(report.frame().to_json(orient="records", lines=True), end="")
    elif arguments.markdown:
        print(report.table())
    else:
        _print(report.leaderboard(), markdown=False)
    for run in report.failures:
        print(f"failed: {run.draft} for {run.main}, {run.settings}: {run.error}")
    return 1 if len(report.failures) == len(report.runs) else 0


def _print(frame: pd.DataFrame, markdown: bool) -> None:
    """Print a data frame, as Markdown or as a plain table."""
    shown = frame.map(lambda value: f"{value:.2f}" if isinstance(value, float) else str(value))
    if markdown:
        aligned = ["right" if column.dtype.kind in "if" else "left" for _, column in frame.items()]
        print(shown.to_markdown(index=False, disable_numparse=True, colalign=aligned))
    else:
        print(shown.to_string(index=False))

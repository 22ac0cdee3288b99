"""`specviz audit`: what every draft length and cutoff of several drafts would do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SHOWN_LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16)


def add_audit_command(commands: Any) -> None:
    """Add the command to those of an `argparse` parser; it sets `run`, which returns the exit status."""
    parser = commands.add_parser(
        "audit",
        help="what every draft length and cutoff would do, from one plain answer a prompt",
        description="Answer prompts plainly, have drafts read the answers, and print what every setting would do. "
        "Exact, for greedy decoding.",
    )
    parser.set_defaults(run=_audit)
    add = parser.add_argument
    add("--main", default="auto", help="as for generate (default: the demo model)")
    add(
        "--draft",
        action="append",
        metavar="DRAFT",
        help="as for generate; may be repeated (default: the demo's drafts)",
    )
    add("--prompts", metavar="FILE", help="JSON lines with `prompt`, or Spec-Bench's `turns` (default: three of ours)")
    add("--max-tokens", type=int, default=128, metavar="N", help="output tokens of each answer (default: %(default)s)")
    add("--threads", type=int, default=None, help="CPU threads (default: physical cores less one)")
    add("--json", action="store_true", help="print one object per setting instead, as JSON lines")


def _audit(arguments: argparse.Namespace) -> int:
    from specviz.lab.audit import CUTOFFS, audit

    audited = audit(
        arguments.main,
        arguments.draft,
        arguments.prompts and Path(arguments.prompts),
        max_tokens=arguments.max_tokens,
        n_threads=arguments.threads,
    )
    surface = audited.surface()
    if arguments.json:
        print(surface.to_json(orient="records", lines=True), end="")
        return 0
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    for draft in audited.drafts:
        table = Table(title=f"{draft}: tokens per round", box=None, title_justify="left", pad_edge=False)
        table.add_column("length", justify="right")
        for p_min in CUTOFFS:
            table.add_column(f"p_min {p_min:g}", justify="right")
        of = surface[surface.draft == draft].set_index(["num_draft_tokens", "p_min"]).tokens_per_round
        for length in SHOWN_LENGTHS:
            table.add_row(str(length), *(f"{of[length, p_min]:.2f}" for p_min in CUTOFFS))
        console.print(table)
    return 0

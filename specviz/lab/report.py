"""What a sweep found: every cell, who leads, what is worth its memory, and the table for a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from msgspec import Struct

from specviz.lab.interval import geometric_mean

GENERATED = ("seed", "max_tokens")
"""Settings that all cells share, and that name none."""
HEAD = (
    "Prompt",
    "Main Model",
    "Draft Model",
    "w/o Speculative Decoding",
    "w/ Speculative Decoding",
    "Speedup",
    "95 % CI",
    "Acceptance",
)
ALL_PROMPTS = "All prompts"


class Run(Struct, frozen=True, kw_only=True):
    """What was measured of a cell: a line of the sweep's file."""

    key: str
    main: str
    """Names of the models as they were loaded; as they were asked for where that failed."""
    draft: str
    prompt: str
    category: str = ""
    settings: dict[str, Any] = {}
    seconds: tuple[float, ...] = ()
    """Per output token with the draft, of each run."""
    plain_seconds: tuple[float, ...] = ()
    """The same without; the i-th ran beside the i-th of the others."""
    n_tokens: int = 0
    accepted: int = 0
    drafted: int = 0
    rounds: int = 0
    memory_bytes: int = 0
    """Weights, caches and buffers of both models."""
    finished: str = ""
    """ISO 8601, UTC."""
    error: str = ""

    @property
    def speedup(self) -> float:
        """Speed with the draft over speed without, all runs pooled."""
        return sum(self.plain_seconds) / sum(self.seconds)


class Report:
    """The runs of a sweep. Made by `specviz.sweep`.

    Attributes
    ----------
    runs : list of Run
        One for each cell, in the grid's order; those that failed, too.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        used = dict.fromkeys(name for run in runs for name in run.settings)
        self.settings = [name for name in used if name not in GENERATED]
        """Names of the settings that were swept."""

    @property
    def failures(self) -> list[Run]:
        """The runs that failed; `error` says why."""
        return [run for run in self.runs if run.error]

    def frame(self) -> pd.DataFrame:
        """Return one row for each cell.

        Columns: `main`, `draft`, `prompt`, `category`, the settings, `tokens`, `tokens_per_second`,
        `plain_tokens_per_second`, `speedup`, `acceptance_rate` (accepted / drafted), `tokens_per_round`,
        `memory_bytes`, `error`. What was not measured is missing.
        """
        return pd.DataFrame([self._row(run) for run in self.runs])

    def _row(self, run: Run) -> dict[str, Any]:
        measured = not run.error
        seconds, plain = (sum(run.seconds), sum(run.plain_seconds)) if measured else (np.nan, np.nan)
        return {
            "main": run.main,
            "draft": run.draft,
            "prompt": run.prompt,
            "category": run.category,
            **{name: run.settings.get(name) for name in self.settings},
            "tokens": run.n_tokens,
            "tokens_per_second": len(run.seconds) / seconds,
            "plain_tokens_per_second": len(run.plain_seconds) / plain,
            "speedup": plain / seconds,
            "acceptance_rate": run.accepted / run.drafted if run.drafted else np.nan,
            "tokens_per_round": run.n_tokens / run.rounds if run.rounds else np.nan,
            "memory_bytes": run.memory_bytes,
            "error": run.error,
        }

    def leaderboard(self) -> pd.DataFrame:
        """Return one row for each pair and setting, the fastest first.

        Columns: `main`, `draft`, the settings, `prompts`, `speedup` (geometric mean over prompts) with its 95 %
        interval `low` to `high`, `tokens_per_second` (harmonic mean), `acceptance_rate` (all prompts pooled),
        `memory_bytes`.
        """
        rows = []
        for group in self._groups():
            run = group[0]
            found = geometric_mean([one.speedup for one in group])
            drafted = sum(one.drafted for one in group)
            per_token = np.mean([np.mean(one.seconds) for one in group])
            rows.append(
                {
                    "main": run.main,
                    "draft": run.draft,
                    **{name: run.settings.get(name) for name in self.settings},
                    "prompts": len(group),
                    "speedup": found.ratio,
                    "low": found.low,
                    "high": found.high,
                    "tokens_per_second": 1 / per_token,
                    "acceptance_rate": sum(one.accepted for one in group) / drafted if drafted else np.nan,
                    "memory_bytes": run.memory_bytes,
                }
            )
        board = pd.DataFrame(rows)
        return board.sort_values("speedup", ascending=False, ignore_index=True) if len(board) else board

    def _groups(self) -> list[list[Run]]:
        """Return the runs that were measured, by pair and setting."""
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            if not run.error:
                groups.setdefault(repr((run.main, run.draft, run.settings)), []).append(run)
        return list(groups.values())

    def pareto(self) -> pd.DataFrame:
        """Return the rows of the leaderboard that no other beats in both speedup and memory, the fastest first."""
        board = self.leaderboard()
        least = np.inf
        keep = []
        for i, memory in enumerate(board["memory_bytes"] if len(board) else ()):
            if memory < least:
                least = memory
                keep.append(i)
        return board.iloc[keep].reset_index(drop=True)

    def table(self, layout: Literal["markdown", "html", "latex"] = "markdown") -> str:
        """Return the table of LM Studio's announcement with intervals and acceptance: each pair at its best setting.

        A row for each prompt, with the interval over its repeats where there are several; a last one for all prompts,
        with the interval over them. Speeds are in tokens/s.

        Raises
        ------
        ValueError
            If the layout is none of these.
        """
        if layout not in ("markdown", "html", "latex"):
            raise ValueError(f"layout must be markdown, html or latex, got {layout!r}")
        rows: list[tuple[str, ...]] = []
        for group in self._best():
            rows += [_line(run.prompt, [run]) for run in group]
            if len(group) > 1:
                rows.append(_line(ALL_PROMPTS, group))
        frame = pd.DataFrame(rows, columns=list(HEAD))
        if layout == "html":
            return frame.to_html(index=False, escape=True)
        if layout == "latex":
            return frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1).to_latex()
        return frame.map(lambda text: text.replace("|", "\\|").replace("\n", " ")).to_markdown(index=False)

    def _best(self) -> list[list[Run]]:
        """Return the runs of each pair with its fastest setting."""
        best: dict[tuple[str, str], tuple[float, list[Run]]] = {}
        for group in self._groups():
            key = (group[0].main, group[0].draft)
            speedup = geometric_mean([run.speedup for run in group]).ratio
            if key not in best or speedup > best[key][0]:
                best[key] = speedup, group
        return [group for _, group in best.values()]

    def _repr_html_(self) -> str:
        return self.table("html")

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        board = self.leaderboard()
        lead = f"; {board.speedup[0]:.2f}x at best, {board.draft[0]} for {board.main[0]}" if len(board) else ""
        return f"<Report of {len(self.runs)} cells{failed}{lead}>"


def _line(prompt: str, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return a row of the table: several runs are averaged over."""
    ratios = [run.speedup for run in runs]
    if len(runs) == 1:
        ratios = [plain / seconds for plain, seconds in zip(runs[0].plain_seconds, runs[0].seconds, strict=True)]
    found = geometric_mean(ratios)
    drafted = sum(run.drafted for run in runs)
    acceptance = f"{100 * sum(run.accepted for run in runs) / drafted:.0f} %" if drafted else ""
    without, with_draft = (
        1 / float(np.mean([np.mean(times) for times in several]))
        for several in ([run.plain_seconds for run in runs], [run.seconds for run in runs])
    )
    interval = f"{found.low:.2f}-{found.high:.2f}" if np.isfinite(found.high) else ""
    return (
        prompt,
        runs[0].main,
        runs[0].draft,
        f"{without:.1f} tok/s",
        f"{with_draft:.1f} tok/s",
        f"{found.ratio:.2f}x",
        interval,
        acceptance,
    )

"""Interleaving, intervals and tables."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

PROMPTS = Path(__file__).parent / "prompts.jsonl"
RESAMPLES = 10_000


def prompts(n: int) -> list[str]:
    """Return first turns of `n` of the prompts, spread over their categories."""
    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()]
    by_category: dict[str, list[str]] = {}
    for row in rows:
        by_category.setdefault(row["category"], []).append(row["turns"][0])
    taken: list[str] = []
    while len(taken) < n and any(by_category.values()):
        for texts in by_category.values():
            if texts and len(taken) < n:
                taken.append(texts.pop(0))
    return taken


def interleave(a: Callable[[], float], b: Callable[[], float], repeats: int) -> tuple[list[float], list[float]]:
    """Run two ways in the order ABBA, `repeats` times; return what each measured."""
    of_a: list[float] = []
    of_b: list[float] = []
    for _ in range(repeats):
        of_a.append(a())
        of_b.append(b())
        of_b.append(b())
        of_a.append(a())
    return of_a, of_b


def geometric_mean_interval(ratios: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Return the geometric mean and its 95 % percentile-bootstrap interval over the ratios."""
    logs = np.log(np.asarray(ratios, float))
    rng = np.random.default_rng(seed)
    means = rng.choice(logs, (RESAMPLES, len(logs))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))


def interval_text(ratios: Sequence[float]) -> str:
    """Return "1.43 (1.36 to 1.51)"."""
    middle, low, high = geometric_mean_interval(ratios)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def machine() -> str:
    """Name the machine by what matters for the figures."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores, memory = psutil.cpu_count(logical=False), psutil.virtual_memory().total / 2**30
    return f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"

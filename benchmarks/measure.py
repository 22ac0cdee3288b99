"""Interleaving, intervals and tables."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

T = TypeVar("T")

PROMPTS = Path(__file__).parent / "prompts.jsonl"
RESAMPLES = 10_000


def by_category() -> dict[str, list[str]]:
    """Return the prompts' first turns by Spec-Bench's categories and our own, `repetition`."""
    texts: dict[str, list[str]] = {}
    for line in PROMPTS.read_text().splitlines():
        row = json.loads(line)
        texts.setdefault(row["category"], []).append(row["turns"][0])
    return texts


def prompts(n: int) -> list[str]:
    """Return `n` of the prompts, spread over their categories."""
    waiting = by_category()
    taken: list[str] = []
    while len(taken) < n and any(waiting.values()):
        for texts in waiting.values():
            if texts and len(taken) < n:
                taken.append(texts.pop(0))
    return taken


def in_turn(ways: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Run all ways one after another and then in reverse (two ways: ABBA), `repeats` times; return what each gave."""
    results: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name in (*ways, *reversed(ways)):
            results[name].append(ways[name]())
    return results


def interleave(a: Callable[[], T], b: Callable[[], T], repeats: int) -> tuple[list[T], list[T]]:
    """Run two ways in the order ABBA, `repeats` times; return what each measured."""
    results = in_turn({"a": a, "b": b}, repeats)
    return results["a"], results["b"]


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

"""The lab held to reality: audits against real runs, their cost, predicted against measured speed, races of nothing."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import specviz as sv
from benchmarks.measure import prompts, table
from specviz.lab.audit import CUTOFFS, Audit
from specviz.lab.interval import geometric_mean
from specviz.lab.race import divergence
from specviz.models import demo_drafts
from tests.killed_sweep import PROMPTS, QUICK, sweep_and_kill

LENGTHS = range(1, 9)
GRID_LENGTHS = range(1, 17)
PLOT = Path(__file__).parent.parent / "docs" / "images" / "predicted-speed.svg"
RACES, PROMPTS_PER_RACE = 200, 8
SEED = 2024


def exact(n_prompts: int, n_tokens: int) -> str:
    """Compare what an audit says with real runs of every draft and length; return a report in Markdown."""
    texts = prompts(n_prompts)
    audited = sv.audit(prompts=texts, max_tokens=n_tokens, thorough=True)
    rows, notes = [], []
    for draft, name in zip(demo_drafts(), audited.drafts, strict=True):
        counts = dict.fromkeys(("runs", "accepted", "rounds", "drafted"), 0)
        with sv.load(draft=draft.path) as pair:
            for i, length in itertools.product(range(n_prompts), LENGTHS):
                real = pair.generate(texts[i], max_tokens=n_tokens, num_draft_tokens=length, detail=False)
                said = audited.replay(name, i, length)
                counts["runs"] += 1
                counts["accepted"] += said.accepted == tuple(round.accepted for round in real.rounds)
                counts["rounds"] += said.rounds == len(real.rounds)
                counts["drafted"] += said.drafted == tuple(len(round.drafted) for round in real.rounds)
                parting = divergence(audited.traces[i], real)
                if said.accepted != tuple(round.accepted for round in real.rounds):
                    notes.append(f"- {name}, length {length}, prompt {i}: {parting or 'the same text'}")
        rows.append((name, *counts.values()))
    head = (
        "draft",
        "runs",
        "accepted tokens of every round equal",
        "rounds equal",
        "drafted tokens of every round equal",
    )
    listed = "\n".join(notes) or "No mismatch."
    return f"{n_prompts} prompts, {n_tokens} tokens, lengths 1 to 8, Q4_1 main.\n\n{table(head, rows)}\n\n{listed}"


def cost(n_prompts: int, n_tokens: int, n_sampled: int) -> str:
    """Time a whole audit, and cells of the grid that it stands for; return a report in Markdown."""
    texts = prompts(n_prompts)
    n_cells = len(demo_drafts()) * len(GRID_LENGTHS) * len(CUTOFFS) * n_prompts
    seconds = {}
    for thorough in (False, True):
        begin = perf_counter()
        audited = sv.audit(prompts=texts, max_tokens=n_tokens, thorough=thorough)
        audited.surface(GRID_LENGTHS, CUTOFFS)
        seconds[thorough] = perf_counter() - begin
    cells = list(itertools.product(demo_drafts(), GRID_LENGTHS, CUTOFFS, texts))
    chosen = np.random.default_rng(SEED).choice(len(cells), n_sampled, replace=False)
    runs: list[float] = []
    for draft, some in itertools.groupby((cells[i] for i in sorted(chosen)), key=lambda cell: cell[0].path):
        with sv.load(draft=draft) as pair:
            pair.generate("Count to ten.", max_tokens=16)
            for _, length, p_min, text in some:
                begin = perf_counter()
                pair.generate(text, max_tokens=n_tokens, num_draft_tokens=length, p_min=p_min, detail=False)
                runs.append(perf_counter() - begin)
    grid = n_cells * float(np.mean(runs))
    rows = [
        (name, f"{seconds[thorough]:.0f} s", f"{grid / seconds[thorough]:.0f}")
        for name, thorough in (("accepted tokens and rounds", False), ("thorough: with what is drafted in vain", True))
    ]
    return (
        f"{len(demo_drafts())} drafts, {len(GRID_LENGTHS)} lengths, {len(CUTOFFS)} cutoffs, {n_prompts} prompts, "
        f"{n_tokens} tokens, Q4_1 main. The grid, {n_cells:,} runs, would take {grid:,.0f} s: {n_sampled} of them, "
        f"drawn at random, took {np.mean(runs):.2f} s each (models loaded already).\n\n"
        f"{table(('audit', 'it takes', 'times cheaper than the grid'), rows)}"
    )


def predicted(n_prompts: int, n_tokens: int, *, plot: Path | None = PLOT) -> str:
    """Compare predicted with measured tokens/s of every setting; return a report in Markdown and draw the plot."""
    texts = prompts(n_prompts)
    settings = [(0, 0.0), *itertools.product((1, 2, 3, 4, 6, 8, 12, 16), (0.0, 0.5))]
    points: list[dict[str, Any]] = []
    for main in ("q4_1", "f16"):
        audited = sv.audit(main, ["17m"], texts, max_tokens=n_tokens, thorough=True)
        with sv.load(main, "17m") as pair:
            points += list(_compared(main, audited, pair, texts, n_tokens, settings))
    if plot is not None:
        _draw(points, plot)
    rows = []
    for main in ("q4_1", "f16"):
        of = [point for point in points if point["main"] == main]
        for name, key in (("tokens/s", "speed"), ("speedup", "speedup")):
            errors = [abs(point[f"predicted_{key}"] / point[f"measured_{key}"] - 1) for point in of]
            rows.append((main, name, len(of), f"{100 * median(errors):.1f} %", f"{100 * max(errors):.1f} %"))
    head = ("main", "figure", "settings", "median absolute error", "largest")
    cells = [
        (p["main"], p["length"], p["p_min"], f"{p['predicted_speed']:.1f}", f"{p['measured_speed']:.1f}",
         f"{p['predicted_speedup']:.2f}", f"{p['measured_speedup']:.2f}")
        for p in points
    ]  # fmt: skip
    detail = table(
        ("main", "length", "p_min", "tokens/s predicted", "measured", "speedup predicted", "measured"), cells
    )
    return f"Draft 17m, {n_prompts} prompts, {n_tokens} tokens, greedy.\n\n{table(head, rows)}\n\n{detail}"


def _compared(
    main: str, audited: Audit, pair: sv.Pair, texts: list[str], n_tokens: int, settings: list[tuple[int, float]]
) -> Iterator[dict[str, Any]]:
    """Measure costs before and after the real runs, which go through all settings prompt by prompt, there and back."""
    (name,) = audited.drafts
    seconds = dict.fromkeys(settings, 0.0)
    tokens = dict.fromkeys(settings, 0)
    costs = [sv.measure_costs(pair)]
    for text in texts:
        pair.generate(text, max_tokens=8)
        for setting in (*settings, *reversed(settings)):
            length, p_min = setting
            asked = {"num_draft_tokens": length, "p_min": p_min, "detail": False}
            tally = pair.generate(text, max_tokens=n_tokens, **asked).tally
            seconds[setting] += tally.seconds
            tokens[setting] += tally.tokens
    costs.append(sv.measure_costs(pair, seed=1))
    plain = settings[0]
    lengths, cutoffs = (sorted({setting[i] for setting in settings}) for i in (0, 1))
    surfaces = [
        audited.surface(lengths, cutoffs, costs={name: one}).set_index(["num_draft_tokens", "p_min"]) for one in costs
    ]
    for length, p_min in settings:
        frames = [surface.loc[length, p_min] for surface in surfaces]
        speed = tokens[length, p_min] / seconds[length, p_min]
        yield {
            "main": main,
            "length": length,
            "p_min": p_min,
            "predicted_speed": float(np.mean([frame.tokens_per_second for frame in frames])),
            "measured_speed": speed,
            "predicted_speedup": float(np.mean([frame.speedup for frame in frames])),
            "measured_speedup": speed / (tokens[plain] / seconds[plain]),
        }


def killed(n_sweeps: int, kills: int) -> str:
    """Kill sweeps at random moments, finish them, and look for cells that are lost or there twice."""
    grid = {"num_draft_tokens": tuple(range(1, 9)), "p_min": (0.0, 0.5)}
    n_cells = len(PROMPTS) * len(grid["num_draft_tokens"]) * len(grid["p_min"])
    rows = []
    for seed in range(n_sweeps):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sweep.jsonl"
            kept = sweep_and_kill(Path(folder), grid, kills, seed)
            report = sv.sweep([QUICK], PROMPTS, grid, file=file, max_tokens=6, progress=False)
            cells = report.frame().drop_duplicates(["prompt", "num_draft_tokens", "p_min"])
            whole = file.read_bytes().startswith(kept) and len(file.read_bytes().splitlines()) == len(cells)
            survived = kept.count(b"\n")
            rows.append((seed, kills, survived, n_cells, len(report.runs), len(cells), "yes" if whole else "no"))
    head = ("sweep", "kills", "runs kept over them", "cells", "runs at the end", "different cells", "nothing rewritten")
    how = (
        "`kill -9` within 0.3 s after the file changed (a new line, or half a line that is cut off); "
        "half a line is added each time."
    )
    return f"{how}\n\n{table(head, rows)}"


def _draw(points: list[dict[str, Any]], path: Path) -> None:
    """Draw measured over predicted speedups."""
    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for main, colour, marker in (("q4_1", "#d55e00", "s"), ("f16", "#0072b2", "o")):
        of = [point for point in points if point["main"] == main]
        x, y = ([point[f"{kind}_speedup"] for point in of] for kind in ("predicted", "measured"))
        axes.scatter(x, y, color=colour, marker=marker, s=28, label=f"{main.upper()} main")
    ends = [0.9 * min(p["predicted_speedup"] for p in points), 1.05 * max(p["predicted_speedup"] for p in points)]
    axes.plot(ends, ends, color="#888888", linewidth=1, zorder=0)
    axes.fill_between(
        ends, [0.95 * x for x in ends], [1.05 * x for x in ends], color="#888888", alpha=0.15, linewidth=0
    )
    axes.set(xlabel="predicted speedup", ylabel="measured speedup", xlim=ends, ylim=ends)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def honest(n_pairs: int, n_tokens: int) -> str:
    """Race plain decoding against itself and see how often the interval holds 1; return a report in Markdown."""
    texts = prompts(n_pairs)
    ratios = []
    with sv.load("q4_1", None) as pair:

        def plain(text: str) -> float:
            tally = pair.generate(text, max_tokens=n_tokens, detail=False).tally
            return tally.seconds / tally.tokens

        for text in texts:
            plain(text)
            a, b, c, d = (plain(text) for _ in range(4))
            ratios.append((a + d) / (b + c))
    rng = np.random.default_rng(SEED)
    held = {}
    for n in (3, PROMPTS_PER_RACE, 20):
        races = [geometric_mean(rng.choice(ratios, n) ** rng.choice([1, -1], n), seed) for seed in range(RACES)]
        held[n] = sum(found.inside_the_noise for found in races) / RACES
    spread = np.percentile(ratios, [5, 95])
    rows = [(n, f"{100 * share:.1f} %") for n, share in held.items()]
    return (
        f"{n_pairs} prompts, {n_tokens} tokens, ABBA each, Q4_1, plain against plain: ratios from {spread[0]:.3f} to "
        f"{spread[1]:.3f} (5 % to 95 %), geometric mean {geometric_mean(ratios).ratio:.4f}. Resampled into {RACES} "
        "races, where it is drawn which of the two plays the draft's part:\n\n"
        f"{table(('prompts in a race', 'races whose 95 % interval holds 1.0, inside the noise'), rows)}"
    )

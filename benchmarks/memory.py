"""Memory: a hundred generations in a row, and one long trace."""

from __future__ import annotations

import gc

import psutil

import specviz as sv
from benchmarks.measure import table
from specviz.models import demo_drafts

MIB = 2**20


def generations(n: int = 100, max_tokens: int = 64) -> str:
    """Resident memory of host and kernel over `n` generations."""
    rows = []
    with sv.load("q4_1", "17m") as pair:
        here = psutil.Process()
        for i in range(1, n + 1):
            pair.generate(f"Tell me a story about the number {i}", max_tokens=max_tokens, ignore_eos=True)
            if i in (1, 10, 50, n):
                host = psutil.Process(pair._client.pid)
                rows.append((i, host.memory_info().rss / MIB, here.memory_info().rss / MIB))
    tenth = next(row for row in rows if row[0] == 10)
    cells = [
        (i, f"{host:.1f} ({host / tenth[1] - 1:+.1%})", f"{kernel:.1f} ({kernel / tenth[2] - 1:+.1%})")
        for i, host, kernel in rows
    ]
    return table(("generations", "host, MiB (since the 10th)", "kernel, MiB"), cells)


def long_trace(n: int = 20_000) -> str:
    """Memory that a trace of `n` real tokens takes in the kernel."""
    import tracemalloc

    paths = {model.name.rpartition("-")[2][:3]: model.path for model in demo_drafts()}
    tracemalloc.start()
    with sv.load(paths["22m"], paths["12m"], n_ctx=n + 200) as pair:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        trace = pair.generate("Tell me a very long story", max_tokens=n, ignore_eos=True)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    detail = sum(bool(round.main_top) for round in trace.rounds)
    return (
        f"A trace of {len(trace):,} tokens in {len(trace.rounds):,} rounds ({detail:,} with candidates, "
        f"{trace.stats.total_draft_tokens_count:,} drafted tokens) takes {(after - before) / 1e6:.1f} MB."
    )

"""A real llama-server through the remote engine: what our trace counts, against what its own log says."""

from __future__ import annotations

import re
from pathlib import Path

import specviz as sv
from benchmarks import peers
from benchmarks.measure import prompts, table
from specviz.lab.interval import geometric_mean
from specviz.pair import default_threads

LOGGED = re.compile(r"draft acceptance = [\d.]+ \(\s*(\d+) accepted /\s*(\d+) generated\), mean len =\s*([\d.]+)")
LENGTH = 4


def run(n_prompts: int, n_tokens: int) -> str:
    """Generate through the server; return a report in Markdown."""
    programs, threads = peers.build(), default_threads()
    texts = prompts(n_prompts)
    with sv.load("q4_1", "17m") as pair:
        assert pair.spec.draft is not None
        main, draft = Path(pair.spec.main.path), Path(pair.spec.draft.path)
        expected = [pair.generate(text, max_tokens=n_tokens, num_draft_tokens=LENGTH, detail=False) for text in texts]
    rows = []
    with peers.Server(programs, main, draft, threads, LENGTH, 0) as server, sv.load(server.url) as pair:
        name = pair.engine
        for i, text in enumerate(texts):
            before = len(LOGGED.findall(server.log()))
            trace = pair.generate(text, max_tokens=n_tokens)
            accepted, drafted, mean = LOGGED.findall(server.log())[before]
            stats = trace.stats
            rows.append(
                (
                    i,
                    f"{stats.accepted_draft_tokens_count} of {stats.total_draft_tokens_count}",
                    f"{accepted} of {drafted}",
                    f"{stats.mean_acceptance_length:.2f}" if stats.mean_acceptance_length else "",
                    mean,
                    "yes" if trace.text == expected[i].text else "no",
                )
            )
        with peers.Server(programs, main, None, threads, 0, 0) as plain, sv.load(plain.url) as without:
            raced = sv.race(pair, texts, baseline=without, max_tokens=n_tokens, progress=False)
    head = (
        "prompt",
        "our trace: accepted of drafted",
        "its log",
        "our mean acceptance length",
        "its log",
        "the text is ours",
    )
    speedup = geometric_mean(raced.ratios())
    return (
        f"{name}, Q4_1 main, draft 17m, length {LENGTH}, {n_tokens} tokens.\n\n{table(head, rows)}\n\n"
        f"Raced against a server without a draft, through the same engine: {speedup}."
    )

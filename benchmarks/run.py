"""Run all benchmarks and write RESULTS.md."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from benchmarks import memory, overhead, speed
from benchmarks.measure import machine
from specviz.pair import default_threads

RESULTS = Path(__file__).parent / "RESULTS.md"
PREAMBLE = """# Results

Written by `python -m benchmarks.run`. Machine: {machine}; {threads} model thread(s).
{date}. Figures are ratios within one interleaved run (ABBA), with 95 % bootstrap intervals over prompts; greedy, prompt
processing apart, every way warmed up. Absolute tokens/s are of this machine in that hour and mean little elsewhere.
"""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer prompts and repeats; prints only")
    quick = parser.parse_args().quick
    n, tokens, repeats = (3, 64, 1) if quick else (6, 96, 1)
    sections = [
        ("Plain against speculative decoding", lambda: speed.run(n, tokens, repeats)),
        ("Cost of the trace's detail", lambda: overhead.detail(n, tokens, repeats)),
        ("Cost of an attached widget", lambda: overhead.widget(n, tokens, repeats)),
        (
            "Memory",
            lambda: memory.generations(20 if quick else 100) + "\n\n" + memory.long_trace(2000 if quick else 20_000),
        ),
    ]
    parts = [PREAMBLE.format(machine=machine(), threads=default_threads(), date=date.today())]
    for title, measure in sections:
        parts.append(f"## {title}\n\n{measure()}\n")
        print(parts[-1], flush=True)
    if not quick:
        RESULTS.write_text("\n".join(parts))


if __name__ == "__main__":
    main()

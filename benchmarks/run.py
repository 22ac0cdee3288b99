"""Run the benchmarks, all or some, and write what they measured into RESULTS.md."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

from benchmarks import automatic, identity, lab, memory, mlx, overhead, remote, sampling, speed, stage, versus
from benchmarks.measure import machine
from specviz.pair import default_threads

RESULTS = Path(__file__).parent / "RESULTS.md"
PREAMBLE = """# Results

Written by `python -m benchmarks.run`, section by section. Figures are ratios within one interleaved run (ABBA; of more
than two ways: all in turn, then in reverse), with 95 % bootstrap intervals over prompts; prompt processing apart, every
way warmed up, greedy where nothing else is said. Absolute tokens/s are of the machine in that hour and mean little
elsewhere.
"""
SECTIONS: dict[str, tuple[str, Callable[[bool], str]]] = {
    "speed": ("Plain against speculative decoding", lambda quick: speed.run(*_size(quick, 6, 96))),
    "versus": ("Against llama.cpp's programs", lambda quick: versus.run(*_size(quick, 8, 64))),
    "automatic": ("The automatic draft length against a grid", lambda quick: automatic.run(*_size(quick, 4, 96))),
    "bad": (
        "The automatic draft length on a draft good for nothing",
        lambda quick: automatic.bad(*_size(quick, 1, 96)),
    ),
    "sampling": ("The rules side by side at temperature 1", lambda quick: sampling.run(*_size(quick, 8, 96))),
    "identity": ("Greedy output with and without draft", lambda quick: identity.run(128, 6 if quick else 100)),
    "mlx": ("The MLX engine against mlx-lm", lambda quick: mlx.run(*_size(quick, 4, 24))),
    "audit": ("Audits against real runs", lambda quick: lab.exact(*((3, 48) if quick else (20, 128)))),
    "audit-cost": (
        "What an audit costs, beside the grid it stands for",
        lambda quick: lab.cost(*((3, 48, 12) if quick else (20, 128, 120))),
    ),
    "predicted": (
        "Predicted against measured speed",
        lambda quick: lab.predicted(1, 48, plot=None) if quick else lab.predicted(4, 64),
    ),
    "honest": ("Races of nothing against nothing", lambda quick: lab.honest(*((8, 24) if quick else (48, 48)))),
    "killed": ("Sweeps that are killed and go on", lambda quick: lab.killed(*((1, 2) if quick else (4, 5)))),
    "remote": ("A llama-server through the remote engine", lambda quick: remote.run(*((2, 24) if quick else (8, 64)))),
    "detail": ("Cost of the trace's detail", lambda quick: overhead.detail(*_size(quick, 6, 96))),
    "widget": ("Cost of an attached widget", lambda quick: overhead.widget(*_size(quick, 6, 96))),
    "stage": ("The stage under load", lambda quick: stage.run(*((5000, 20_000, 1) if quick else ()))),
    "memory": (
        "Memory",
        lambda quick: memory.generations(20 if quick else 100) + "\n\n" + memory.long_trace(2000 if quick else 20_000),
    ),
}


def _size(quick: bool, n_prompts: int, n_tokens: int) -> tuple[int, int, int]:
    """Return prompts, tokens and repeats."""
    return (max(1, n_prompts // 3), n_tokens // 2, 1) if quick else (n_prompts, n_tokens, 1)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer prompts and tokens; prints only")
    arguments = parser.parse_args()
    chosen = arguments.sections or list(SECTIONS)
    if unknown := set(chosen) - SECTIONS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in chosen:
        title, measure = SECTIONS[name]
        where = f"{machine()}; {default_threads()} model thread(s); {date.today()}"
        text = f"## {title}\n\n`{name}`: {where}\n\n{measure(arguments.quick)}\n"
        print(text, flush=True)
        if not arguments.quick:
            _write(title, text)


def _write(title: str, text: str) -> None:
    """Replace a section of RESULTS.md, or add it; the order is that of `SECTIONS`."""
    known = RESULTS.read_text() if RESULTS.is_file() else ""
    found = re.split(r"^(?=## )", known, flags=re.MULTILINE)[1:]
    parts = {part.split("\n", 1)[0].removeprefix("## "): part.rstrip() + "\n" for part in found}
    parts[title] = text
    ordered = [parts[heading] for heading, _ in SECTIONS.values() if heading in parts]
    RESULTS.write_text("\n".join([PREAMBLE, *ordered]))


if __name__ == "__main__":
    main()

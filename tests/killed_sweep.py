"""A sweep in a process of its own that is killed at random moments; `benchmarks/lab.py` does it more often."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from specviz.models import demo_drafts

QUICK = tuple(str(next(one.path for one in demo_drafts() if name in one.name)) for name in ("22m", "12m"))
PROMPTS: list[Any] = [
    "Count to ten.",
    "Name a colour.",
    [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Why?"}],
]
HALF_A_LINE = b'{"key": "half a li'


def sweep_and_kill(folder: Path, grid: dict[str, tuple[float, ...]], kills: int, seed: int) -> bytes:
    """Start a sweep into `sweep.jsonl` so often, and kill it soon after it changed the file each time.

    Returns
    -------
    bytes
        The whole lines of the file, to which half a line was added after each kill.
    """
    rng = random.Random(seed)
    file = folder / "sweep.jsonl"
    code = f"""
import specviz as sv
print("begun", flush=True)
sv.sweep([{QUICK!r}], {PROMPTS!r}, {grid!r}, file="sweep.jsonl", max_tokens=6, progress=False)
"""
    kept = b""
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        before = len(_read(file))
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None and len(_read(file)) == before:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
        assert process.poll() is None, "it ended before it was killed: the grid is too small"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert _read(file).startswith(kept), "something was lost, or written anew"
        kept = _read(file)[: _read(file).rfind(b"\n") + 1]
        with file.open("ab") as broken:
            broken.write(HALF_A_LINE)
    return kept


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""

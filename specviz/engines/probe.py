"""Which engines work on this machine, each tried in a process of its own: a broken library ends nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from specviz.engines.errors import EngineMissingError, ended_by
from specviz.engines.registry import ENGINES, check_engine
from specviz.engines.report import EngineReport

TIME_LIMIT = 60.0
"""Seconds; a check takes one or two."""
STDERR_TAIL = 500


def probe(name: str, *, seconds: float = TIME_LIMIT) -> EngineReport:
    """Try an engine, however often it was tried before.

    Raises
    ------
    EngineMissingError
        If there is no such engine.
    """
    if name not in ENGINES:
        raise EngineMissingError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    command = [sys.executable, "-m", "specviz.engines.probe", name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return _broken(name, f"its check did not end within {seconds:g} seconds")
    except OSError as error:
        return _broken(name, f"its check cannot be started: {error}")
    if done.returncode != 0:
        said = done.stderr[-STDERR_TAIL:].decode("utf-8", "replace").strip().splitlines()
        last = f": {said[-1]}" if said and done.returncode > 0 else ""
        return _broken(name, f"the process of its check {ended_by(done.returncode)}{last}")
    try:
        return msgspec.json.decode(done.stdout, type=EngineReport)
    except msgspec.DecodeError:
        return _broken(name, "its check gave no report")


def probe_all(*, seconds: float = TIME_LIMIT) -> list[EngineReport]:
    """Try all engines, one after the other."""
    return [probe(name, seconds=seconds) for name in ENGINES]


def _broken(name: str, reason: str) -> EngineReport:
    return EngineReport(name=name, state="broken", reason=reason)


def main() -> None:
    """Try one engine in this process and write the report; what a library prints goes to standard error."""
    report_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with report_out:
        report_out.write(msgspec.json.encode(check_engine(sys.argv[1])))


if __name__ == "__main__":
    main()

"""Prompts for experiments: given one by one, or in a file with categories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from specviz.pair import Prompt
from specviz.trace import Trace

SEED_PROMPTS = (
    "Write a quicksort algorithm in Python. Write code only.",
    "Explain the Pythagorean theorem",
    "Plan a 1 day trip to DC",
)
"""Of LM Studio's announcement of speculative decoding."""


class LabPrompt(NamedTuple):
    """A prompt, and the kind of task it stands for."""

    prompt: Prompt
    category: str = ""

    @property
    def text(self) -> str:
        """What the user says (of a chat: last)."""
        if isinstance(self.prompt, str):
            return self.prompt
        return self.prompt.header.prompt if isinstance(self.prompt, Trace) else self.prompt[-1]["content"]


Prompts = str | Path | Sequence[Prompt | LabPrompt] | None
"""What experiments take: prompts, the name of a file of them (`*.jsonl`), or None: `SEED_PROMPTS`."""


def prompts_of(given: Prompts) -> list[LabPrompt]:
    """Return what is meant by an experiment's `prompts`.

    Raises
    ------
    OSError, ValueError
        As `read_prompts`; also if there are none.
    """
    if given is None:
        return [LabPrompt(text) for text in SEED_PROMPTS]
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(".jsonl")):
        return read_prompts(given)
    several = [given] if isinstance(given, str) else given
    found = [one if isinstance(one, LabPrompt) else LabPrompt(one) for one in several]
    if not found:
        raise ValueError("there are no prompts")
    return found


def read_prompts(path: str | Path) -> list[LabPrompt]:
    """Read prompts from JSON lines, with their `category`: `prompt`, or the first of Spec-Bench's `turns`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a line is not JSON or holds no prompt; the message says which.
    """
    prompts = []
    for n, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {n} of {path} is not JSON: {error}") from None
        row = row if isinstance(row, dict) else {}
        turns = row.get("turns")
        prompt = turns[0] if isinstance(turns, list) and turns else row.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"line {n} of {path} has neither prompt nor turns")
        prompts.append(LabPrompt(prompt, str(row.get("category") or "")))
    if not prompts:
        raise ValueError(f"there are no prompts in {path}")
    return prompts

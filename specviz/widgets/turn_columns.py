"""An earlier turn of a conversation as a page shows it: compact, without its figures token by token."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from specviz.trace import Turn
from specviz.trace.projection import project_answer
from specviz.trace.reasoning import TAGS


def turn_columns(turn: Turn, reasoning_tags: Sequence[str] = TAGS) -> dict[str, Any]:
    """Return one of the `turns` of docs/protocol.md: an answer in runs of tokens of one kind."""
    content = project_answer(turn.traces, reasoning_tags).take()
    tokens = content.get("tokens", {"text": [], "kind": ""})
    thinking = _thinking(content.get("reasoning"), len(tokens["text"]))
    shown = [
        (kind, text)
        for kind, text, thought in zip(tokens["kind"], tokens["text"], thinking, strict=True)
        if kind.islower() and not thought
    ]
    runs = [(kind, "".join(text for _, text in run)) for kind, run in groupby(shown, lambda token: token[0])]
    n_thoughts = sum(thinking)
    left_out = [f"{n_thoughts:,} tokens of reasoning left out"] if n_thoughts else []
    return {
        "user": turn.user,
        "text": [text for _, text in runs],
        "kind": "".join(kind for kind, _ in runs),
        "caption": " · ".join([*figures(content["stats"]), *left_out]),
    }


def figures(stats: list[dict[str, str]]) -> list[str]:
    """Return the figures of an answer that stand in a line beside it; `stats` are those of docs/protocol.md."""
    rows = {row["key"]: row["value"] for row in stats}
    accepted = f"{rows['draft_acceptance_rate']} accepted" if "draft_acceptance_rate" in rows else "nothing drafted"
    more = (("tokens_per_second", "{} tok/s"), ("speedup", "speedup {}"))
    return [accepted, *(words.format(rows[key]) for key, words in more if key in rows)]


def _thinking(reasoning: dict[str, Any] | None, n: int) -> list[bool]:
    """Return of each token whether it is part of a reasoning block."""
    thinking = [False] * n
    if reasoning is not None:
        borders = [*reasoning["start"], n]
        for kind, start, stop in zip(reasoning["kind"], borders, borders[1:], strict=False):
            thinking[start:stop] = [kind != "a"] * (stop - start)
    return thinking

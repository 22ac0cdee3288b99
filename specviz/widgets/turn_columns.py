"""An earlier turn of a conversation as a page shows it: compact, without its figures token by token."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from specviz.trace import Turn
from specviz.trace.projection import project_answer, stats_rows
from specviz.trace.reasoning import TAGS


def turn_columns(turn: Turn, reasoning_tags: Sequence[str] = TAGS) -> dict[str, Any]:
    """Return one of the `turns` of docs/protocol.md: an answer in runs of tokens of one kind."""
    projection = project_answer(turn.traces, reasoning_tags)
    content = projection.take()
    tokens = content.get("tokens", {"text": [], "kind": ""})
    thinking = _thinking(content.get("reasoning"), len(tokens["text"]))
    shown = [
        (kind, text)
        for kind, text, thought in zip(tokens["kind"], tokens["text"], thinking, strict=True)
        if kind.islower() and not thought
    ]
    runs = [(kind, "".join(text for _, text in run)) for kind, run in groupby(shown, lambda token: token[0])]
    rows = {row["key"]: row["value"] for row in stats_rows(projection.stats)}
    n_thoughts = sum(thinking)
    caption = (
        f"{rows['draft_acceptance_rate']} accepted" if "draft_acceptance_rate" in rows else "nothing drafted",
        f"{rows['tokens_per_second']} tok/s" if "tokens_per_second" in rows else "",
        f"speedup {rows['speedup']}" if "speedup" in rows else "",
        f"{n_thoughts:,} tokens of reasoning left out" if n_thoughts else "",
    )
    return {
        "user": turn.user,
        "text": [text for _, text in runs],
        "kind": "".join(kind for kind, _ in runs),
        "caption": " · ".join(filter(None, caption)),
    }


def _thinking(reasoning: dict[str, Any] | None, n: int) -> list[bool]:
    """Return of each token whether it is part of a reasoning block."""
    thinking = [False] * n
    if reasoning is not None:
        borders = [*reasoning["start"], n]
        for kind, start, stop in zip(reasoning["kind"], borders, borders[1:], strict=False):
            thinking[start:stop] = [kind != "a"] * (stop - start)
    return thinking

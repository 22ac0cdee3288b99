"""The rules `match` and `rejection` side by side at temperature 1, on the real pair."""

from __future__ import annotations

from collections.abc import Callable

import specviz as sv
from benchmarks.measure import in_turn, interval_text, prompts, table

WAYS: dict[str, dict[str, object]] = {
    "plain": {"draft": None},
    "match, length 4": {"rule": "match"},
    "rejection, length 4": {"rule": "rejection"},
    "match, automatic": {"rule": "match", "num_draft_tokens": "auto"},
    "rejection, automatic": {"rule": "rejection", "num_draft_tokens": "auto"},
}


def run(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure both mains and return a report in Markdown."""
    return "\n\n".join(_with_main(main, n_prompts, n_tokens, repeats) for main in ("q4_1", "f16"))


def _with_main(main: str, n_prompts: int, n_tokens: int, repeats: int) -> str:
    runs: dict[str, list[list[sv.Stats]]] = {}
    with sv.load(main, "17m") as pair:
        for i, prompt in enumerate(prompts(n_prompts)):

            def way(settings: dict[str, object], prompt: str = prompt, seed: int = i) -> Callable[[], sv.Stats]:
                asked = {"max_tokens": n_tokens, "temperature": 1.0, "ignore_eos": True, "seed": seed} | settings
                return lambda: pair.generate(prompt, **asked).stats

            ways = {name: way(settings) for name, settings in WAYS.items()}
            for one in ways.values():
                one()
            for name, measured in in_turn(ways, repeats).items():
                runs.setdefault(name, []).append(measured)
        title = f"### {pair.main.name}"
    speeds = {
        name: [sum(one.output_tokens for one in of) / sum(one.generation_time for one in of) for of in measured]
        for name, measured in runs.items()
    }
    rows = []
    for name, measured in runs.items():
        flat = [one for of in measured for one in of]
        accepted = sum(one.accepted_draft_tokens_count for one in flat)
        refused = sum(one.refused for one in flat)
        drafted = sum(one.total_draft_tokens_count for one in flat)
        ratios = [a / b for a, b in zip(speeds[name], speeds["plain"], strict=True)]
        rows.append(
            (
                name,
                f"{accepted / (accepted + refused):.1%}" if accepted + refused else "",
                f"{accepted / drafted:.1%}" if drafted else "",
                f"{sum(one.output_tokens for one in flat) / sum(one.rounds for one in flat):.2f}",
                f"{sum(speeds[name]) / len(speeds[name]):.1f}",
                "" if name == "plain" else interval_text(ratios),
            )
        )
    head = ("way", "alpha", "accepted / drafted", "tokens per round", "tokens/s", "to plain")
    return f"{title}\n\n{table(head, rows)}"

"""Greedy output with a draft against plain decoding, on a hundred prompts: every token, and margins where they part."""

from __future__ import annotations

import specviz as sv
from benchmarks.measure import prompts, table
from tests.greedy import PROMPTS, margin_at_first_difference

WAYS: tuple[dict[str, object], ...] = ({}, {"num_draft_tokens": "auto"}, {"num_draft_tokens": 8, "p_min": 0.3})
"""Taken in turn, prompt by prompt."""
SUBJECTS = ("rivers", "bread", "gravity", "chess", "winter", "trains", "whales", "paper", "volcanoes", "music")
FORMS = ("Tell me about {}.", "Write a short poem about {}.", "List five facts about {}.")


def hundred() -> list[str]:
    """Return 100 different prompts: the shared ones, those of the tests, and templates."""
    made = [form.format(subject) for form in FORMS for subject in SUBJECTS]
    return list(dict.fromkeys([*prompts(57), *PROMPTS, *made]))[:100]


def run(n_tokens: int, n_prompts: int = 100) -> str:
    """Compare and return a report in Markdown."""
    rows = []
    for main in ("q4_1", "f16"):
        margins: list[float] = []
        with sv.load(main, "17m") as pair:
            for i, prompt in enumerate(hundred()[:n_prompts]):
                plain = pair.generate(prompt, max_tokens=n_tokens, draft=None)
                drafted = pair.generate(prompt, max_tokens=n_tokens, **WAYS[i % len(WAYS)])
                margin = margin_at_first_difference(plain, drafted)
                if margin is not None:
                    margins.append(margin)
            name = pair.main.name
        widest = f"{max(margins):.4f}" if margins else ""
        rows.append((name, min(n_prompts, len(hundred())), n_tokens, len(margins), widest))
    return table(("main", "prompts", "tokens each", "texts that part", "widest margin, logits"), rows)

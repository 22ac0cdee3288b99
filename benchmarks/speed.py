"""Plain against speculative decoding on the demo pair."""

from __future__ import annotations

import specviz as sv
from benchmarks.measure import interleave, interval_text, prompts, table

SETTINGS = (("fixed length 4", {}), ("length 4, p_min 0.5", {"p_min": 0.5}))


def run(n_prompts: int, max_tokens: int, repeats: int) -> str:
    """Measure and return a report in Markdown."""
    parts = []
    for main in ("q4_1", "f16"):
        with sv.load(main, "17m") as pair:
            for name, settings in SETTINGS:
                parts.append(_compare(pair, name, settings, n_prompts, max_tokens, repeats))
    return "\n\n".join(parts)


def _compare(
    pair: sv.Pair, name: str, settings: dict[str, float], n_prompts: int, max_tokens: int, repeats: int
) -> str:
    rows, ratios = [], []
    for prompt in prompts(n_prompts):
        asked = {"max_tokens": max_tokens, "ignore_eos": True}
        pair.generate(prompt, **asked, draft=None)
        drafted = pair.generate(prompt, **asked, **settings)

        def plain(prompt: str = prompt, asked: dict[str, object] = asked) -> float:
            return pair.generate(prompt, **asked, draft=None).stats.tokens_per_second

        def speculative(prompt: str = prompt, asked: dict[str, object] = asked) -> float:
            return pair.generate(prompt, **asked, **settings).stats.tokens_per_second

        of_plain, of_spec = interleave(plain, speculative, repeats)
        mean_plain, mean_spec = sum(of_plain) / len(of_plain), sum(of_spec) / len(of_spec)
        ratios.append(mean_spec / mean_plain)
        stats = drafted.stats
        rows.append(
            (
                prompt.split("\n")[0][:48].replace("|", "/"),
                f"{mean_plain:.1f}",
                f"{mean_spec:.1f}",
                f"{ratios[-1]:.2f}",
                f"{stats.draft_acceptance_rate:.0%}",
                f"{stats.mean_acceptance_length:.2f}",
            )
        )
    head = ("prompt", "plain tok/s", "speculative tok/s", "ratio", "acceptance", "length")
    title = f"### {pair.main.name}, {name}\n\n"
    return f"{title}Speedup, geometric mean over prompts: **{interval_text(ratios)}**\n\n{table(head, rows)}"

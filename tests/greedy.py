"""Prompts, and what is asked of two greedy runs of the same prompt."""

from __future__ import annotations

from math import inf, log

import specviz as sv

PRESETS = (
    "Write a quicksort algorithm in Python. Write code only.",
    "Explain the Pythagorean theorem",
    "Plan a 1 day trip to DC",
)
PROMPTS = (
    *PRESETS,
    "What is the capital of France, and what is it known for?",
    "Write a haiku about the sea.",
    "Summarise the plot of Romeo and Juliet in three sentences.",
    "Translate to Spanish: The train leaves at seven in the morning.",
    "List ten fruits, one per line.",
    "What is 17 times 23? Show the steps.",
    "Write a Python function that checks whether a string is a palindrome.",
    "Explain how a refrigerator works to a ten-year-old.",
    "Give me a recipe for pancakes.",
    "Why is the sky blue?",
    "Write an email asking my landlord to repair the heating.",
    "Count from one to thirty in words.",
    "What are the differences between TCP and UDP?",
    "Tell me a short story about a dragon who is afraid of fire.",
    "Repeat the following sentence five times: The quick brown fox jumps over the lazy dog.",
    "Write an SQL query that returns the three customers with the highest total orders.",
    "What happened in 1969? Name three events.",
    "Describe the taste of a lemon without using the word sour.",
    "Name the planets of the solar system and one fact about each.",
    "Éla: comment dit-on « bonjour » en japonais (日本語) et en grec?",
)


def margin_at_first_difference(plain: sv.Trace, drafted: sv.Trace) -> float | None:
    """Return the plain run's margin, in logits, between its first and second choice where the texts part.

    None if they do not; infinite if one goes on where the other ends.
    """
    pairs = zip(plain.token_ids, drafted.token_ids, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        return None if len(plain) == len(drafted) else inf
    (_, first), (_, second) = plain.rounds[at].main_top[0][:2]
    return log(first) - log(second)

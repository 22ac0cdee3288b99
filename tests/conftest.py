"""Real models for the tests: the demo pair, and a quick pair made of two of its drafts."""

from __future__ import annotations

import pytest

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


def pytest_collection_modifyitems(items):
    """Run the browser tests last, so that what they show has been tested before."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def pair():
    """SmolLM2-135M-Instruct Q4_1 with the 17m draft, in the shared host."""
    with sv.load() as pair:
        yield pair


@pytest.fixture(scope="session")
def quick_pair():
    """The 22m draft as a main model for the 12m one: same tokenizer, about ten times quicker than SmolLM2."""
    from specviz.models import demo_drafts

    paths = {model.name.rpartition("-")[2][:3]: model.path for model in demo_drafts()}
    with sv.load(paths["22m"], paths["12m"]) as pair:
        yield pair

"""Teacher forcing: what a model would have said at every position of a text that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from specviz.decoding.engine import EvaluationStopped, MainModel

WIDTH = 32
"""Tokens per pass: llama.cpp's arithmetic is then that of single steps on a CPU, with flash attention."""


class Score(NamedTuple):
    """One position of a text."""

    favourite: int
    """Token that the model would have proposed, by the settings it was made with (greedy)."""
    confidence: float
    """Its probability: full-vocabulary softmax at temperature 1."""
    probability: float
    """The same of the token that stands there."""


def score(
    model: MainModel, prompt: Sequence[int], tokens: Sequence[int], stopped: Callable[[], bool] = lambda: False
) -> Iterator[Score]:
    """Yield a score for each of `tokens`, which follow `prompt`.

    Parameters
    ----------
    model
        Made with temperature 0; the model whose view is wanted, main model or draft.
    prompt
        Token ids, at least one.
    tokens
        Token ids; with the prompt they must fit into the model's context.
    stopped
        Asked between passes.

    Raises
    ------
    EvaluationStopped
        If `stopped` says so.
    """
    model.begin(prompt)
    before = [prompt[-1], *tokens[:-1]]
    for start in range(0, len(tokens), WIDTH):
        if stopped():
            raise EvaluationStopped
        model.evaluate(before[start : start + WIDTH])
        for i, token in enumerate(tokens[start : start + WIDTH]):
            favourite = model.distribution(i).draw(0.0)
            yield Score(favourite, model.probability(i, favourite), model.probability(i, token))

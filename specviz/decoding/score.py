"""Teacher forcing: what models would have said at every position of a text that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from specviz.decoding.distribution import Distribution, Floats, Ids
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


def continuations(
    model: MainModel,
    prompt: Sequence[int],
    tokens: Sequence[int],
    favourites: Sequence[int],
    length: int,
    stopped: Callable[[], bool] = lambda: False,
) -> list[tuple[float, ...]]:
    """Return what a draft would go on to say after each of its misses, greedily: how much it trusts its next tokens.

    Where the favourite is the token that stands there, what follows is known from the text; so only misses are rolled
    out. `score` must have read the text with this model just before: it is still in the cache.

    Parameters
    ----------
    favourites
        The model's, at each position (`Score.favourite`).
    length
        Tokens to draft after a miss; fewer where the model ends the text.

    Returns
    -------
    list of tuples of floats
        For each position the probabilities of the tokens drafted after the favourite; empty where that is no miss.

    Raises
    ------
    EvaluationStopped
        If `stopped` says so.
    """
    found: list[tuple[float, ...]] = [()] * len(tokens)
    for at in reversed(range(len(tokens))):
        if favourites[at] == tokens[at]:
            continue
        if stopped():
            raise EvaluationStopped
        room = min(length, model.n_ctx - len(prompt) - at - 1)
        model.rewind(len(prompt) + at)
        token = favourites[at]
        confidences: list[float] = []
        while len(confidences) < room and not model.is_end(token):
            model.evaluate([token])
            token = model.distribution(0).draw(0.0)
            confidences.append(model.probability(0, token))
        found[at] = tuple(confidences)
    return found


class Overlap(NamedTuple):
    """How far two models agree on one position of a text, as their samplers have it (p: main model, q: draft)."""

    common: float
    """sum(min(p, q)), one less the total variation distance: what `rejection` accepts of a sampled draft."""
    product: float
    """sum(p q): what `match` accepts of a *sampled* draft (mlx-lm's stock generator)."""
    greedy: float
    """p(argmax q): what `match` accepts of a greedy draft."""
    ceiling: float
    """max p: what `match` would accept of the best of greedy drafts."""
    rank: int
    """Rank, from 1, of the token that stands there in the draft's distribution."""
    p: float
    """Main model's probability of that token."""
    q: float
    """The draft's."""
    main_entropy: float
    """In nats."""
    draft_entropy: float


def overlap(
    main: MainModel,
    draft: MainModel,
    prompt: Sequence[int],
    tokens: Sequence[int],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Overlap]:
    """Yield, for each of `tokens`, how far the draft's distribution agrees with the main model's.

    Parameters and errors are those of `score`; both models are made with the settings of the sampler that is meant, at
    a temperature above 0.
    """
    main.begin(prompt)
    draft.begin(prompt)
    before = [prompt[-1], *tokens[:-1]]
    for start in range(0, len(tokens), WIDTH):
        if stopped():
            raise EvaluationStopped
        main.evaluate(before[start : start + WIDTH])
        draft.evaluate(before[start : start + WIDTH])
        for i, token in enumerate(tokens[start : start + WIDTH]):
            yield _overlap(main.distribution(i), draft.distribution(i), token)


def _overlap(main: Distribution, draft: Distribution, token: int) -> Overlap:
    p, q = main.probabilities, draft.probabilities
    if main.ids is not draft.ids:
        ids = np.union1d(main.ids, draft.ids)
        p, q = _spread(main, ids), _spread(draft, ids)
    of_token = draft.probability(token)
    return Overlap(
        common=min(1.0, float(np.minimum(p, q).sum(dtype=np.float64))),
        product=float(p @ q),
        greedy=float(p[q.argmax()]),
        ceiling=float(p.max()),
        rank=1 + int(np.count_nonzero(q > of_token)),
        p=main.probability(token),
        q=of_token,
        main_entropy=_entropy(p),
        draft_entropy=_entropy(q),
    )


def _spread(one: Distribution, ids: Ids) -> Floats:
    probabilities = np.zeros(len(ids))
    probabilities[np.searchsorted(ids, one.ids)] = one.probabilities
    return probabilities


def _entropy(p: Floats) -> float:
    p = p[p > 0]
    return max(0.0, float(-(p @ np.log(p))))

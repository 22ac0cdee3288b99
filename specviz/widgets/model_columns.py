"""Models and offers as the columns that the page shows (docs/protocol.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from specviz.engines.registry import installed
from specviz.models.advice import Offer
from specviz.models.card import ModelCard
from specviz.models.compatibility import WHAT
from specviz.models.index import Progress

MORE_OF = "and {} more for the same reason"


def model_columns(
    cards: Sequence[ModelCard], key: Callable[[str], str], notes: dict[str, str] | None = None
) -> dict[str, list[Any]]:
    """Return what the page shows of models.

    Parameters
    ----------
    cards
        The models.
    key
        Gives the key of a path.
    notes
        Half a line more about some, by path.
    """
    notes = notes or {}
    columns: dict[str, list[Any]] = {
        name: [getattr(card, name) for card in cards]
        for name in (
            "name",
            "path",
            "source",
            "architecture",
            "n_params",
            "quantization",
            "bits_per_weight",
            "size_bytes",
            "n_ctx",
            "n_vocab",
            "has_chat_template",
        )
    }
    return columns | {
        "key": [key(card.path) for card in cards],
        "tokenizer": [_tokenizer(card) for card in cards],
        "note": [notes.get(card.path, "") for card in cards],
        "reason": [unusable(card) for card in cards],
    }


def unusable(card: ModelCard) -> str:
    """Say why a model cannot be a main model, as the end of a sentence that begins with its name; empty: it can."""
    if card.damaged:
        return card.damaged
    if card.kind != "model":
        return f"is {WHAT[card.kind]}, which generates no text" if card.kind in WHAT else "has no weights"
    if not installed(card.engine):
        return f"runs in {card.engine}, which is not installed: the command specviz engines says how to get it"
    return ""


def offer_columns(
    main: str, offers: Sequence[Offer], others: Sequence[ModelCard], key: Callable[[str], str], default: str
) -> dict[str, Any]:
    """Return what the page shows of the drafts of a main model.

    Parameters
    ----------
    main
        The main model's key.
    offers
        Its drafts, in order.
    others
        What was found but generates no text.
    key
        Gives the key of a path.
    default
        Key of the remembered draft; empty: none is remembered.
    """
    fits = [offer.fit.compatible for offer in offers]
    return {
        "main": main,
        "key": [key(offer.card.path) for offer in offers] + [key(card.path) for card in others],
        "fits": fits + [False] * len(others),
        "reason": ["; ".join(offer.fit.reasons) for offer in offers] + [unusable(card) for card in others],
        "recommended": [offer.advice.recommended for offer in offers] + [""] * len(others),
        "warnings": [list(offer.advice.warnings) for offer in offers] + [[] for _ in others],
        "default": default,
        "why": "" if any(fits) else why_none(offers),
    }


def why_none(offers: Sequence[Offer]) -> str:
    """Say why no draft fits: of the commonest reason, the first model that has it."""
    if not offers:
        return "there is no other model on this machine"
    ((reasons, n),) = Counter(offer.fit.reasons for offer in offers).most_common(1)
    name = next(offer.card.name for offer in offers if offer.fit.reasons == reasons)
    said = f"{name} does not fit: {'; '.join(reasons)}"
    return said if n == 1 else f"{said}; {MORE_OF.format(f'{n - 1:,}')}"


def progress_columns(progress: Progress) -> dict[str, Any]:
    """Return how far the search is."""
    return {"state": progress.state, "k": progress.k, "n": progress.n, "detail": progress.detail}


def _tokenizer(card: ModelCard) -> str:
    tokenizer = card.tokenizer
    if tokenizer is None:
        return ""
    return f"{tokenizer.kind} ({tokenizer.pre})" if tokenizer.pre else tokenizer.kind

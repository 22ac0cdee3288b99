"""Which of the drafts that fit a main model is worth trying first, and what speaks against one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from specviz.models.card import ModelCard
from specviz.models.compatibility import Compatibility

SMALL, LARGE = 1 / 10, 1 / 5
"""Parts of the main model's parameters: up to the first a draft is small, above the second it is large."""
FEW_BITS, MOST_BITS = 4.0, 9.0
"""Bits per weight, between which a draft loses little and is quick to read (Q8_0 has 8.5)."""
VERY_FEW_BITS = 3.0
CONTEXT = 4096
"""Tokens that a context holds unless the user says otherwise."""
KV_BYTES = 0.05
"""See `cache_bytes`."""
SIZE_LABEL = re.compile(r"(?<![a-z0-9.])\d+(\.\d+)?[mb](?![a-z0-9])")


class Advice(Struct, frozen=True, kw_only=True):
    """What speaks for a draft and against it."""

    score: float
    """For ranking the drafts of one main model, higher is better: see `score`. 0 where the draft does not fit."""
    recommended: str = ""
    """Why it is the one to take; empty for all but at most one draft of a main model."""
    warnings: tuple[str, ...] = ()
    """What is to be expected of it, in sentences without full stops."""


class Offer(Struct, frozen=True, kw_only=True):
    """One line of a list of drafts."""

    card: ModelCard
    fit: Compatibility
    advice: Advice
    is_default: bool = False
    """Whether it is remembered as the main model's default."""


def rank(
    main: ModelCard,
    drafts: Iterable[tuple[ModelCard, Compatibility]],
    *,
    made_for: Mapping[str, str] | None = None,
    default: str | None = None,
    memory_bytes: int | None = None,
    gpu_bytes: int | None = None,
) -> list[Offer]:
    """Put drafts in order: those that fit, the best first, then the others by name.

    Parameters
    ----------
    main
        The main model.
    drafts
        Each with what there is to say about it as a draft of `main`.
    made_for
        Paths of drafts that were made for this very model, each with what to say about it.
    default
        Real path (links resolved) of the draft that is remembered as its default.
    memory_bytes, gpu_bytes
        Memory that is available, and that a GPU has in all; None: not known.
    """
    made_for = made_for or {}
    offers = []
    for card, fit in drafts:
        advice = Advice(score=0.0)
        if fit:
            advice = Advice(
                score=score(main, card, fit, made_for=card.path in made_for),
                warnings=tuple(_warnings(main, card, memory_bytes, gpu_bytes)),
            )
        offers.append(Offer(card=card, fit=fit, advice=advice, is_default=os.path.realpath(card.path) == default))
    offers.sort(key=_place)
    if offers and offers[0].fit:
        best = offers[0]
        too_big = any(_does_not_fit(main, best.card, memory_bytes, gpu_bytes))
        reason = "" if too_big else made_for.get(best.card.path) or _reason(main, best.card)
        offers[0] = structs.replace(best, advice=structs.replace(best.advice, recommended=reason))
    return offers


def _place(offer: Offer) -> tuple[bool, float, int, str, str]:
    """Return what offers are sorted by; of equals the smaller file comes first, then the name decides."""
    card, fits = offer.card, offer.fit.compatible
    return not fits, -offer.advice.score, card.size_bytes if fits else 0, card.name.lower(), card.path


def score(main: ModelCard, draft: ModelCard, fit: Compatibility, *, made_for: bool = False) -> float:
    """Return how promising a draft is that fits.

    The sum of: 3 for a tenth or less of the main model's parameters, 2 for up to a fifth, 1 for more, -10 for more
    than the main model has; less the ratio itself (the smaller the quicker); 1.5 for a model of the same family, which
    says what the main model says more often; 0.5 for 4 to 8 bits a weight, 0.25 for more or for 3, 0 for fewer; 0.25
    for a vocabulary that is the same in everything; 10 where it was made for this very model.

    So the family counts for more than the step at a tenth or at a fifth, and for less than both.
    """
    ratio = size_ratio(main, draft)
    bits = draft.bits_per_weight
    return (
        (3 if ratio <= SMALL else 2 if ratio <= LARGE else 1 if ratio <= 1 else -10)
        - ratio
        + 1.5 * same_family(main, draft)
        + (0.5 if FEW_BITS <= bits < MOST_BITS else 0.25 if bits >= VERY_FEW_BITS or not bits else 0)
        + 0.25 * (fit.strictness == "whole")
        + 10 * made_for
    )


def size_ratio(main: ModelCard, draft: ModelCard) -> float:
    """Return the draft's parameters over the main model's, or bytes over bytes where those are not known."""
    if main.n_params and draft.n_params:
        return draft.n_params / main.n_params
    return draft.size_bytes / max(1, main.size_bytes)


def same_family(main: ModelCard, draft: ModelCard) -> bool:
    """Whether two models have one architecture and names that begin with the same word.

    Numbers are passed over (Llama 3.2 drafts for Llama 3.1; where it matters, vocabularies differ), and so are owners
    (`Qwen_Qwen3-8B`, `Meta-Llama-3.1-8B`).
    """
    return main.architecture == draft.architecture and _family(main.name) == _family(draft.name)


def _family(name: str) -> str:
    """Return the first word of a model's name."""
    name = name.lower().rpartition("/")[2]
    size = SIZE_LABEL.search(name)
    stem = name[: size.start()] if size else name
    words = re.findall(r"[a-z]+", stem.rpartition("_")[2].removeprefix("meta-")) or re.findall(r"[a-z]+", name)
    return words[0] if words else ""


def cache_bytes(card: ModelCard, n_ctx: int = CONTEXT) -> int:
    """Estimate the size of a 16-bit KV cache, within a factor of three.

    Per token it has layers x width of keys and values; parameters go with layers x width squared, and models grow in
    both alike: so it goes with parameters to the power 2/3. The factor lies between 0.02 (Qwen2.5 0.5B, few heads for
    keys and values) and 0.15 (Llama 2 7B, all heads), for most of today's models between 0.03 and 0.05 (Llama 3.1 8B:
    0.5 GB for 4,096 tokens).
    """
    return round(KV_BYTES * math.pow(card.n_params, 2 / 3) * min(n_ctx, card.n_ctx or n_ctx))


def _warnings(main: ModelCard, draft: ModelCard, memory_bytes: int | None, gpu_bytes: int | None) -> Iterable[str]:
    ratio = size_ratio(main, draft)
    share = f"it has {_percent(ratio)} of the main model's parameters"
    if ratio > 1:
        yield "it has more parameters than the main model, so it hardly ever pays"
    elif ratio > LARGE:
        yield f"{share}, and above {LARGE:.0%} a draft hardly ever pays"
    elif ratio > SMALL:
        yield f"{share}, which is large for a draft"
    if 0 < draft.bits_per_weight < VERY_FEW_BITS:
        yield f"it has only {draft.bits_per_weight:.1f} bits per weight, so it may often be wrong"
    yield from _does_not_fit(main, draft, memory_bytes, gpu_bytes)


def _does_not_fit(main: ModelCard, draft: ModelCard, memory_bytes: int | None, gpu_bytes: int | None) -> Iterable[str]:
    needed = sum(card.size_bytes + cache_bytes(card) for card in (main, draft))
    for there, what in ((memory_bytes, "are available"), (gpu_bytes, "are on the GPU")):
        if there is not None and needed > there:
            yield f"both models take about {needed / 1e9:.1f} GB, and {there / 1e9:.1f} GB {what}"


def _reason(main: ModelCard, draft: ModelCard) -> str:
    """Say why the best draft is to be recommended; empty if it is only the best of what there is."""
    ratio, bits = size_ratio(main, draft), draft.bits_per_weight
    if ratio > SMALL or bits < VERY_FEW_BITS or not same_family(main, draft):
        return ""
    return f"same family, {_percent(ratio)} of the main model's parameters, {bits:.1f} bits per weight"


def _percent(ratio: float) -> str:
    return f"{ratio:.1%}" if ratio < 0.02 else f"{ratio:.0%}"

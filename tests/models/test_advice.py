"""Drafts are ranked by a rule that can be told, and what speaks against one is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from specviz.models.advice import cache_bytes, rank, same_family, score
from specviz.models.card import ModelCard
from specviz.models.compatibility import Compatibility


def card(name="Llama-3.2-1B-Instruct-Q4_K_M", n_params=1_000_000_000, bits=4.8, architecture="llama", **more):
    more = {"size_bytes": round(n_params * bits / 8), "n_ctx": 8192} | more
    return ModelCard(
        name=name,
        path=f"/models/{name}.gguf",
        source="folder",
        format="gguf",
        n_params=n_params,
        bits_per_weight=bits,
        architecture=architecture,
        **more,
    )


MAIN = card("Meta-Llama-3.1-70B-Instruct-Q4_K_M", 70_000_000_000)


def fit(draft, strictness="whole"):
    return Compatibility(main=MAIN.name, draft=draft.name, compatible=strictness != "none", strictness=strictness)


def ranked(*drafts, strictness="whole", main=MAIN, **more):
    return rank(main, [(draft, fit(draft, strictness)) for draft in drafts], **more)


def names(offers):
    return [offer.card.name for offer in offers]


def test_small_ones_of_the_family_come_first_and_larger_ones_than_the_main_model_last():
    drafts = [
        card("Llama-405B", 405_000_000_000),
        card("Llama-30B", 30_000_000_000),
        card("Llama-12B", 12_000_000_000),
        card("Other-1B", 1_000_000_000),
        card("Llama-8B", 6_900_000_000),
    ]
    offers = ranked(*drafts)
    assert names(offers) == ["Llama-8B", "Llama-12B", "Other-1B", "Llama-30B", "Llama-405B"]
    assert [offer.advice.warnings for offer in offers] == [
        (),
        ("it has 17% of the main model's parameters, which is large for a draft",),
        (),
        ("it has 43% of the main model's parameters, and above 20% a draft hardly ever pays",),
        ("it has more parameters than the main model, so it hardly ever pays",),
    ]
    assert [offer.advice.recommended for offer in offers] == [
        "same family, 10% of the main model's parameters, 4.8 bits per weight",
        *[""] * 4,
    ]


def test_four_to_eight_bits_are_best_and_fewer_than_three_are_warned_of():
    drafts = [card(f"Llama-1B-{bits}", bits=bits) for bits in (2.6, 3.9, 16.0, 8.5, 4.5)]
    offers = ranked(*drafts)
    assert names(offers) == ["Llama-1B-4.5", "Llama-1B-8.5", "Llama-1B-3.9", "Llama-1B-16.0", "Llama-1B-2.6"]
    assert offers[-1].advice.warnings == ("it has only 2.6 bits per weight, so it may often be wrong",)
    assert not any(offer.advice.warnings for offer in offers[:-1])
    assert ranked(drafts[0])[0].advice.recommended == ""


def test_a_draft_made_for_the_model_comes_first_and_says_so():
    made, small = card("made", 12_000_000_000, architecture="other"), card()
    offers = ranked(small, made, made_for={made.path: "distilled from it"})
    assert names(offers) == ["made", small.name]
    assert [offer.advice.recommended for offer in offers] == ["distilled from it", ""]


def test_vocabularies_that_are_the_same_come_before_those_that_are_taken():
    a, b = card("Llama-a-1B"), card("Llama-b-1B")
    assert names(rank(MAIN, [(a, fit(a, "rule")), (b, fit(b))])) == ["Llama-b-1B", "Llama-a-1B"]


def test_those_that_do_not_fit_come_last_by_name_without_advice():
    cards = [card("zebra-1B"), card("Ape-900B", 900_000_000_000), card("Llama-60B", 60_000_000_000)]
    offers = rank(MAIN, [(one, fit(one, "rule" if one is cards[2] else "none")) for one in cards])
    assert names(offers) == ["Llama-60B", "Ape-900B", "zebra-1B"]
    assert [(offer.advice.score, offer.advice.warnings) for offer in offers[1:]] == [(0, ())] * 2
    assert names(ranked(*cards, strictness="none")) == ["Ape-900B", "Llama-60B", "zebra-1B"]
    assert not any(offer.advice.recommended for offer in ranked(*cards, strictness="none"))


def test_memory_that_does_not_suffice_is_warned_of_and_nothing_is_recommended():
    needed = sum(one.size_bytes + cache_bytes(one) for one in (MAIN, card()))
    (enough,) = ranked(card(), memory_bytes=needed, gpu_bytes=needed)
    assert enough.advice.warnings == () and enough.advice.recommended
    (little,) = ranked(card(), memory_bytes=needed - 1, gpu_bytes=24_000_000_000)
    assert little.advice.recommended == ""
    said = f"both models take about {needed / 1e9:.1f} GB, and"
    assert little.advice.warnings == (f"{said} {needed / 1e9:.1f} GB are available", f"{said} 24.0 GB are on the GPU")


def test_the_default_is_marked():
    a, b = card("Llama-a-1B"), card("Llama-b-1B")
    assert [offer.is_default for offer in ranked(a, b, default=b.path)] == [False, True]


# KV cache of 4,096 tokens in 16 bits, from each model's layers, heads for keys and values, and head size
CACHES = {
    "SmolLM2 135M": (134_515_008, 30 * 3 * 64),
    "Qwen2.5 0.5B": (494_032_768, 24 * 2 * 64),
    "Llama 3.2 1B": (1_235_814_400, 16 * 8 * 64),
    "Llama 3.2 3B": (3_212_749_824, 28 * 8 * 128),
    "Llama 2 7B": (6_738_415_616, 32 * 32 * 128),
    "Llama 3.1 8B": (8_030_261_248, 32 * 8 * 128),
    "Qwen2.5 14B": (14_770_033_664, 48 * 8 * 128),
    "Qwen2.5 32B": (32_763_876_352, 64 * 8 * 128),
}


@pytest.mark.parametrize("model", CACHES)
def test_the_cache_is_estimated_within_a_factor_of_three(model):
    n_params, width = CACHES[model]
    assert 1 / 3 < cache_bytes(card(n_params=n_params)) / (4096 * width * 2 * 2) < 3


@pytest.mark.parametrize(
    ("main", "draft", "same"),
    [
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M", "Llama-3.2-1B-Instruct-Q8_0", True),
        ("Qwen_Qwen2.5-14B-Instruct-Q4_K_M", "qwen2.5-0.5b-instruct-q8_0", True),
        ("DeepSeek-R1-Distill-Qwen-32B-Q4_K_M", "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M", True),
        ("DeepSeek-R1-Distill-Qwen-32B-Q4_K_M", "Qwen2.5-0.5B-Instruct-Q8_0", False),
        ("SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M-Instruct-draft-17m.Q4_0", True),
        ("llama3.1:8b", "llama3.2:1b", True),
        ("library/google_gemma-3-27b-it", "gemma-3-270m-it-F16", True),
        ("gemma-3-27b-it", "Mistral-7B", False),
        ("123", "456", True),
    ],
)
def test_families_are_told_by_architecture_and_name(main, draft, same):
    assert same_family(card(main), card(draft)) is same_family(card(draft), card(main)) is same
    assert not same_family(card(main), card(draft, architecture="other"))


models = st.builds(
    card,
    st.sampled_from(["Llama-1B", "Llama-a-1B", "llama-1b", "Other-1B", "x"]),
    st.sampled_from([0, 1]) | st.integers(10**6, 10**12),
    st.sampled_from([0.0, 2.6, 3.4, 4.5, 8.5, 16.0]),
    size_bytes=st.integers(0, 10**12),
)


@given(models, st.integers(10**6, 10**12), st.integers(10**6, 10**12), st.sampled_from(["whole", "rule"]))
def test_fewer_parameters_never_make_the_score_worse(draft, n, more, strictness):
    small, large = (structs.replace(draft, n_params=count) for count in sorted((n, more)))
    assert score(MAIN, small, fit(draft, strictness)) >= score(MAIN, large, fit(draft, strictness))


@given(st.lists(models, max_size=8, unique_by=lambda model: model.name), st.randoms())
def test_the_order_is_total_whatever_the_order_of_what_is_ranked(drafts, random):
    offers = ranked(*drafts)
    random.shuffle(drafts)
    assert ranked(*drafts) == offers
    keys = [(-offer.advice.score, offer.card.size_bytes, offer.card.name.lower()) for offer in offers]
    assert keys == sorted(keys)
    assert sum(bool(offer.advice.recommended) for offer in offers) <= 1
    assert not any(offer.advice.recommended for offer in offers[1:])


@given(models, st.integers(1, 10**12))
def test_a_larger_draft_than_the_main_model_scores_below_every_smaller_one(draft, n):
    smaller = structs.replace(draft, n_params=MAIN.n_params, name="Other-1B", bits_per_weight=2.6)
    larger = structs.replace(draft, n_params=MAIN.n_params + n, name="Llama-1B", bits_per_weight=4.5)
    assert score(MAIN, larger, fit(larger)) < score(MAIN, smaller, fit(smaller, "rule"))

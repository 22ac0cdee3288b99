"""What is generated is what plain decoding gives, whatever is drafted and however the cache is rewound."""

from __future__ import annotations

import os
from itertools import product

import numpy as np
import pytest

from specviz.decoding import NoDrafter, check_settings, decode, policy_of
from specviz.engines.errors import EngineError
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.engines.ngram import NGramDrafter
from specviz.trace import Round, StopReason, Summary
from tests.engines.mlx import stock
from tests.engines.mlx.folders import LLAMA, N_VOCAB, RECURRENT, SLIDING, WINDOW, write_model

PROMPT = [1, 7, 11, 4]
PROMPTS = ("Explain the Pythagorean theorem", "Count from one to thirty in words.")
MATRIX = list(product(("12m", "17m", "22m"), range(1, 9)))
FULL = "SPECVIZ_MLX_MATRIX" in os.environ
"""Set it to compare every draft at every length (some minutes on a CPU); otherwise every seventh."""


def generate(main, draft, prompt, stopped=lambda: False, drafter=None, **asked):
    """Return the tokens, the accepted count and all rounds of one generation of ours."""
    asked = check_settings(**{"seed": 0, "ignore_eos": False} | asked)
    mains = MlxMain(main.model, main.context, asked, stopped)
    drafts = drafter or (
        NoDrafter()
        if draft is None
        else MlxDrafter(draft.model, draft.context, asked, stopped, n_vocab_main=main.context.n_vocab)
    )
    events = list(decode(mains, drafts, prompt, asked, policy_of(asked), stopped=stopped))
    rounds = [event for event in events if isinstance(event, Round)]
    return [id for round in rounds for id in round.emitted], sum(round.accepted for round in rounds), events


def beginning(main, draft, prompt, n, k):
    """Return the first n tokens of ours, and which were drafted; it goes on past them: no limit cuts a draft."""
    tokens, _, events = generate(main, draft, prompt, max_tokens=n + k + 1, num_draft_tokens=k)
    rounds = [event for event in events if isinstance(event, Round)]
    drafted = [i < round.accepted for round in rounds for i in range(len(round.emitted))]
    return tokens[:n], drafted[:n]


def until_end(tokens, ends):
    """Cut where ours ends: stock generators go on after an end token."""
    return next((tokens[: i + 1] for i, id in enumerate(tokens) if id in ends), tokens)


@pytest.mark.parametrize("k", range(1, 9))
def test_on_tiny_models_text_and_accepted_counts_are_those_of_mlx_lm(tiny, k):
    main = tiny["main"]
    n = 40
    expected = stock.plain(main.model.net, PROMPT, n)
    assert main.model.end_tokens.isdisjoint(expected), "both run to the limit"
    accepted = {}
    for name in ("alike", "unlike"):
        theirs, their_drafted = stock.speculative(main.model.net, tiny[name].model.net, PROMPT, n, k)
        ours, drafted = beginning(main, tiny[name], PROMPT, n, k)
        assert ours == theirs == expected
        assert drafted == their_drafted
        accepted[name] = sum(drafted)
    assert accepted["alike"] > accepted["unlike"], "the drafts differ in worth"


@pytest.fixture(scope="module")
def demo_main(demo, load):
    return load(demo["main"], n_ctx=512)


@pytest.fixture(scope="module")
def said_plainly(demo_main):
    """Prompts of the demo's main model, with what stock mlx-lm answers without a draft."""
    answers = []
    for text in PROMPTS:
        prompt = demo_main.model.tokenizer.encode(
            f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n", add_special=True, parse_special=True
        )
        answers.append((prompt, stock.plain(demo_main.model.net, prompt, 12)))
    return answers


@pytest.mark.parametrize(("name", "k"), MATRIX[:: 1 if FULL else 7])
def test_on_the_demo_pair_too(demo, load, demo_main, said_plainly, name, k):
    draft = load(demo[name])
    for prompt, plain in said_plainly[k % 2 :: 2]:
        theirs, their_drafted = stock.speculative(demo_main.model.net, draft.model.net, prompt, 12, k)
        ours, drafted = beginning(demo_main, draft, prompt, 12, k)
        assert ours == until_end(theirs, demo_main.model.end_tokens) == plain[: len(ours)]
        assert drafted == their_drafted[: len(ours)]


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("role", ["main", "draft"])
def test_a_sliding_window_is_right_past_its_window_where_mlx_lm_is_wrong(tmp_path, load, tiny, role, kv_type):
    sliding = write_model(tmp_path / "sliding", 1, config=SLIDING)
    other = write_model(tmp_path / "other", 2, like=1, mix=0.05, config=SLIDING if role == "draft" else LLAMA)
    main, draft = load(sliding, kv_type=kv_type), load(other, kv_type=kv_type)
    n = 4 * WINDOW
    expected, _, _ = generate(main, None, PROMPT, max_tokens=n)
    ours, accepted, _ = generate(main, draft, PROMPT, max_tokens=n, num_draft_tokens=4)
    assert ours == expected
    assert accepted > n / 4, "drafting took part, also past the window"
    if kv_type == "f16":
        assert expected == stock.plain(main.model.net, PROMPT, len(expected))


def test_mlx_lm_itself_is_wrong_there(tmp_path, load):
    main = load(write_model(tmp_path / "sliding", 1, config=SLIDING))
    draft = load(write_model(tmp_path / "draft", 2, like=1, mix=0.05))
    n = 4 * WINDOW
    theirs, _ = stock.speculative(main.model.net, draft.model.net, PROMPT, n, 4)
    assert theirs != stock.plain(main.model.net, PROMPT, n), "if this fails, mlx-lm is mended and our cache may go"


def test_a_recurrent_model_is_right_however_it_has_to_be_rewound(tmp_path, load):
    main = load(write_model(tmp_path / "recurrent", 1, config=RECURRENT))
    assert not main.context.rewindable
    expected = stock.plain(main.model.net, PROMPT, 24)
    assert generate(main, None, PROMPT, max_tokens=24, ignore_eos=True)[0] == expected
    repeated = [*PROMPT, *expected, *expected]
    after = stock.plain(main.model.net, repeated, 16)
    ours, _, events = generate(
        main, None, repeated, drafter=NGramDrafter(), max_tokens=16, ignore_eos=True, num_draft_tokens=3
    )
    assert ours == after
    assert any(event.drafted for event in events if isinstance(event, Round)), "something was rewound"


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
def test_a_quantised_cache_is_smaller_and_drafting_changes_no_token_of_it(tiny, load, tmp_path, kv_type):
    folder = write_model(tmp_path / "main", 1)
    main = load(folder, kv_type=kv_type)
    assert main.context.cache_bytes < 0.5 * tiny["main"].context.cache_bytes
    expected, _, _ = generate(main, None, PROMPT, max_tokens=40)
    ours, accepted, _ = generate(main, tiny["alike"], PROMPT, max_tokens=40, num_draft_tokens=4)
    assert ours == expected and accepted > 0
    logits = {}
    for context in (main.context, tiny["main"].context):
        context.prefill(PROMPT[:-1], lambda: False)
        context.evaluate(PROMPT[-1:])
        logits[context.kv_type] = context.logits(0).copy()
    assert np.abs(logits["f16"] - logits[kv_type]).max() < np.ptp(logits["f16"]) / 4


def test_a_cache_that_cannot_be_quantised_is_an_error_in_words(tmp_path, load):
    narrow = LLAMA | {"head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 4}
    with pytest.raises(EngineError, match="MLX could not evaluate 1 tokens with narrow"):
        load(write_model(tmp_path / "narrow", 1, config=narrow), kv_type="q8_0")


def test_the_cache_is_used_again_where_prompts_agree(tiny):
    main, draft = tiny["main"], tiny["alike"]
    first, _, events = generate(main, draft, PROMPT, max_tokens=20)
    _, _, events = generate(main, draft, [*PROMPT, *first, 5], max_tokens=5)
    assert events[-1].prompt_reused >= len(PROMPT) + len(first) - 1
    assert generate(main, draft, PROMPT, max_tokens=20)[0] == first


def test_max_tokens_none_goes_on_until_the_context_is_full(tiny):
    tokens, _, events = generate(tiny["main"], tiny["alike"], PROMPT, max_tokens=None, ignore_eos=True)
    assert len(tokens) == 256 - len(PROMPT)
    assert events[-1].stop_reason == StopReason.CONTEXT_LENGTH


@pytest.mark.parametrize("asked", [{}, {"p_min": 0.1}, {"temperature": 1.0, "rule": "rejection"}], ids=str)
def test_stopped_at_any_moment_nothing_stale_is_left(tiny, asked):
    main, draft = tiny["main"], tiny["alike"]
    expected, _, _ = generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4, **asked)
    for moment in range(25):
        asks = iter([False] * moment)
        _, _, events = generate(
            main, draft, PROMPT, lambda asks=asks: next(asks, True), max_tokens=24, num_draft_tokens=4, **asked
        )
        assert isinstance(events[-1], Summary)
        for one in (main, draft):
            assert one.context._n_cached == len(one.context.tokens)
        assert generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4, **asked)[0] == expected


@pytest.mark.parametrize("fails_at", range(1, 4))
def test_a_draft_that_fails_in_the_middle_leaves_nothing_stale(tiny, monkeypatch, fails_at):
    main, draft = tiny["main"], tiny["alike"]
    expected, _, _ = generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4)
    real, calls = draft.context.advance, []

    def advance(ids):
        calls.append(ids)
        if len(calls) == 4 + fails_at:
            real(ids)
            raise KeyboardInterrupt
        return real(ids)

    monkeypatch.setattr(draft.context, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4)
    monkeypatch.undo()
    assert draft.context._n_cached == len(draft.context.tokens)
    assert generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4)[0] == expected


def test_the_repetition_penalty_sees_the_prompt_and_the_draft(tiny):
    """mlx-lm's logits processors do not in speculative mode."""
    asked = {"max_tokens": 24, "repeat_penalty": 3.0, "ignore_eos": True}
    expected, _, _ = generate(tiny["main"], None, PROMPT, **asked)
    assert expected != generate(tiny["main"], None, PROMPT, max_tokens=24, ignore_eos=True)[0]
    assert generate(tiny["main"], tiny["alike"], PROMPT, num_draft_tokens=4, **asked)[0] == expected


def test_what_is_recorded_of_a_draft_is_the_same_however_it_is_computed(tiny):
    main, draft = tiny["main"], tiny["alike"]
    at_once = generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4)[2]
    one_by_one = generate(main, draft, PROMPT, max_tokens=24, num_draft_tokens=4, p_min=1e-9)[2]
    compared = 0
    for a, b in zip(at_once, one_by_one, strict=True):
        if isinstance(a, Round):
            assert (a.drafted, a.accepted, a.rank) == (b.drafted, b.accepted, b.rank)
            assert a.q == pytest.approx(b.q, rel=1e-4) and a.p == pytest.approx(b.p, rel=1e-4)
            assert [[id for id, _ in top] for top in a.draft_top] == [[id for id, _ in top] for top in b.draft_top]
            assert all(id < N_VOCAB for top in a.main_top for id, _ in top)
            compared += 1
    assert compared > 3

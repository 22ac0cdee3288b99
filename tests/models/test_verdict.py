"""The verdict on files that are not loaded equals that of llama.cpp's own rule on the loaded vocabularies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.models import demo_drafts, demo_mains
from specviz.models.compatibility import compare
from tests.models.files import WORDS, with_token, write_vocabulary
from tests.models.llamacpp_rule import LlamaCppRule


@pytest.fixture(scope="session")
def rule(tmp_path_factory):
    """llama.cpp's rule, compiled."""
    return LlamaCppRule(tmp_path_factory.mktemp("rule"))


@pytest.fixture(scope="session")
def checked(rule):
    def checked(main, draft):
        """Return our verdict, after checking that llama.cpp's is the same, both ways round."""
        verdict, turned = compare(main, draft), compare(draft, main)
        assert verdict.llamacpp_accepts is rule.accepts(main, draft)
        assert turned.llamacpp_accepts is rule.accepts(draft, main)
        assert verdict.llamacpp_accepts is verdict.compatible is bool(verdict)
        return verdict

    return checked


# what is different in the draft; whether llama.cpp takes it; strictness; a part of the reason
PAIRS = {
    "nothing": ({}, True, "whole", None),
    "token 3": ({"tokens": with_token(3, "other")}, True, "rule", "token 3 is 'w3' in the main model and 'other' in"),
    "token 4": ({"tokens": with_token(4, "other")}, True, "rule", "token 4 is"),
    "token 5": ({"tokens": with_token(5, "other")}, False, "none", "token 5 is 'w5' in the main model and 'other' in"),
    "token 200": ({"tokens": with_token(200, "other")}, False, "none", "token 200 is"),
    "last token": ({"tokens": with_token(399, "other")}, False, "none", "token 399 is"),
    "longer text": ({"tokens": with_token(200, "w200 and more")}, False, "none", "token 200 is"),
    "128 more": ({"tokens": [*WORDS, *(f"x{i}" for i in range(128))]}, True, "rule", "the draft has 128 more tokens"),
    "129 more": ({"tokens": [*WORDS, *(f"x{i}" for i in range(129))]}, False, "none", "have 400 and 529 tokens"),
    "128 fewer": ({"tokens": WORDS[:-128]}, True, "rule", "the main model has 128 more tokens"),
    "129 fewer": ({"tokens": WORDS[:-129]}, False, "none", "have 400 and 271 tokens"),
    "other BOS, added": ({"bos": 7}, False, "none", "their BOS tokens differ (1 and 7)"),
    "other EOS, not added": ({"eos": 7}, True, "rule", "their EOS tokens differ (2 and 7)"),
    "no BOS added": ({"add_bos": False}, False, "none", "only the main model adds the BOS token"),
    "EOS added": ({"add_eos": True}, False, "none", "only the draft adds the EOS token"),
    "other type": ({"tokenizer": "gpt2", "pre": "gpt-2"}, False, "none", "different kinds (spm and bpe)"),
    "BOS out of range": ({"bos": 4000}, True, "whole", None),
    "other before and after 5": ({"tokens": with_token(9, "b", with_token(2, "a"))}, False, "none", "token 9 is"),
    "empty text": ({"tokens": with_token(30, "")}, False, "none", "token 30 is"),
}


@pytest.mark.parametrize("case", PAIRS)
def test_hand_made_vocabularies(tmp_path, checked, case):
    changes, accepts, strictness, reason = PAIRS[case]
    main = write_vocabulary(tmp_path / "main.gguf")
    verdict = checked(main, write_vocabulary(tmp_path / "draft.gguf", **changes))
    assert (verdict.llamacpp_accepts, verdict.strictness) == (accepts, strictness)
    assert verdict.reasons == () if reason is None else reason in verdict.reasons[0]


BPE = {"tokenizer": "gpt2", "pre": "gpt-2"}
DEFAULTS = {
    "llama 3 adds BOS unasked": ({**BPE}, {"tokenizer": "gpt2", "pre": "llama-bpe"}, False),
    "and so does tekken": ({"tokenizer": "gpt2", "pre": "tekken"}, {"tokenizer": "gpt2", "pre": "llama-bpe"}, True),
    "unless it is told not to": ({**BPE}, {"tokenizer": "gpt2", "pre": "llama-bpe", "add_bos": False}, True),
    "BPE has BOS 11": ({**BPE, "add_bos": True}, {**BPE, "add_bos": True, "bos": 11}, True),
    "GLM has no BOS": ({**BPE, "add_bos": True}, {"tokenizer": "gpt2", "pre": "glm4", "add_bos": True}, False),
    "T5 adds EOS": ({"tokenizer": "t5"}, {"tokenizer": "t5", "add_eos": True, "eos": 1}, True),
    "WordPiece adds BOS 101": ({"tokenizer": "bert"}, {"tokenizer": "bert", "bos": 101, "add_bos": True}, True),
    "a zero byte ends a text": ({"tokens": with_token(9, "x\0y")}, {"tokens": with_token(9, "x\0z")}, True),
    "and what follows counts": (
        {"tokens": with_token(9, "x\0y")},
        {"tokens": with_token(300, "no", with_token(9, "x\0z"))},
        False,
    ),
    "an empty text has a name": ({"tokens": with_token(9, "")}, {"tokens": with_token(9, "[EMPTY_9]")}, True),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_what_a_file_does_not_say_is_what_llamacpp_assumes(tmp_path, checked, case):
    main, draft, accepts = DEFAULTS[case]
    verdict = checked(write_vocabulary(tmp_path / "a.gguf", **main), write_vocabulary(tmp_path / "b.gguf", **draft))
    assert verdict.llamacpp_accepts is accepts


def test_the_demo_pair_agrees_in_everything(checked):
    for main in demo_mains()[:1]:
        for draft in demo_drafts():
            verdict = checked(main.path, draft.path)
            assert verdict.strictness == "whole" and verdict.reasons == () and verdict.mlx_accepts


def test_gemma_is_no_draft_for_smollm2(checked, gemma):
    main = demo_mains()[0].path
    verdict = checked(main, gemma)
    assert not verdict.compatible and verdict.strictness == "none"
    assert verdict.sizes == (49152, 262144) and verdict.kinds == ("bpe", "spm")
    assert verdict.first_difference.id == 0 and verdict.first_difference.shown == ("<|endoftext|>", "<pad>")
    assert "their vocabularies have 49,152 and 262,144 tokens" in verdict.reasons
    assert any(reason.startswith("token 5 is ") for reason in verdict.reasons)
    assert not verdict.mlx_accepts


changes = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.one_of(
            st.builds(with_token, st.integers(0, 399), st.text(st.characters(codec="utf-8"), max_size=3)),
            st.integers(100, 400).map(lambda n: WORDS[:n]),
        ),
        "bos": st.integers(0, 410),
        "eos": st.integers(0, 410),
        "add_bos": st.booleans(),
        "add_eos": st.booleans(),
    },
)


@settings(max_examples=60, deadline=None)
@given(main=changes, draft=changes)
def test_any_two_vocabularies(checked, main, draft):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("a.gguf", "b.gguf")]
        checked(*(write_vocabulary(path, **changed) for path, changed in zip(paths, (main, draft), strict=True)))

"""The verdict on files that are not loaded equals llama.cpp's own on the loaded vocabularies."""

from __future__ import annotations

import contextlib

import pytest

from specviz.engines.llamacpp.model import Model, difference
from specviz.models import demo_drafts, demo_mains
from specviz.models.compatibility import compare
from tests.models.files import WORDS, mlx_config, mlx_tokenizer, with_token, write_mlx, write_vocabulary


def engine_says(main, draft) -> str | None:
    """What is wrong with the pair by the rule of llama.cpp, asked of its own vocabularies."""
    with (
        contextlib.closing(Model(str(main), vocab_only=True)) as a,
        contextlib.closing(Model(str(draft), vocab_only=True)) as b,
    ):
        return difference(a, b)


def checked(main, draft):
    """Our verdict, after checking that llama.cpp's is the same, both ways round."""
    verdict, turned = compare(main, draft), compare(draft, main)
    assert verdict.llamacpp_accepts is (engine_says(main, draft) is None)
    assert turned.llamacpp_accepts is (engine_says(draft, main) is None)
    assert verdict.llamacpp_accepts is verdict.compatible is bool(verdict)
    return verdict


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
def test_hand_made_vocabularies(tmp_path, case):
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
def test_what_a_file_does_not_say_is_what_llamacpp_assumes(tmp_path, case):
    main, draft, accepts = DEFAULTS[case]
    verdict = checked(write_vocabulary(tmp_path / "a.gguf", **main), write_vocabulary(tmp_path / "b.gguf", **draft))
    assert verdict.llamacpp_accepts is accepts


def test_the_demo_pair_agrees_in_everything():
    for main in demo_mains()[:1]:
        for draft in demo_drafts():
            verdict = checked(main.path, draft.path)
            assert verdict.strictness == "whole" and verdict.reasons == () and verdict.mlx_accepts


def test_gemma_is_no_draft_for_smollm2(gemma):
    main = demo_mains()[0].path
    verdict = checked(main, gemma)
    assert not verdict.compatible and verdict.strictness == "none"
    assert verdict.sizes == (49152, 262144) and verdict.kinds == ("bpe", "spm")
    assert verdict.first_difference.id == 0 and verdict.first_difference.shown == ("<|endoftext|>", "<pad>")
    assert "their vocabularies have 49,152 and 262,144 tokens" in verdict.reasons
    assert any(reason.startswith("token 5 is ") for reason in verdict.reasons)
    assert not verdict.mlx_accepts


def test_formats_that_do_not_mix_are_named_with_what_to_do(tmp_path):
    main = write_vocabulary(tmp_path / "main.gguf", [chr(97 + i) for i in range(12)])
    verdict = compare(main, write_mlx(tmp_path / "mlx"))
    assert not verdict.compatible and verdict.reasons[0] == (
        "the main model is a GGUF model and runs in llama.cpp, the draft is an MLX model and runs in MLX: "
        "take a GGUF copy of the draft, or an MLX copy of the main model"
    )


def test_mlx_models_need_tokenizers_of_one_size_and_the_same_tokens(tmp_path):
    letters = {chr(97 + i): i for i in range(8)}
    main = write_mlx(tmp_path / "main")
    padded = write_mlx(tmp_path / "padded", config=mlx_config(vocab_size=16))
    assert compare(main, padded).compatible and compare(main, padded).mlx_accepts
    assert compare(main, padded).strictness == "rule"
    larger = write_mlx(tmp_path / "larger", tokenizer=mlx_tokenizer(letters | {"z": 8}))
    assert not compare(main, larger).mlx_accepts
    assert "their tokenizers have 8 and 9 tokens, and MLX needs equal numbers" in compare(main, larger).reasons
    other = write_mlx(
        tmp_path / "other", tokenizer=mlx_tokenizer({"x" if k == "g" else k: i for k, i in letters.items()})
    )
    verdict = compare(main, other)
    assert verdict.mlx_accepts and not verdict.compatible
    assert verdict.reasons == ("token 6 is 'g' in the main model and 'x' in the draft",)


def test_what_is_no_model_is_named_for_what_it_is(tmp_path):
    main = write_vocabulary(tmp_path / "main.gguf")
    adapter = write_vocabulary(tmp_path / "lora.gguf", keys=[("add_string", "general.type", "adapter")])
    assert compare(main, adapter).reasons == ("the draft lora is a LoRA adapter, which generates no text",)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(main.read_bytes()[:600])
    assert compare(broken, main).reasons == ("the main model broken breaks off inside the token list",)
    with pytest.raises(FileNotFoundError, match="there is no model at"):
        compare(main, tmp_path / "nothing.gguf")

"""What is said of two models: of different formats, of MLX models, and of what is no model."""

from __future__ import annotations

import pytest

from specviz.models.compatibility import compare
from tests.models.files import mlx_config, mlx_tokenizer, write_mlx, write_vocabulary


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

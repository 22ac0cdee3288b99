"""MLX copies of GGUF files: the same numbers, the same tokens, and no guess where they cannot be had."""

from __future__ import annotations

import json

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specviz.cli import main as command
from specviz.models import convert as converting
from specviz.models import demo_drafts
from specviz.models.compatibility import compare
from specviz.models.convert import ConversionError, convert
from specviz.models.reading import read_path
from tests.models.files import write_vocabulary
from tests.tiny import write_model

TYPES = {
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
    "Q4_1": gguf.GGMLQuantizationType.Q4_1,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}


@pytest.mark.parametrize("name", TYPES)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 50.0]))
@settings(max_examples=30, deadline=None)
def test_packed_weights_are_the_same_numbers(name, seed, scale):
    weights = np.random.default_rng(seed).normal(0, scale, (4, 96)).astype(np.float32)
    blocks = quantize(weights, TYPES[name])
    (packed, scales, biases), bits = converting.PACK[name](blocks)
    per_word = 32 // bits
    numbers = packed[:, :, None] >> (bits * np.arange(per_word, dtype=np.uint32)) & (2**bits - 1)
    groups = numbers.reshape(4, -1, converting.GROUP).astype(np.float32)
    unpacked = groups * scales[:, :, None].astype(np.float32) + biases[:, :, None].astype(np.float32)
    assert unpacked.reshape(4, -1) == pytest.approx(dequantize(blocks, TYPES[name]), rel=2e-3, abs=2e-3 * scale)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_bfloat16_is_rounded_to_the_nearest(values):
    array = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        ours = (converting._bfloat16(array).astype(np.uint32) << 16).view(np.float32)
    finite = np.isfinite(ours)
    assert np.all(np.abs(ours[finite] - array[finite]) <= np.abs(array[finite]) / 256 + 1e-38)


@pytest.fixture(scope="module")
def draft():
    return demo_drafts()[0].path


@pytest.fixture(scope="module")
def copy(draft, tmp_path_factory):
    target = tmp_path_factory.mktemp("converted") / "copy"
    convert(draft, target)
    return target


@pytest.fixture(scope="module")
def tokenizers(draft, copy):
    """The same tokenizer, in llama.cpp and in MLX."""
    pytest.importorskip("mlx_lm", reason="MLX is not made for this machine")
    from specviz.engines.llamacpp.model import Model
    from specviz.engines.mlx.tokenizer import Tokenizer

    return Model(str(draft), vocab_only=True), Tokenizer(copy, read_path(copy)[0].tokenizer)


SPACES = st.text(" \t\n\r\u00a0\u3000ab1.", max_size=12)


@given(
    text=st.one_of(st.text(max_size=30), SPACES, st.from_regex(r"(\d+|<\|im_end\|>|'s| don't|\s+)*", fullmatch=True))
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_tokenizer_is_identical_token_for_token(tokenizers, text):
    text = text.encode("utf-8", "replace").decode()
    theirs, ours = tokenizers
    for special in (False, True):
        expected = theirs.tokenize(text, add_special=True, parse_special=special)
        assert ours.encode(text, add_special=True, parse_special=special) == expected


def test_pieces_ends_and_controls_are_identical(tokenizers, copy):
    from specviz.engines.mlx.model import Model

    theirs, ours = tokenizers
    assert [ours.piece(id) for id in range(theirs.n_vocab)] == [theirs.piece(id) for id in range(theirs.n_vocab)]
    model = Model(str(copy))
    assert model.end_tokens == theirs.end_tokens
    assert model.control_tokens == theirs.control_tokens
    assert ours.chat_template == theirs.chat_template
    assert [ours.special_text(which) for which in ("bos", "eos")] == [theirs.special_text(w) for w in ("bos", "eos")]


def test_a_copy_is_the_same_model_to_our_library(draft, copy):
    ours, theirs = read_path(copy)[0], read_path(draft)[0]
    assert (ours.n_params, ours.n_vocab, ours.n_ctx) == (theirs.n_params, theirs.n_vocab, theirs.n_ctx)
    assert ours.tokenizer.digest == theirs.tokenizer.digest
    assert ours.quantization == "4bit" and ours.has_chat_template
    assert compare(copy, copy).strictness == "whole"


def test_layers_and_dtype_by_the_command(draft, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert command(["models", "convert", str(draft), "--layers", "1", "--dtype", "bfloat16"]) == 0
    made = tmp_path / "specviz" / "models" / f"{draft.name.removesuffix('.gguf')}-MLX-1-layers-bfloat16"
    assert capsys.readouterr().out.strip() == str(made)
    card = read_path(made)[0]
    assert card.quantization == "BF16" and card.bits_per_weight == 16
    assert json.loads((made / "config.json").read_text())["num_hidden_layers"] == 1
    assert command(["models", "convert", str(draft), "--layers", "1", "--dtype", "bfloat16"]) == 1
    assert "is there already" in capsys.readouterr().err


def test_large_models_are_written_in_parts(draft, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "MAX_SHARD", 4 << 20)
    convert(draft, tmp_path / "parts")
    card = read_path(tmp_path / "parts")[0]
    assert not card.damaged and sum(name.endswith(".safetensors") for name in card.files) > 1
    assert card.n_params == read_path(draft)[0].n_params


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": "int8"}, "the dtype must be one of float16, bfloat16, float32, got 'int8'"),
        ({"n_layers": 0}, "has 4 layers: 0 of them cannot be kept"),
        ({"n_layers": 5}, "has 4 layers: 5 of them cannot be kept"),
    ],
)
def test_what_cannot_be_asked(draft, tmp_path, options, reason):
    with pytest.raises(ConversionError, match=reason):
        convert(draft, tmp_path / "x", **options)
    assert list(tmp_path.iterdir()) == []


def test_what_would_be_a_guess_is_refused_and_nothing_is_left(tmp_path, gemma, draft):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(draft.read_bytes()[:1000])
    for source, reason in (
        (write_model(tmp_path / "spm.gguf", 1), r"has a tokenizer that is not converted \(spm\)"),
        (write_vocabulary(tmp_path / "vocabulary.gguf"), "is not a GGUF model"),
        (gemma, r"is a gemma3 model; llama, qwen2, qwen3 are converted"),
        (broken, "broken breaks off inside"),
    ):
        with pytest.raises(ConversionError, match=reason):
            convert(source, tmp_path / "copy")
        assert not list(tmp_path.glob("copy*"))
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "none.gguf", tmp_path / "copy")


def test_k_quants_are_dequantised_not_misread(tmp_path):
    """MLX's own reader gets Q4_K wrong."""
    weights = np.random.default_rng(0).integers(0, 256, (2, 144), dtype=np.uint8)
    weights[:, :4] = np.array([0.01, 0.02], np.float16).view(np.uint8)

    class Tensor:
        name, data, shape = "blk.0.ffn_up.weight", weights, (256, 2)
        tensor_type = gguf.GGMLQuantizationType.Q4_K

    made = converting._weights(Tensor, None, heads=0)
    assert made.bits == 0
    assert np.array_equal(made.arrays["weight"], dequantize(weights, gguf.GGMLQuantizationType.Q4_K))

"""MLX metadata: facts of the card, one vocabulary with a GGUF of the same model, plain reasons."""

from __future__ import annotations

import json
import struct

import pytest

from specviz.models import demo_mains
from specviz.models.card import DamagedModelError
from specviz.models.gguf_metadata import gguf_card
from specviz.models.mlx_metadata import mlx_card
from tests.models.files import mlx_config, mlx_tokenizer, safetensors, write_mlx, write_vocabulary

LETTERS = {chr(97 + i): i for i in range(8)}


def card_of(folder):
    return mlx_card("it", "folder", folder, sorted(folder.glob("*.safetensors")))


def test_a_quantised_model(tmp_path):
    card, vocabulary = card_of(write_mlx(tmp_path / "it"))
    assert (card.format, card.engine, card.architecture, card.kind) == ("mlx", "MLX", "llama", "model")
    assert (card.n_params, card.quantization) == (12 * 64 + 64, "4bit")
    assert card.bits_per_weight == pytest.approx((12 * 8 * 32 + 2 * 12 * 16 + 64 * 16) / (12 * 64 + 64), abs=0.01)
    assert (card.n_ctx, card.n_vocab, card.tokenizer.n_base, card.tokenizer.eos) == (2048, 12, 8, 2)
    assert not card.has_chat_template
    assert vocabulary.texts() == [*(letter.encode() for letter in LETTERS), *(b"[PAD%d]" % i for i in range(8, 12))]


def test_layers_may_have_bits_of_their_own(tmp_path):
    config = mlx_config(quantization={"bits": 4, "group_size": 64, "model.embed": {"bits": 8, "group_size": 64}})
    card, _ = card_of(write_mlx(tmp_path / "it", config=config))
    assert (card.n_params, card.quantization) == (12 * 32 + 64, "4bit")


def test_a_model_that_is_not_quantised_is_named_for_its_type(tmp_path):
    weights = safetensors({"a.weight": ("BF16", [12, 8], 16), "b.weight": ("F32", [8], 32)})
    config = mlx_config(text_config={"vocab_size": 12, "max_position_embeddings": 77}, max_position_embeddings=0)
    card, _ = card_of(write_mlx(tmp_path / "it", config=config, weights=weights))
    assert (card.n_params, card.quantization, card.n_ctx) == (104, "BF16", 77)


def test_special_tokens_and_template(tmp_path):
    added = [{"id": 8, "content": "<s>", "special": True}, {"id": 9, "content": "▁▁", "special": False}]
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    post = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": single}]}
    settings = {"bos_token": {"content": "<s>"}, "eos_token": "c", "chat_template": "{{ messages }}"}
    folder = write_mlx(
        tmp_path / "it",
        tokenizer=mlx_tokenizer(LETTERS, added, post_processor=post),
        tokenizer_config=settings,
    )
    card, vocabulary = card_of(folder)
    tokenizer = card.tokenizer
    assert (tokenizer.bos, tokenizer.eos, tokenizer.add_bos, tokenizer.add_eos) == (8, 2, True, False)
    assert vocabulary.texts()[8:10] == [b"<s>", b"  "]
    assert card.has_chat_template
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings | {"add_bos_token": False, "chat_template": None})
    )
    card, _ = card_of(folder)
    assert not card.tokenizer.add_bos and not card.has_chat_template
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert card_of(folder)[0].has_chat_template


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({"type": "BPE", "vocab": LETTERS}, "bpe"),
        ({"type": "BPE", "vocab": LETTERS, "byte_fallback": True}, "spm"),
        ({"type": "Unigram", "vocab": [[letter, -1.0] for letter in LETTERS]}, "ugm"),
        ({"type": "WordPiece", "vocab": LETTERS}, "wpm"),
    ],
)
def test_kinds_of_tokenizers(tmp_path, model, kind):
    card, vocabulary = card_of(write_mlx(tmp_path / "it", tokenizer={"model": model}))
    assert card.tokenizer.kind == kind and vocabulary.texts()[:8] == [letter.encode() for letter in LETTERS]


def test_smollm2_has_one_digest_in_both_formats(tmp_path):
    card, vocabulary = gguf_card("it", "demo", [demo_mains()[0].path])
    texts = [text.decode() for text in vocabulary.texts()]
    special = dict(enumerate(texts[:17]))
    tokenizer = mlx_tokenizer(
        {text: id for id, text in enumerate(texts)},
        [{"id": id, "content": text, "special": True} for id, text in special.items()],
    )
    folder = write_mlx(tmp_path / "it", config=mlx_config(vocab_size=49152), tokenizer=tokenizer)
    copy, _ = card_of(folder)
    assert copy.tokenizer.digest == card.tokenizer.digest and copy.tokenizer.kind == card.tokenizer.kind


def test_padding_is_that_of_gguf(tmp_path):
    padded = write_vocabulary(tmp_path / "it.gguf", [*LETTERS, *(f"[PAD{i}]" for i in range(8, 12))])
    assert card_of(write_mlx(tmp_path / "it"))[0].tokenizer.digest == gguf_card("", "", [padded])[0].tokenizer.digest


def test_without_a_tokenizer_json_the_tokenizer_is_not_known(tmp_path):
    folder = write_mlx(tmp_path / "it")
    (folder / "tokenizer.json").unlink()
    card, vocabulary = card_of(folder)
    assert card.tokenizer is None and vocabulary is None and card.n_vocab == 0


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", b"", "has a broken config.json: Input data was truncated"),
        (
            "config.json",
            b'{"vocab_size": "many"}',
            "has a broken config.json: Expected `int`, got `str` - at `$.vocab_size`",
        ),
        ("config.json", b'{"vocab_size": 99999999}', "says it has 99,999,999 tokens"),
        ("tokenizer.json", b'{"model": {"vocab": {"a": -1}}}', "has a token with a negative id"),
        ("model.safetensors", b"1234", "breaks off inside the header (model.safetensors)"),
        ("model.safetensors", struct.pack("<Q", 900) + b"{}", "breaks off inside the header (model.safetensors)"),
        (
            "model.safetensors",
            struct.pack("<Q", 2**60),
            "says its header has 1,152,921,504,606,846,976 bytes, more than the format allows (model.safetensors)",
        ),
    ],
)
def test_reasons_are_plain(tmp_path, file, content, reason):
    folder = write_mlx(tmp_path / "it")
    (folder / file).write_bytes(content)
    with pytest.raises(DamagedModelError) as raised:
        card_of(folder)
    assert str(raised.value) == reason


def test_weights_that_break_off_or_contradict_their_shape(tmp_path):
    folder = write_mlx(tmp_path / "it")
    path = folder / "model.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(DamagedModelError, match=r"breaks off inside the weights: 0\.0 of 0\.0 MB are there"):
        card_of(folder)
    path.write_bytes(good.replace(b"[12, 8]", b"[12, 9]"))
    with pytest.raises(DamagedModelError, match="has a tensor whose shape and size contradict each other"):
        card_of(folder)

"""GGUF metadata: what llama.cpp says of a loaded model is on the card of the file; what is wrong is said plainly."""

from __future__ import annotations

import contextlib
import re
import struct

import gguf
import numpy as np
import pytest

from specviz.engines.llamacpp.model import Model
from specviz.models import demo_drafts, demo_mains
from specviz.models.card import DamagedModelError
from specviz.models.gguf_metadata import gguf_card, parse_gguf, read_gguf
from tests.models.files import WORDS, write_vocabulary
from tests.tiny import write_model

REAL = [model.path for model in (*demo_drafts(), *demo_mains()[:1])]


def card_of(*paths):
    return gguf_card("it", "folder", paths)


def check_against_llamacpp(path):
    card, vocabulary = card_of(path)
    with contextlib.closing(Model(str(path), vocab_only=True)) as loaded:
        lib, vocab = loaded.lib, loaded.vocab
        assert card.architecture == loaded.info.architecture
        assert card.n_ctx == int(loaded.metadata(f"{card.architecture}.context_length"))
        assert card.n_vocab == loaded.n_vocab == vocabulary.n_tokens
        assert (card.tokenizer.bos, card.tokenizer.eos) == (lib.llama_vocab_bos(vocab), lib.llama_vocab_eos(vocab))
        assert card.tokenizer.add_bos == lib.llama_vocab_get_add_bos(vocab)
        assert card.tokenizer.add_eos == lib.llama_vocab_get_add_eos(vocab)
        assert card.has_chat_template == (loaded.chat_template is not None)
        assert vocabulary.texts() == [lib.llama_vocab_get_text(vocab, id) for id in range(loaded.n_vocab)]
    return card


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_card_says_what_llamacpp_says(path):
    card = check_against_llamacpp(path)
    with contextlib.closing(Model(str(path))) as loaded:
        assert (card.n_params, card.quantization) == (loaded.info.n_params, loaded.info.quantization)
        assert card.bits_per_weight == pytest.approx(8 * loaded.info.size_bytes / loaded.info.n_params, abs=0.01)
    assert card.size_bytes == path.stat().st_size and card.kind == "model" and card.tokenizer.pre == "smollm"


def test_gemma(gemma):
    card = check_against_llamacpp(gemma)
    assert (card.architecture, card.quantization, card.tokenizer.kind) == ("gemma3", "Q4_K_M", "spm")
    assert card.n_params == pytest.approx(268e6, rel=0.01) and card.n_ctx == 32768


def test_the_package_gguf_reads_the_same(tmp_path):
    path = write_model(tmp_path / "tiny.gguf", 1)
    head, reader = read_gguf(path), gguf.GGUFReader(path)
    assert head.n_tensors == len(reader.tensors)
    assert head.n_params == sum(int(np.prod(tensor.shape)) for tensor in reader.tensors)
    assert head.tensor_bytes == sum(tensor.n_bytes for tensor in reader.tensors)
    assert set(head.values) == {name for name in reader.fields if not name.startswith("GGUF.")}


def test_tables_are_those_of_the_package():
    from specviz.models.gguf_tables import FILE_TYPES, TENSOR_TYPES

    assert {int(t): (t.name, *gguf.GGML_QUANT_SIZES[t]) for t in gguf.GGMLQuantizationType} == TENSOR_TYPES
    named = {int(t): re.sub("(ALL|MOSTLY)_|_MOE", "", t.name) for t in gguf.LlamaFileType if t.name != "GUESSED"}
    assert named == FILE_TYPES


@pytest.mark.parametrize(
    ("keys", "architecture", "kind"),
    [
        ([("add_string", "general.type", "adapter")], "llama", "adapter"),
        ([("add_string", "general.type", "imatrix")], "llama", "imatrix"),
        ([("add_string", "general.type", "mmproj")], "clip", "projector"),
        ([], "clip", "projector"),
        ([], "nomic-bert", "embedding"),
        ([("add_uint32", "qwen3.pooling_type", 3)], "qwen3", "embedding"),
        ([], "llama", "vocabulary"),
    ],
)
def test_what_is_no_model_is_recognised(tmp_path, keys, architecture, kind):
    path = write_vocabulary(tmp_path / "it.gguf", keys=keys, architecture=architecture)
    assert card_of(path)[0].kind == kind


def test_parts_of_a_split_model_are_one(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "it.gguf", "llama", split_max_tensors=2)
    writer.add_context_length(64)
    for i in range(5):
        writer.add_tensor(f"blk.{i}.attn_q.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("*.gguf"))
    assert len(parts) == 3
    card, _ = card_of(*parts)
    assert (card.n_params, card.n_ctx, card.files) == (640, 64, tuple(map(str, parts)))
    assert card.size_bytes == sum(part.stat().st_size for part in parts) and card.bits_per_weight == 32
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    with pytest.raises(DamagedModelError, match=r"breaks off inside the weights: .* \(part 2\)"):
        card_of(*parts)


def reason(path, data):
    path.write_bytes(data)
    with pytest.raises(DamagedModelError) as raised:
        card_of(path)
    return str(raised.value)


def replaced(data, old, new):
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


def test_reasons_are_plain(tmp_path):
    path = write_vocabulary(tmp_path / "good.gguf", add_bos=True)
    good, bad = path.read_bytes(), tmp_path / "bad.gguf"
    tokens = b"tokenizer.ggml.tokens" + struct.pack("<II", 9, 8)
    at = good.index(tokens) + len(tokens)

    def count(n):
        return good[:at] + struct.pack("<Q", n) + good[at + 8 :]

    assert reason(bad, b"") == "is empty"
    assert reason(bad, b"PK\3\4" + good) == "is not a GGUF file"
    assert reason(bad, b"version https://git-lfs") == "is a Git LFS pointer, not the model: it was never downloaded"
    assert reason(bad, good[:4] + struct.pack(">I", 3) + good[8:]) == "is written for big-endian machines"
    assert reason(bad, good[:4] + struct.pack("<I", 1) + good[8:]).startswith("is of GGUF version 1;")
    assert reason(bad, good[: at + 3500] + b"\xff" * 20) == "breaks off inside the token list"
    assert reason(bad, good[: at + 100]) == "breaks off inside the token list"
    assert reason(bad, count(2**63 - 1)) == "says it has 9.2e18 tokens"
    assert reason(bad, count(401)) == "breaks off inside the metadata"
    assert reason(bad, good[:-1]) == "breaks off inside the value of tokenizer.ggml.add_bos_token"
    assert reason(bad, good[:30]) == "breaks off before the last of its 11 metadata keys"
    nested = replaced(good, tokens, b"tokenizer.ggml.tokens" + struct.pack("<II", 9, 9))
    assert reason(bad, nested) == "has an array of arrays as tokenizer.ggml.tokens"
    flag = replaced(
        good, b"add_bos_token" + struct.pack("<I?", 7, True), b"add_bos_token" + struct.pack("<I?", 0, True)
    )
    assert reason(bad, flag) == "has a tokenizer.ggml.add_bos_token of the wrong type"
    unknown = replaced(
        good, b"model" + struct.pack("<IQ", 8, 5) + b"llama", b"model" + struct.pack("<IQ", 8, 5) + b"nobod"
    )
    assert reason(bad, unknown) == "has a tokenizer that llama.cpp does not know, nobod"
    twice = replaced(good, b"tokenizer.ggml.model", b"llama.context_length")
    assert reason(bad, twice) == "has the metadata key llama.context_length twice"


def test_a_download_that_broke_off_says_how_much_is_there(tmp_path):
    data = REAL[0].read_bytes()
    assert reason(tmp_path / "part.gguf", data[: len(data) // 2]).endswith("the weights: 3.8 of 9.3 MB are there")


def test_every_truncation_is_noticed(tmp_path):
    data = write_model(tmp_path / "tiny.gguf", 1).read_bytes()
    end = len(data) - len(data) % 32
    for n in (*range(1, 2500), *range(2500, end, 997)):
        assert reason(tmp_path / "cut.gguf", data[:n])


def test_a_file_that_shrinks_while_it_is_read_is_damaged(tmp_path):
    path = write_vocabulary(tmp_path / "it.gguf", WORDS)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:600])
    with open(path, "rb") as file, pytest.raises(DamagedModelError, match="became shorter while it was read"):
        parse_gguf(file, size)

"""GGUF files to MLX folders: the same weights, the same tokenizer, without loading the model.

Q4_0, Q4_1 and Q8_0 become MLX's groups of 32 (weight = scale * number + bias) bit by bit; F32, F16 and BF16 are kept or
rounded; every other type is dequantised by the package `gguf`. MLX's own reader of GGUF is not used: it reads Q4_K
wrongly and says nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from specviz.models.card import ModelCard
from specviz.models.library import LocalModel
from specviz.models.reading import read_path

Array = NDArray[Any]

DTYPES = ("float16", "bfloat16", "float32")
NAMES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}
"""In a safetensors header."""
FILE_TYPE = "MLX"
"""Of a copy that is made on first use, in `LocalModel.file_type`: weights as they are; `MLX-float16` dequantised."""
GROUP = 32
MAX_SHARD = 1 << 30
"""Bytes of weights, as the GGUF has them, that go into one file."""
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""The architectures that are converted: all tensors of theirs are known here."""
TENSORS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: dict[str, str] = {
    "": "",
    "default": "",
    "gpt-2": "",
    "smollm": "digits",
    "starcoder": "digits",
    "refact": "digits",
    "command-r": "digits",
    "llama-bpe": LLAMA3,
    "qwen2": LLAMA3.replace("{1,3}", ""),
}
"""tokenizer.ggml.pre -> what comes before the byte level: nothing, single digits, or a pattern (llama-vocab.cpp)."""
CONTROL, USER_DEFINED = 3, 4
"""Kinds of tokens (tokenizer.ggml.token_type)."""
END_TEXTS = frozenset(
    (
        "<|im_end|>",
        "<|eot_id|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "</s>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<|end_of_text|>",
        "<end_of_utterance>",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "[e~[",
        "<｜end▁of▁sentence｜>",
        "<|fim_repo|>",
        "<|repo_name|>",
        "<fim-repo>",
        "<REPO>",
        "<reponame>",
        "<|file_sep|>",
        "<|fim_pad|>",
        "<fim-pad>",
        "<fim_pad>",
        "<PAD>",
        "[PAD]",
    )
)
"""Control tokens that end an answer whatever the model says of them, as in llama.cpp (src/llama-vocab.cpp)."""


class ConversionError(ValueError):
    """A file cannot be converted; the message says why."""


class _Weights(NamedTuple):
    """A tensor: plain where `bits` is 0, else packed."""

    arrays: dict[str, Array]
    """By the last part of the name: weight, scales, biases, bias."""
    bits: int = 0


def convert(source: str | Path, target: str | Path, *, n_layers: int | None = None, dtype: str | None = None) -> None:
    """Write an MLX copy of a GGUF model, whole or not at all.

    Parameters
    ----------
    source
        A GGUF file (of a split model, any part).
    target
        The folder to be made; it must not be there yet.
    n_layers
        Keep only the first layers: a draft with the main model's vocabulary, and a bad one. None: all.
    dtype
        One of `DTYPES`, to dequantise all weights to; None: 4-bit and 8-bit weights stay what they are, others become
        `float16`.

    Raises
    ------
    ConversionError
        If the file is damaged or holds what cannot be converted without a guess, or a package is missing.
    FileNotFoundError, FileExistsError
        If the source is not there, or the target is.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ConversionError(f"the dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    target = Path(target)
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    card, _ = read_path(source)
    keys, tensors = _read(card)
    architecture = card.architecture
    _check(card, keys, tensors)
    n_all = int(keys[f"{architecture}.block_count"])
    kept = n_all if n_layers is None else n_layers
    if not 1 <= kept <= n_all:
        raise ConversionError(f"{card.name} has {n_all} layers: {kept} of them cannot be kept")
    heads = int(keys[f"{architecture}.attention.head_count"])
    kv_heads = int(keys.get(f"{architecture}.attention.head_count_kv", heads))
    config = _config(card, keys, kept, heads, kv_heads, tied="output.weight" not in {one.name for one in tensors})
    with _made_whole(target) as folder:
        config["eos_token_id"] = _write_tokenizer(folder, card, keys)
        bits: dict[str, int] = {}
        shards = list(_shards([one for one in tensors if _layer(one.name) < kept]))
        for i, shard in enumerate(shards, 1):
            name = "model" if len(shards) == 1 else f"model-{i:05}-of-{len(shards):05}"
            arrays: dict[str, Array] = {}
            for tensor in shard:
                module = _module(tensor.name)
                permuted = {"attn_q": heads, "attn_k": kv_heads}.get(_part(tensor.name), 0)
                weights = _weights(tensor, dtype, heads=permuted if architecture == "llama" else 0)
                arrays |= {f"{module}.{part}": array for part, array in weights.arrays.items()}
                if weights.bits:
                    bits[module] = weights.bits
            _write_safetensors(folder / f"{name}.safetensors", arrays, dtype or "float16")
        if bits:
            most = max(set(bits.values()), key=list(bits.values()).count)
            other = {module: {"group_size": GROUP, "bits": n} for module, n in bits.items() if n != most}
            config["quantization"] = {"group_size": GROUP, "bits": most, **other}
        config["torch_dtype"] = dtype or "float16"
        (folder / "config.json").write_text(json.dumps(config, indent=1))


def mlx_copy(model: LocalModel) -> LocalModel:
    """Return the MLX copy of a GGUF model, in the user's cache; it may not have been made yet."""
    path = converted_path(model.path)
    return LocalModel(
        path.name,
        path,
        label=f"{model.label} · MLX" if model.label else "",
        detail=model.detail,
        source=model.source or model.path,
        file_type=FILE_TYPE if model.source is None else f"{FILE_TYPE}-float16",
    )


def converted_path(source: str | Path, n_layers: int | None = None, dtype: str | None = None) -> Path:
    """Return the folder in the user's cache that a copy goes to unless another is given."""
    name = Path(source).name.removesuffix(".gguf")
    said = [name, FILE_TYPE, *([] if n_layers is None else [f"{n_layers}-layers"]), *([] if dtype is None else [dtype])]
    return platformdirs.user_cache_path("specviz") / "models" / "-".join(said)


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes `target` if nothing fails."""
    part = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read(card: ModelCard) -> tuple[dict[str, Any], list[Any]]:
    """Return metadata and tensors, after our own reader found nothing wrong with the file."""
    if card.damaged:
        raise ConversionError(f"{card.name} {card.damaged}")
    if card.format != "gguf" or card.kind != "model":
        raise ConversionError(f"{card.name} is not a GGUF model")
    try:
        from gguf import GGUFReader
    except ModuleNotFoundError:
        raise ConversionError('converting needs the package gguf: pip install "specviz-lab[mlx]"') from None
    readers = [GGUFReader(file) for file in card.files]
    keys = {key: field.contents() for key, field in readers[0].fields.items()}
    return keys, [tensor for reader in readers for tensor in reader.tensors]


def _check(card: ModelCard, keys: dict[str, Any], tensors: list[Any]) -> None:
    """Refuse what would be converted wrongly or not at all."""
    architecture = card.architecture
    if architecture not in CLASSES:
        raise ConversionError(
            f"{card.name} is a {architecture} model; {', '.join(CLASSES)} are converted: take a copy made for MLX"
        )
    if keys.get(f"{architecture}.rope.scaling.type", "none") != "none" or "rope_freqs.weight" in {
        tensor.name for tensor in tensors
    }:
        raise ConversionError(f"{card.name} has scaled rotary positions, of which a GGUF does not tell enough")
    for tensor in tensors:
        if _part(tensor.name) not in TENSORS or not tensor.name.endswith((".weight", ".bias")):
            raise ConversionError(f"{card.name} has the tensor {tensor.name!a}, which is not known here")


def _part(name: str) -> str:
    return re.sub(r"^blk\.\d+\.|\.(weight|bias)$", "", name)


def _layer(name: str) -> int:
    """Layer of a tensor; -1: of none."""
    match = re.match(r"blk\.(\d+)\.", name)
    return int(match[1]) if match else -1


def _module(name: str) -> str:
    layer = _layer(name)
    return f"model.layers.{layer}.{TENSORS[_part(name)]}" if layer >= 0 else TENSORS[_part(name)]


def _shards(tensors: list[Any]) -> Iterator[list[Any]]:
    shard: list[Any] = []
    for tensor in tensors:
        if shard and sum(int(one.n_bytes) for one in shard) + int(tensor.n_bytes) > MAX_SHARD:
            yield shard
            shard = []
        shard.append(tensor)
    yield shard


def _weights(tensor: Any, dtype: str | None, *, heads: int) -> _Weights:
    """Return a tensor's arrays; with `heads` its rows are brought from llama.cpp's order into that of Hugging Face."""
    from gguf.quants import dequantize

    kind = tensor.tensor_type.name
    what = tensor.name.rpartition(".")[2]
    if dtype is None and kind in PACK:
        arrays, bits = PACK[kind](np.asarray(tensor.data))
        names = ("weight", "scales", "biases")
        return _Weights({name: _rows(array, heads) for name, array in zip(names, arrays, strict=True)}, bits)
    values = dequantize(tensor.data, tensor.tensor_type).reshape([int(n) for n in reversed(tensor.shape)])
    return _Weights({what: _rows(values, heads)})


def _rows(array: Array, heads: int) -> Array:
    """Undo the interleaving of the query and key rows of each head, which llama.cpp's rotary positions want."""
    if not heads:
        return array
    return array.reshape(heads, array.shape[0] // heads // 2, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _pack_4_bit(numbers: Array) -> Array:
    """Pack numbers below 16, shape (rows, n), into 32-bit words, the first in the lowest bits."""
    return np.ascontiguousarray(numbers[:, 0::2] | numbers[:, 1::2] << 4).view(np.uint32)


def _nibbles(blocks: Array) -> Array:
    """Return the 32 numbers of each block, of shape (rows, blocks, 16): low halves of its bytes, then high ones."""
    return np.concatenate([blocks & 15, blocks >> 4], axis=2).reshape(len(blocks), -1)


def _halves(blocks: Array, at: int) -> Array:
    """Return the 16-bit float at byte `at` of each block."""
    return np.ascontiguousarray(blocks[:, :, at : at + 2]).view(np.float16)[:, :, 0]


def _q4_0(rows: Array) -> tuple[tuple[Array, Array, Array], int]:
    blocks = rows.reshape(len(rows), -1, 18)
    scales = _halves(blocks, 0)
    return (_pack_4_bit(_nibbles(blocks[:, :, 2:])), scales, scales * np.float16(-8)), 4


def _q4_1(rows: Array) -> tuple[tuple[Array, Array, Array], int]:
    blocks = rows.reshape(len(rows), -1, 20)
    return (_pack_4_bit(_nibbles(blocks[:, :, 4:])), _halves(blocks, 0), _halves(blocks, 2)), 4


def _q8_0(rows: Array) -> tuple[tuple[Array, Array, Array], int]:
    blocks = rows.reshape(len(rows), -1, 34)
    scales = _halves(blocks, 0)
    numbers = (blocks[:, :, 2:] ^ 0x80).reshape(len(rows), -1)  # from -128..127 to 0..255
    return (np.ascontiguousarray(numbers).view(np.uint32), scales, scales * np.float16(-128)), 8


PACK = {"Q4_0": _q4_0, "Q4_1": _q4_1, "Q8_0": _q8_0}
"""Tensor types that MLX holds as they are: rows of blocks -> packed numbers, scales, biases; and bits."""


def _write_safetensors(path: Path, arrays: dict[str, Array], dtype: str) -> None:
    """Write arrays, floats among them rounded to `dtype` (the format: the safetensors README, section "Format")."""
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    rounded = {name: array if array.dtype == np.uint32 else _round(array, dtype) for name, array in arrays.items()}
    at = 0
    for name, array in rounded.items():
        kind = "U32" if array.dtype == np.uint32 else NAMES[dtype]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for array in rounded.values():
            file.write(np.ascontiguousarray(array).data)


def _round(array: Array, dtype: str) -> Array:
    return _bfloat16(array) if dtype == "bfloat16" else array.astype(dtype)


def _bfloat16(array: Array) -> Array:
    """Round to the nearest, to the even one of two; as 16-bit words."""
    words = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((words + 0x7FFF + (words >> 16 & 1)) >> 16).astype(np.uint16)


def _config(
    card: ModelCard, keys: dict[str, Any], n_layers: int, heads: int, kv_heads: int, *, tied: bool
) -> dict[str, Any]:
    def key(name: str, default: Any = None) -> Any:
        return keys.get(f"{card.architecture}.{name}", default)

    width = int(key("embedding_length"))
    return {
        "model_type": card.architecture,
        "architectures": [CLASSES[card.architecture]],
        "hidden_size": width,
        "num_hidden_layers": n_layers,
        "intermediate_size": int(key("feed_forward_length")),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": int(key("attention.key_length") or width // heads),
        "rms_norm_eps": float(key("attention.layer_norm_rms_epsilon")),
        "vocab_size": card.n_vocab,
        "max_position_embeddings": card.n_ctx,
        "rope_theta": float(key("rope.freq_base", 10000.0)),
        "tie_word_embeddings": tied,
        "bos_token_id": None if card.tokenizer is None else card.tokenizer.bos,
    }


def _write_tokenizer(folder: Path, card: ModelCard, keys: dict[str, Any]) -> list[int]:
    """Write tokenizer.json, its settings and the chat template; return the tokens that end an answer."""
    tokenizer = card.tokenizer
    if tokenizer is None or keys["tokenizer.ggml.model"] != "gpt2" or tokenizer.pre not in PRE_TOKENIZERS:
        kind = "none" if tokenizer is None else " ".join(filter(None, (tokenizer.kind, tokenizer.pre)))
        raise ConversionError(f"{card.name} has a tokenizer that is not converted ({kind}): take a copy made for MLX")
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as Made

    tokens: list[str] = keys["tokenizer.ggml.tokens"]
    kinds = list(keys.get("tokenizer.ggml.token_type", []))
    merges = [tuple(merge.split(" ", 1)) for merge in keys["tokenizer.ggml.merges"]]
    vocabulary = {text: id for id, text in enumerate(tokens)}
    made = Made(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=tokenizer.pre == "llama-bpe"))
    first = PRE_TOKENIZERS[tokenizer.pre]
    steps: list[Any] = []
    if first == "digits":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    elif first:
        steps.append(pre_tokenizers.Split(Regex(first), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=first in ("", "digits")))
    made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    made.decoder = decoders.ByteLevel()
    if tokenizer.add_bos and tokenizer.bos is not None:
        bos = tokens[tokenizer.bos]
        made.post_processor = processors.TemplateProcessing(single=[bos, "$A"], special_tokens=[(bos, tokenizer.bos)])
    of_kind = {
        kind: [
            AddedToken(text, special=kind == CONTROL, normalized=False)
            for text, one in zip(tokens, kinds, strict=False)
            if one == kind
        ]
        for kind in (CONTROL, USER_DEFINED)
    }
    made.add_special_tokens(of_kind[CONTROL])
    made.add_tokens(of_kind[USER_DEFINED])
    made.save(str(folder / "tokenizer.json"))
    ends = [tokenizer.eos, *(keys.get(f"tokenizer.ggml.{name}_token_id") for name in ("eot", "eom"))]
    ends += [id for id, text in enumerate(tokens) if text in END_TEXTS and kinds[id : id + 1] == [CONTROL]]
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": card.n_ctx,
        "add_bos_token": tokenizer.add_bos,
        "add_eos_token": tokenizer.add_eos,
    }
    names = {"bos": tokenizer.bos, "eos": tokenizer.eos}
    settings |= {f"{name}_token": tokens[id] for name, id in names.items() if id is not None}
    template = keys.get("tokenizer.chat_template")
    if template:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False))
    return list(dict.fromkeys(int(id) for id in ends if id is not None))

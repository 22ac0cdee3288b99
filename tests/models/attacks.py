"""Hostile model files: every field of a good one, known by what it means, replaced by what does most harm."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.models.files import mlx_config, mlx_tokenizer, safetensors

HUGE = (2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 256, 2**64 - 1)
FORMATS = {1: "<B", 4: "<I", 8: "<Q"}


@dataclass(frozen=True)
class Field:
    """Where a field of a GGUF lies, and what it is: `count`, `length`, `type`, `number`, `offset` or `text`."""

    kind: str
    at: int
    size: int


@dataclass
class GGUFBytes:
    """A GGUF under construction that remembers its fields."""

    data: bytearray = field(default_factory=bytearray)
    fields: list[Field] = field(default_factory=list)

    def put(self, kind: str, data: bytes) -> None:
        self.fields.append(Field(kind, len(self.data), len(data)))
        self.data += data

    def number(self, kind: str, value: int, format: str = "<Q") -> None:
        self.put(kind, struct.pack(format, value))

    def text(self, text: bytes) -> None:
        self.number("length", len(text))
        self.put("text", text)

    def key(self, name: str, type: int) -> None:
        self.text(name.encode())
        self.number("type", type, "<I")

    def texts(self, name: str, texts: list[bytes]) -> None:
        self.key(name, 9)
        self.number("type", 8, "<I")
        self.number("count", len(texts))
        for text in texts:
            self.text(text)

    def numbers(self, name: str, type: int, format: str, values: list[float]) -> None:
        self.key(name, 9)
        self.number("type", type, "<I")
        self.number("count", len(values))
        self.put("number", b"".join(struct.pack(format, value) for value in values))


def good_gguf() -> GGUFBytes:
    """A small model with a key of every kind, a vocabulary and three tensors."""
    file = GGUFBytes()
    tokens = [b"<unk>", b"<s>", b"</s>", "▁".encode(), *(bytes([97 + i]) * (i % 5 + 1) for i in range(20)), b"<0x0A>"]
    texts = {
        "general.architecture": b"llama",
        "general.name": b"good",
        "tokenizer.ggml.model": b"llama",
        "tokenizer.ggml.pre": b"default",
        "tokenizer.chat_template": b"{{ messages }}",
    }
    integers = {
        "general.file_type": 0,
        "general.alignment": 32,
        "llama.context_length": 128,
        "llama.pooling_type": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    tensors = {"token_embd.weight": ((32, 25), 2), "output_norm.weight": ((32,), 0), "output.weight": ((32, 5, 5), 8)}
    sizes = {0: (1, 4), 2: (32, 18), 8: (32, 34)}
    file.put("text", b"GGUF")
    file.number("number", 3, "<I")
    file.number("count", len(tensors))
    file.number("count", len(texts) + len(integers) + 7)
    for name, text in texts.items():
        file.key(name, 8)
        file.text(text)
    for name, value in integers.items():
        file.key(name, 4)
        file.number("number", value, "<I")
    file.key("tokenizer.ggml.add_bos_token", 7)
    file.number("number", 1, "<B")
    file.key("it.u64", 10)
    file.number("number", 5)
    file.key("it.f64", 12)
    file.put("number", struct.pack("<d", 0.5))
    file.texts("tokenizer.ggml.tokens", tokens)
    file.numbers("tokenizer.ggml.scores", 6, "<f", [0.0] * len(tokens))
    file.numbers("tokenizer.ggml.token_type", 5, "<i", [1] * len(tokens))
    file.texts("tokenizer.ggml.merges", [b"a a", b"b b"])
    at = 0
    for name, (shape, type) in tensors.items():
        file.text(name.encode())
        file.number("count", len(shape), "<I")
        elements = 1
        for length in shape:
            file.number("length", length)
            elements *= length
        file.number("type", type, "<I")
        file.number("offset", at)
        block, size = sizes[type]
        at += -(-(elements // block * size) // 32) * 32
    file.data += bytes(-len(file.data) % 32 + at)
    return file


GGUF = good_gguf()


@st.composite
def hostile_ggufs(draw: st.DrawFn) -> bytes:
    """A GGUF with one to three fields attacked, perhaps cut off at the border of a field."""
    data = bytearray(GGUF.data)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        target = draw(st.sampled_from(GGUF.fields))
        data[target.at : target.at + target.size] = draw(_attack(target))
    if draw(st.integers(0, 3)) == 0:
        border = draw(st.sampled_from(GGUF.fields))
        del data[border.at + draw(st.integers(-1, border.size + 1)) :]
    return bytes(data)


def _attack(target: Field) -> st.SearchStrategy[bytes]:
    """What to put in a field's place; of a text also a longer or a shorter one, so that all after it is shifted."""
    old = bytes(GGUF.data[target.at : target.at + target.size])
    noise = st.binary(min_size=target.size, max_size=target.size)
    if target.kind == "text":
        other = st.sampled_from([bytes(GGUF.data[f.at : f.at + f.size]) for f in GGUF.fields if f.kind == "text"])
        odd = st.sampled_from([b"", b"\0" * len(old), b"\xff" * len(old), b"\xed\xa0\x80", old + old, b"A" * 70_000])
        return noise | other | odd
    if target.size not in FORMATS:
        return noise
    size, left = len(GGUF.data), len(GGUF.data) - target.at
    top = 256**target.size - 1
    value = int.from_bytes(old, "little")
    near = [value + step for step in (-2, -1, 1, 2)] + [size, left, left - target.size, left // 8, left // 8 + 1]
    values = [*range(14), 39, 40, 99, *near, *HUGE] if target.kind == "type" else [0, 1, *near, *HUGE]
    fitting = sorted({min(max(value, 0), top) for value in values})
    return st.sampled_from([struct.pack(FORMATS[target.size], value) for value in fitting]) | noise


def boundaries() -> Iterator[int]:
    """All lengths at which a GGUF can be cut so that a field is the last, or misses a byte, or has one too many."""
    for target in GGUF.fields:
        yield from (target.at, target.at + 1, target.at + target.size - 1)


DEEP = '[{"a":' * 3000
EVIL = (
    *(None, True, -1, 0, 1, 1.5, 2**31, 2**63 - 1, 2**64, 10**30, -(10**30), "", "x" * 5000, "\0", "\ud800", [], {}),
    *([-1], [2**62, 2**62], [2**40] * 9, ["a"], {"a": 1}, {"a": -1, "b": 2**60}, [[1, 2]], [None], {"content": 5}),
)


@st.composite
def hostile_json(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """JSON with up to three values replaced or removed, perhaps nested deeply, cut off or no UTF-8."""
    value = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(0, 3))):
        holder: Any = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 2)):
                holder = holder[key]
                continue
            if draw(st.integers(0, 5)):
                holder[key] = copy.deepcopy(draw(st.sampled_from(EVIL)))
            else:
                del holder[key]
            break
    data = json.dumps(value).encode()
    damage = draw(st.sampled_from(["", "", "", "", "cut", "deep", "bytes", "twice"]))
    if damage == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if damage == "deep":
        at = draw(st.integers(0, len(data)))
        return data[:at] + DEEP.encode() + data[at:]
    if damage == "bytes":
        at = draw(st.integers(0, len(data)))
        return data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at + 1 :]
    return data[:-1] + b"," + data[1:] if damage == "twice" else data


WEIGHTS = safetensors(
    {
        "model.embed.weight": ("U32", [12, 8], 32),
        "model.embed.scales": ("BF16", [12, 1], 16),
        "model.embed.biases": ("BF16", [12, 1], 16),
        "model.norm.weight": ("BF16", [64], 16),
    },
    {"format": "mlx"},
)
HEADER_SIZE = struct.unpack("<Q", WEIGHTS[:8])[0]
HEADER = json.loads(WEIGHTS[8 : 8 + HEADER_SIZE])
CONFIG = mlx_config(
    quantization={"group_size": 64, "bits": 4, "model.embed": {"group_size": 64, "bits": 8}},
    text_config={"vocab_size": 12},
    bos_token_id=[1],
)
TOKENIZER = mlx_tokenizer(
    {chr(97 + i): i for i in range(10)},
    [{"id": 10, "content": "<s>", "special": True}, {"id": 11, "content": "</s>", "special": True}],
    post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]},
)
TOKENIZER_CONFIG = {
    "add_bos_token": True,
    "bos_token": "<s>",
    "eos_token": {"content": "</s>", "lstrip": False},
    "chat_template": "{{ messages }}",
}


@st.composite
def hostile_safetensors(draw: st.DrawFn) -> bytes:
    """A safetensors file with its length or its header attacked, perhaps cut off."""
    header = draw(hostile_json(HEADER))
    size = len(header)
    lengths = [size] * 8 + [0, 1, size - 1, size + 1, len(WEIGHTS), 10**8, 10**8 + 1, *HUGE]
    data = struct.pack("<Q", max(0, draw(st.sampled_from(lengths)))) + header + WEIGHTS[8 + HEADER_SIZE :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 4)) == 0 else data


@st.composite
def hostile_mlx_folders(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of an MLX model, one to four of them attacked."""
    return {
        "model.safetensors": draw(st.just(WEIGHTS) | hostile_safetensors()),
        "config.json": draw(st.just(json.dumps(CONFIG).encode()) | hostile_json(CONFIG)),
        "tokenizer.json": draw(st.just(json.dumps(TOKENIZER).encode()) | hostile_json(TOKENIZER)),
        "tokenizer_config.json": draw(st.just(json.dumps(TOKENIZER_CONFIG).encode()) | hostile_json(TOKENIZER_CONFIG)),
    }

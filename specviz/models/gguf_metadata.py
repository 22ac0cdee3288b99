"""Reading the metadata of GGUF files, which may be damaged or hostile, without loading a model.

A small reader of our own, not `gguf.GGUFReader`: that one makes an array object per array element (5.9 s and 530 MB for
a vocabulary of 150,000 tokens with merges, against 0.04 s here), believes every count, and follows nested arrays as
deep as they go. Here every count, length, type, offset and dimension is held against the size of the file before it is
used, as llama.cpp does in `gguf_init_from_reader` (ggml/src/gguf.cpp).

The file is read, not mapped: a mapped file that becomes shorter meanwhile, as downloads do, kills the process.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from specviz.models.card import DamagedModelError, Kind, ModelCard, Tokenizer
from specviz.models.gguf_tables import (
    EMBEDDING_ARCHITECTURES,
    FILE_TYPES,
    NO_TOKENIZER,
    PRE_THAT_ADDS_BOS,
    PRE_WITHOUT_BOS,
    TENSOR_TYPES,
    TOKENIZERS,
)
from specviz.models.vocabulary import LENGTH, Vocabulary

MAX_METADATA = 128 << 20
"""Bytes of metadata that we read at most; the largest in use have some 20 MB."""
MAX_STRINGS = 1 << 22
"""In one array; the largest in use have 600,000 merges."""
FIRST_READ = 1 << 20
MAX_KEYS, MAX_TENSORS = 1 << 16, 1 << 18
"""That a file may have; a hundred times what there is in use."""
VERSIONS = (2, 3)
MAX_NAME, MAX_DIMENSIONS, MAX_ELEMENTS = 64, 4, 2**63
"""Of a tensor; GGML_MAX_NAME, GGML_MAX_DIMS, INT64_MAX."""
DEFAULT_ALIGNMENT = 32

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
UINT32, INT32, FLOAT32, BOOL = 4, 5, 6, 7
SMALLEST_KEY_VALUE = 8 + 1 + 4 + 1
SMALLEST_TENSOR = 8 + 4 + 4 + 8

TOKENS = "tokenizer.ggml.tokens"
NAMES = {
    TOKENS: "token list",
    "tokenizer.ggml.merges": "list of merges",
    "tokenizer.ggml.scores": "list of token scores",
    "tokenizer.ggml.token_type": "list of token types",
}
UNITS = {TOKENS: "tokens", "tokenizer.ggml.merges": "merges"}

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array that was passed over."""

    type: int
    n: int


@dataclass(frozen=True, slots=True)
class GGUFMetadata:
    """Keys and tensors of one GGUF file.

    Attributes
    ----------
    values, types
        Of every key its value (of an array only its type and length) and its GGUF type.
    vocabulary
        The token list; None if there is none.
    n_tensors, n_params, tensor_bytes
        Number of tensors, of their elements, of their bytes (0 where a tensor's type is not known).
    tensor_types
        Elements by name of tensor type.
    size_bytes
        Of the file.
    """

    size_bytes: int
    values: dict[str, Scalar | ArrayInfo] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    n_tensors: int = 0
    n_params: int = 0
    tensor_bytes: int = 0
    tensor_types: Counter[str] = field(default_factory=Counter)

    def text(self, key: str) -> str:
        """Return a key's text; empty if there is none."""
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """Return a key's whole number; 0 if there is none."""
        value = self.values.get(key, 0)
        return value if isinstance(value, int) and value >= 0 else 0

    def exact(self, key: str, type: int) -> Scalar | None:
        """Return the value of a key that llama.cpp takes in one type only; None if there is none.

        Raises
        ------
        DamagedModelError
            If it is of another type.
        """
        if key not in self.values:
            return None
        value = self.values[key]
        if self.types[key] != type or isinstance(value, ArrayInfo):
            raise DamagedModelError(f"has a {_shown(key)} of the wrong type")
        return value


class _Head:
    """The beginning of a file, read as far as it is asked for, and a place in it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.data = bytearray()
        self.at = 0
        self.where = "header"

    @property
    def left(self) -> int:
        return self.size - self.at

    def reach(self, end: int) -> None:
        """Make sure that the data go as far as `end`."""
        if end <= len(self.data):
            return
        if end > self.size:
            raise DamagedModelError(f"breaks off inside the {self.where}")
        if end > MAX_METADATA:
            raise DamagedModelError(f"has more than {MAX_METADATA >> 20} MB of metadata")
        wanted = min(self.size, MAX_METADATA, max(end, 2 * len(self.data), FIRST_READ))
        while len(self.data) < wanted:
            more = self.file.read(wanted - len(self.data))
            if not more:
                break
            self.data += more
        if end > len(self.data):
            raise DamagedModelError(f"became shorter while it was read, inside the {self.where}")

    def take(self, n: int) -> bytes:
        self.reach(self.at + n)
        begin, self.at = self.at, self.at + n
        return bytes(memoryview(self.data)[begin : self.at])

    def scalar(self, format: str) -> Scalar:
        value: Scalar = struct.unpack(format, self.take(struct.calcsize(format)))[0]
        return value

    def count(self) -> int:
        return int(self.scalar("<Q"))

    def string(self) -> str:
        n = self.count()
        if n > self.left:
            raise DamagedModelError(f"breaks off inside the {self.where}")
        return self.take(n).decode("utf-8", "replace")

    def skip(self, n: int) -> None:
        self.reach(self.at + n)
        self.at += n

    def strings(self, n: int) -> bytes:
        """Return `n` strings as they lie there, each with its length."""
        begin = at = self.at
        data, unpack, step = self.data, LENGTH.unpack_from, LENGTH.size
        while n:
            self.reach(at + step)
            last = len(data) - step
            while n and at <= last:
                at += step + unpack(data, at)[0]
                n -= 1
        self.reach(at)
        self.at = at
        return bytes(memoryview(data)[begin:at])


def read_gguf(path: str | Path) -> GGUFMetadata:
    """Read the metadata of one GGUF file.

    Raises
    ------
    DamagedModelError
        If the file is no GGUF or contradicts itself; whatever the file holds, there is no other error.
    OSError
        If it cannot be opened or read.
    """
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        return parse_gguf(file, size)


def parse_gguf(file: BinaryIO, size: int) -> GGUFMetadata:
    """Read the metadata of an open GGUF file of `size` bytes; see `read_gguf`."""
    head = _Head(file, size)
    if not size:
        raise DamagedModelError("is empty")
    _magic(head)
    n_tensors, n_keys = head.count(), head.count()
    for n, most, smallest, what in (
        (n_tensors, MAX_TENSORS, SMALLEST_TENSOR, "tensors"),
        (n_keys, MAX_KEYS, SMALLEST_KEY_VALUE, "metadata keys"),
    ):
        if n > most:
            raise DamagedModelError(_too_many(n, what))
        if n > head.left // smallest:
            raise DamagedModelError(f"breaks off before the last of its {n:,} {what}")
    values: dict[str, Scalar | ArrayInfo] = {}
    types: dict[str, int] = {}
    vocabulary = None
    for _ in range(n_keys):
        head.where = "metadata"
        key = head.string()
        if not key:
            raise DamagedModelError("has a metadata key without a name")
        if key in values:
            raise DamagedModelError(f"has the metadata key {_shown(key)} twice")
        head.where = NAMES.get(key, f"value of {_shown(key)}")
        type = types[key] = int(head.scalar("<I"))
        if type in SCALARS:
            values[key] = head.scalar(SCALARS[type])
        elif type == STRING:
            values[key] = head.string()
        elif type == ARRAY:
            values[key], texts = _array(head, key)
            vocabulary = texts if key == TOKENS else vocabulary
        else:
            raise DamagedModelError(f"has a {_shown(key)} of type {type}, which there is not")
    tensors = _tensors(head, n_tensors, _alignment(values, types))
    return GGUFMetadata(size, values, types, vocabulary, n_tensors, *tensors)


def _magic(head: _Head) -> None:
    magic = head.take(4)
    if magic != b"GGUF":
        if magic == b"vers" and head.size < 1024:
            raise DamagedModelError("is a Git LFS pointer, not the model: it was never downloaded")
        raise DamagedModelError("is not a GGUF file")
    version = int(head.scalar("<I"))
    if version & 0xFFFF == 0:
        raise DamagedModelError("is written for big-endian machines")
    if version not in VERSIONS:
        raise DamagedModelError(f"is of GGUF version {version}; versions {VERSIONS[0]} to {VERSIONS[-1]} are read")


def _array(head: _Head, key: str) -> tuple[ArrayInfo, Vocabulary | None]:
    """Pass over an array; return what it is and, of texts, the texts."""
    type, n = int(head.scalar("<I")), head.count()
    element = LENGTH.size if type == STRING else struct.calcsize(SCALARS[type]) if type in SCALARS else 0
    if not element:
        what = "an array of arrays" if type == ARRAY else f"an array of type {type}, which there is not,"
        raise DamagedModelError(f"has {what} as {_shown(key)}")
    if n > (MAX_STRINGS if type == STRING else MAX_METADATA):
        raise DamagedModelError(_too_many(n, UNITS.get(key, f"entries in {_shown(key)}")))
    if n > head.left // element:
        raise DamagedModelError(f"breaks off inside the {head.where}")
    if type == STRING:
        return ArrayInfo(type, n), Vocabulary(head.strings(n), n)
    head.skip(n * element)
    return ArrayInfo(type, n), None


def _alignment(values: dict[str, Scalar | ArrayInfo], types: dict[str, int]) -> int:
    key = "general.alignment"
    if key not in values:
        return DEFAULT_ALIGNMENT
    alignment = values[key]
    if types[key] != UINT32 or not isinstance(alignment, int) or alignment.bit_count() != 1:
        raise DamagedModelError("has an alignment that is no power of two")
    return alignment


def _tensors(head: _Head, n_tensors: int, alignment: int) -> tuple[int, int, Counter[str]]:
    """Read the list of tensors; return their elements, bytes and types, after checking that the file holds them."""
    head.where = "list of tensors"
    n_params = n_bytes = place = end = 0
    known = True
    names: set[str] = set()
    by_type: Counter[str] = Counter()
    for _ in range(n_tensors):
        name = head.string()
        if len(name.encode()) >= MAX_NAME or name in names:
            raise DamagedModelError(f"has a tensor with a name that is too long or taken: {_shown(name)}")
        names.add(name)
        n_dimensions = int(head.scalar("<I"))
        if n_dimensions > MAX_DIMENSIONS:
            raise DamagedModelError(f"has a tensor of {n_dimensions:,} dimensions, {_shown(name)}")
        shape = [head.count() for _ in range(n_dimensions)]
        elements = math.prod(shape)
        if max(elements, *shape, 0) >= MAX_ELEMENTS:
            raise DamagedModelError(f"has a tensor of {max(elements, *shape):.0e} elements, {_shown(name)}")
        type, at = int(head.scalar("<I")), head.count()
        type_name, block, block_bytes = TENSOR_TYPES.get(type, (f"type {type}", 1, 0))
        if shape and shape[0] % block:
            raise DamagedModelError(f"has a tensor whose rows are not whole blocks of {type_name}, {_shown(name)}")
        known = known and block_bytes > 0
        if known and at != place:
            raise DamagedModelError(f"has the tensor {_shown(name)} where it cannot be")
        n_params += elements
        by_type[type_name] += elements
        size = elements // block * block_bytes
        n_bytes += size
        end = place + size
        place += -(-size // alignment) * alignment
    there = max(0, head.size - -(-head.at // alignment) * alignment)
    if known and there < end:
        raise DamagedModelError(f"breaks off inside the weights: {there / 1e6:,.1f} of {end / 1e6:,.1f} MB are there")
    return n_params, n_bytes if known else 0, by_type


def _too_many(n: int, what: str) -> str:
    return f"says it has {n:,} {what}" if n < 10**9 else f"says it has {n:.1e} {what}".replace("e+", "e")


def _shown(key: str) -> str:
    """A key or name from a file, fit to stand in a sentence."""
    return key if re.fullmatch(r"[\w.\-]{1,64}", key) else ascii(key[:64])


def gguf_card(name: str, source: str, parts: Sequence[str | Path]) -> tuple[ModelCard, Vocabulary | None]:
    """Make the card of a GGUF model from its parts, the first of which has the metadata.

    Parameters
    ----------
    name, source
        As the card shall say.
    parts
        Its files in order; of an ordinary model one.

    Returns
    -------
    The card, and the vocabulary if it has one.

    Raises
    ------
    DamagedModelError
        If a part is damaged, or llama.cpp would refuse the tokenizer.
    OSError
        If a part cannot be opened or read.
    """
    heads = []
    for i, part in enumerate(parts):
        try:
            heads.append(read_gguf(part))
        except DamagedModelError as error:
            raise error if len(parts) == 1 else DamagedModelError(f"{error} (part {i + 1})") from None
    first = heads[0]
    architecture = first.text("general.architecture")
    n_params = sum(head.n_params for head in heads)
    tensor_bytes = sum(head.tensor_bytes for head in heads) if all(head.tensor_bytes for head in heads[1:]) else 0
    types = sum((head.tensor_types for head in heads), Counter[str]())
    kind = _kind(first, architecture, n_tensors=sum(head.n_tensors for head in heads))
    size = sum(head.size_bytes for head in heads)
    card = ModelCard(
        name=name,
        path=str(parts[0]),
        source=source,
        format="gguf",
        files=tuple(str(part) for part in parts),
        kind=kind,
        architecture=architecture,
        n_params=n_params,
        quantization=_quantization(first, types),
        bits_per_weight=round(8 * (tensor_bytes or size) / n_params, 2) if n_params else 0.0,
        n_ctx=first.number(f"{architecture}.context_length"),
        tokenizer=_tokenizer(first, architecture),
        size_bytes=size,
        has_chat_template=bool(first.text("tokenizer.chat_template")),
    )
    return card, first.vocabulary


def _kind(head: GGUFMetadata, architecture: str, *, n_tensors: int) -> Kind:
    general_type = head.text("general.type")
    if general_type == "adapter":
        return "adapter"
    if general_type == "imatrix" or "imatrix.datasets" in head.values:
        return "imatrix"
    if general_type == "mmproj" or architecture == "clip":
        return "projector"
    if architecture in EMBEDDING_ARCHITECTURES or head.number(f"{architecture}.pooling_type"):
        return "embedding"
    return "model" if n_tensors else "vocabulary"


def _quantization(head: GGUFMetadata, types: Counter[str]) -> str:
    """Name of the mix of tensor types, or else of the type that most weights have."""
    file_type = head.values.get("general.file_type")
    if isinstance(file_type, int) and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    return types.most_common(1)[0][0] if types else ""


def _tokenizer(head: GGUFMetadata, architecture: str) -> Tokenizer | None:
    """Return what llama.cpp makes of the tokenizer's keys (src/llama-vocab.cpp, `llama_vocab::impl::load`)."""
    model = head.exact("tokenizer.ggml.model", STRING)
    if model is None:
        return None
    pre = str(head.exact("tokenizer.ggml.pre", STRING) or "")
    if model in NO_TOKENIZER:
        return Tokenizer(kind="none", n_vocab=head.number(f"{architecture}.vocab_size"))
    if model not in TOKENIZERS:
        raise DamagedModelError(f"has a tokenizer that llama.cpp does not know, {_shown(str(model))}")
    if head.vocabulary is None:
        raise DamagedModelError(
            "has no token list" if TOKENS not in head.values else "has a token list that is no text"
        )
    n = head.vocabulary.n_tokens
    for key, types in (("scores", (FLOAT32, INT32)), ("token_type", (INT32,))):
        entry = head.values.get(f"tokenizer.ggml.{key}", ArrayInfo(types[0], n))
        if not isinstance(entry, ArrayInfo) or entry.type not in types:
            raise DamagedModelError(f"has a {NAMES[f'tokenizer.ggml.{key}']} of the wrong type")
        if entry.n < n:
            raise DamagedModelError(f"has {n:,} tokens but a {NAMES[f'tokenizer.ggml.{key}']} of {entry.n:,}")
    kind, default_bos, default_eos, add_bos, add_eos = TOKENIZERS[str(model)]
    if kind == "bpe":
        add_bos = add_bos or pre in PRE_THAT_ADDS_BOS
        default_bos = None if pre in PRE_WITHOUT_BOS else default_bos
    ids = []
    for key, default in (("bos", default_bos), ("eos", default_eos)):
        id = head.exact(f"tokenizer.ggml.{key}_token_id", UINT32)
        in_range = default if default is None or default < n else None
        ids.append(int(id) if id is not None and int(id) < n else in_range)
    said_bos, said_eos = (head.exact(f"tokenizer.ggml.add_{key}_token", BOOL) for key in ("bos", "eos"))
    return Tokenizer(
        kind=kind,
        pre=pre,
        n_vocab=n,
        digest=head.vocabulary.digest,
        bos=ids[0],
        eos=ids[1],
        add_bos="gemma4" in (model, pre) or (add_bos if said_bos is None else bool(said_bos)),
        add_eos=add_eos if said_eos is None else bool(said_eos),
    )

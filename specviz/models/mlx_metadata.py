"""Reading the metadata of MLX models: folders with config.json, *.safetensors and tokenizer.json.

Nothing is loaded: of a safetensors file only its header is read, a length and as much JSON. Every length is held
against the file's size before it is used, and JSON is decoded into the few fields that are wanted, so that a hostile
file makes no more objects than it has entries. The format: the section "Format" of the safetensors README.

The vocabulary is in the convention of GGUF (llama.cpp's `convert_hf_to_gguf.py`): ids without a token up to the model's
vocabulary size are `[PAD<id>]`, and user-defined tokens have spaces for `▁`. So a GGUF and an MLX copy of one model
have the same digest.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from specviz.models.card import DamagedModelError, Kind, ModelCard, Tokenizer
from specviz.models.vocabulary import Vocabulary

MAX_HEADER = 100_000_000
"""Bytes of a safetensors header, by the format."""
MAX_CONFIG, MAX_TOKENIZER = 4 << 20, 64 << 20
"""Bytes of the JSON files; the largest tokenizer.json in use has 35 MB."""
MAX_TOKENS = 1 << 22
# dtype -> bits per element
DTYPES = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "I8": 8,
    "U8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "BOOL": 8,
}
KINDS = {"WordPiece": "wpm", "Unigram": "ugm"}
"""Of tokenizer.json's models; BPE is `spm` where it falls back to bytes, else `bpe`."""
EMBEDDING_TYPES = frozenset(("bert", "roberta", "xlm-roberta", "nomic_bert", "modernbert", "t5encoder"))
T = TypeVar("T")


class _Tensor(Struct):
    dtype: str = ""
    shape: list[int] = []
    data_offsets: tuple[int, int] = (0, 0)


class _TextConfig(Struct):
    vocab_size: int = 0
    max_position_embeddings: int = 0


class _Config(Struct):
    model_type: str = ""
    vocab_size: int = 0
    max_position_embeddings: int = 0
    text_config: _TextConfig | None = None
    quantization: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None
    bos_token_id: int | list[int] | None = None
    eos_token_id: int | list[int] | None = None


class _Added(Struct):
    id: int
    content: str
    special: bool = False


class _Model(Struct):
    type: str | None = None
    vocab: dict[str, int] | list[tuple[str, float]] = {}
    byte_fallback: bool | None = None


class _SpecialToken(Struct):
    id: str


class _Piece(Struct):
    special: _SpecialToken | None = msgspec.field(name="SpecialToken", default=None)


class _Processor(Struct):
    single: list[_Piece] | None = None


class _PostProcessor(Struct):
    single: list[_Piece] | None = None
    processors: list[_Processor] | None = None


class _TokenizerFile(Struct):
    model: _Model
    added_tokens: list[_Added] | None = None
    post_processor: _PostProcessor | None = None


class _NamedToken(Struct):
    content: str


class _TokenizerConfig(Struct):
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    bos_token: str | _NamedToken | None = None
    eos_token: str | _NamedToken | None = None
    chat_template: msgspec.Raw = msgspec.Raw(b"null")
    """A text, or a list of named ones."""


def mlx_card(
    name: str, source: str, folder: str | Path, files: Sequence[str | Path]
) -> tuple[ModelCard, Vocabulary | None]:
    """Make the card of an MLX model.

    Parameters
    ----------
    name, source
        As the card shall say.
    folder
        Where config.json and the tokenizer's files are.
    files
        What there is of it; only the safetensors files among them are taken from here.

    Returns
    -------
    The card, and the vocabulary if there is a tokenizer.json.

    Raises
    ------
    DamagedModelError
        If a file is damaged; whatever the files hold, there is no other error.
    OSError
        If one cannot be opened or read.
    """
    folder = Path(folder)
    config = _json(folder / "config.json", _Config, MAX_CONFIG)
    tensors: dict[str, _Tensor] = {}
    size = 0
    for path in (path for path in files if str(path).endswith(".safetensors")):
        try:
            header, file_size = read_safetensors(path)
        except DamagedModelError as error:
            raise DamagedModelError(f"{error} ({Path(path).name})") from None
        tensors |= header
        size += file_size
    n_params, n_bytes, quantization = _weights(tensors, config)
    tokenizer, vocabulary = _tokenizer(folder, config)
    settings = _optional(folder / "tokenizer_config.json", _TokenizerConfig)
    templates = ("chat_template.jinja", "chat_template.json")
    kind: Kind = "adapter" if (folder / "adapter_config.json").is_file() else "model"
    if config.model_type in EMBEDDING_TYPES:
        kind = "embedding"
    text = config.text_config or _TextConfig()
    card = ModelCard(
        name=name,
        path=str(folder),
        source=source,
        format="mlx",
        files=tuple(map(str, files)),
        kind=kind,
        architecture=config.model_type,
        n_params=n_params,
        quantization=quantization,
        bits_per_weight=round(8 * n_bytes / n_params, 2) if n_params else 0.0,
        n_ctx=max(0, config.max_position_embeddings or text.max_position_embeddings),
        tokenizer=tokenizer,
        size_bytes=size,
        has_chat_template=bytes(settings.chat_template) != b"null"
        or any((folder / name).is_file() for name in templates),
    )
    return card, vocabulary


def read_safetensors(path: str | Path) -> tuple[dict[str, _Tensor], int]:
    """Read the header of a safetensors file: its tensors by name, and the file's size in bytes.

    Raises
    ------
    DamagedModelError
        If the file contradicts itself or ends before its weights do.
    OSError
        If it cannot be opened or read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        if len(start) < 8:
            raise DamagedModelError("breaks off inside the header")
        (length,) = struct.unpack("<Q", start)
        if length > MAX_HEADER:
            raise DamagedModelError(f"says its header has {length:,} bytes, more than the format allows")
        if length > size - 8:
            raise DamagedModelError("breaks off inside the header")
        tensors = _decode(file.read(length), dict[str, _Tensor], "header")
    tensors.pop("__metadata__", None)
    room = size - 8 - length
    for name, tensor in tensors.items():
        begin, end = tensor.data_offsets
        if min(tensor.shape, default=0) < 0 or not 0 <= begin <= end:
            raise DamagedModelError(f"has a tensor of impossible size, {_shown(name)}")
        if end > room:
            raise DamagedModelError(
                f"breaks off inside the weights: {room / 1e6:,.1f} of {end / 1e6:,.1f} MB are there"
            )
        bits = DTYPES.get(tensor.dtype)
        if bits is not None and math.prod(tensor.shape) * bits != 8 * (end - begin):
            raise DamagedModelError(f"has a tensor whose shape and size contradict each other, {_shown(name)}")
    return tensors, size


def _weights(tensors: dict[str, _Tensor], config: _Config) -> tuple[int, int, str]:
    """Count parameters and bytes, and name the quantisation.

    MLX packs quantised weights into 32-bit words beside their `scales` and `biases`.
    """
    settings = config.quantization or {}
    bits = _bits(settings, 4)
    n_params = n_bytes = 0
    dtypes: Counter[str] = Counter()
    for name, tensor in tensors.items():
        n_bytes += tensor.data_offsets[1] - tensor.data_offsets[0]
        module, _, part = name.rpartition(".")
        packed = tensors.get(f"{module}.weight")
        if part in ("scales", "biases") and packed is not None and packed.dtype == "U32":
            continue
        elements = math.prod(tensor.shape)
        if part == "weight" and tensor.dtype == "U32" and f"{module}.scales" in tensors:
            elements = elements * 32 // _bits(settings.get(module), bits)
        n_params += elements
        dtypes[tensor.dtype] += elements
    if "bits" in settings:
        return n_params, n_bytes, f"{bits}bit"
    method = (config.quantization_config or {}).get("quant_method")
    if isinstance(method, str):
        return n_params, n_bytes, method
    return n_params, n_bytes, dtypes.most_common(1)[0][0] if dtypes else ""


def _bits(settings: object, default: int) -> int:
    bits = settings.get("bits") if isinstance(settings, dict) else None
    return bits if isinstance(bits, int) and 0 < bits <= 32 else default


def _tokenizer(folder: Path, config: _Config) -> tuple[Tokenizer | None, Vocabulary | None]:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None, None
    file = _json(path, _TokenizerFile, MAX_TOKENIZER)
    settings = _optional(folder / "tokenizer_config.json", _TokenizerConfig)
    if isinstance(file.model.vocab, dict):
        by_id = {id: text for text, id in file.model.vocab.items()}
    else:
        by_id = {id: entry[0] for id, entry in enumerate(file.model.vocab)}
    n_base = len(by_id)
    added = file.added_tokens or []
    by_id |= {token.id: token.content if token.special else token.content.replace("▁", " ") for token in added}
    size = config.vocab_size or (config.text_config.vocab_size if config.text_config is not None else 0)
    n = max(size, max(by_id, default=-1) + 1)
    if n > MAX_TOKENS or min(by_id, default=0) < 0:
        raise DamagedModelError(f"says it has {n:,} tokens" if n > MAX_TOKENS else "has a token with a negative id")
    vocabulary = Vocabulary.from_texts(
        by_id[id].encode("utf-8", "replace") if id in by_id else b"[PAD%d]" % id for id in range(n)
    )
    ids = {text: id for id, text in by_id.items()}
    ids_of = [
        _special(settings.bos_token, config.bos_token_id, ids),
        _special(settings.eos_token, config.eos_token_id, ids),
    ]
    template = _template(file.post_processor)
    adds = [
        said if said is not None else id is not None and by_id.get(id) in template
        for said, id in zip((settings.add_bos_token, settings.add_eos_token), ids_of, strict=True)
    ]
    tokenizer = Tokenizer(
        kind=KINDS.get(file.model.type or "", "spm" if file.model.byte_fallback else "bpe"),
        n_vocab=n,
        n_base=n_base,
        digest=vocabulary.digest,
        bos=ids_of[0],
        eos=ids_of[1],
        add_bos=adds[0],
        add_eos=adds[1],
    )
    return tokenizer, vocabulary


def _special(token: str | _NamedToken | None, id: int | list[int] | None, ids: dict[str, int]) -> int | None:
    """Return the id of a begin or end token: by the tokenizer's settings, else by the model's."""
    text = token.content if isinstance(token, _NamedToken) else token
    if text is not None and text in ids:
        return ids[text]
    if isinstance(id, list):
        return id[0] if id else None
    return id


def _template(processor: _PostProcessor | None) -> frozenset[str]:
    """Return the special tokens that the tokenizer puts around a single text."""
    if processor is None:
        return frozenset()
    pieces = list(processor.single or [])
    for part in processor.processors or []:
        pieces += part.single or []
    return frozenset(piece.special.id for piece in pieces if piece.special is not None)


def _json(path: Path, type: type[T], limit: int) -> T:
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if size > limit:
            raise DamagedModelError(f"has a {path.name} of more than {limit >> 20} MB")
        file.seek(0)
        return _decode(file.read(size), type, path.name)


def _optional(path: Path, type: type[T]) -> T:
    return _json(path, type, MAX_CONFIG) if path.is_file() else type()


def _decode(data: bytes, type: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DamagedModelError(f"has a broken {what}: {str(error)[:200]}") from None


def _shown(name: str) -> str:
    return ascii(name[:64])

"""What the kernel and the engine host say to each other.

Frames on a pipe: a 4-byte little-endian length, then one MessagePack object. Requests carry an id; every reply names
the request it belongs to. A request ends with exactly one `Done` or `Failed`.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from specviz.trace import ModelInfo, Pieces, Settings

MAX_FRAME = 256 << 20
KV_TYPES = ("f16", "q8_0", "q4_0")
"""Of the numbers in a KV cache. In `q8_0` it takes half the memory of `f16`, in `q4_0` a quarter; answers change."""
_LENGTH = struct.Struct("<I")


class ModelSpec(Struct, frozen=True, kw_only=True):
    """A model and how to place it; two equal specs share their weights and their cache."""

    path: str
    n_ctx: int = 0
    """0: what the model was trained for, at most 4,096."""
    n_threads: int = 1
    n_gpu_layers: int = 0
    """Layers on a GPU, where there is one; -1: all."""
    main_gpu: int | None = None
    """The one GPU to use; None: the layers are spread over all."""
    kv_type: str = "f16"
    """One of `KV_TYPES`."""
    flash_attention: bool = True


class PairSpec(Struct, frozen=True, kw_only=True):
    """The two models of a pair."""

    engine: str
    main: ModelSpec
    draft: ModelSpec | None = None
    ngram: bool = False
    """Draft by looking up n-grams of the text, where there is no draft model."""


class Load(Struct, frozen=True, kw_only=True, tag=True):
    """Load the pair's models where they are not loaded yet; replies `Loaded`."""

    id: int
    pair: PairSpec


class Generate(Struct, frozen=True, kw_only=True, tag=True):
    """Generate from messages, a text, or token ids (the first that is given); replies with trace events."""

    id: int
    pair: PairSpec
    settings: Settings
    messages: tuple[dict[str, Any], ...] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    """What a chat template is told that may be called, in OpenAI's shape."""
    text: str | None = None
    token_ids: tuple[int, ...] | None = None
    prompt: str = ""
    """What the trace's header shows as the prompt."""
    continued: int = 0
    lengths: tuple[int, ...] = ()
    """Of the drafts of successive rounds, in turn, over and over; empty: by the settings' policy."""


class Tokenize(Struct, frozen=True, kw_only=True, tag=True):
    """Turn a text into token ids; replies `Tokens`."""

    id: int
    pair: PairSpec
    text: str


class ScoreText(Struct, frozen=True, kw_only=True, tag=True):
    """Have the draft read a text that is given (`specviz.decoding.score`); replies `Scores`."""

    id: int
    pair: PairSpec
    settings: Settings
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    continued: int = 0
    """Tokens that are drafted after each miss (`specviz.decoding.continuations`)."""


class CompareText(Struct, frozen=True, kw_only=True, tag=True):
    """Have both models read a text that is given (`specviz.decoding.overlap`); replies `Overlaps`."""

    id: int
    pair: PairSpec
    settings: Settings
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


class Requantize(Struct, frozen=True, kw_only=True, tag=True):
    """Write a copy of a GGUF file in another type; replies `Done`."""

    id: int
    engine: str
    source: str
    target: str
    file_type: str
    n_threads: int = 1


class Unload(Struct, frozen=True, kw_only=True, tag=True):
    """Free all models but those of the pairs that are still in use; replies `Done`."""

    id: int
    keep: tuple[PairSpec, ...] = ()


class Cancel(Struct, frozen=True, kw_only=True, tag=True):
    """Stop a running or waiting request; has no reply of its own."""

    id: int
    request: int


Request = Load | Generate | Tokenize | ScoreText | CompareText | Requantize | Unload | Cancel


class Phase(Struct, frozen=True, kw_only=True, tag=True):
    """What the host is busy with before the first event: `loading` or `prefill`."""

    id: int
    phase: str
    detail: str = ""


class Loaded(Struct, frozen=True, kw_only=True, tag=True):
    """The models of a pair as they are placed."""

    id: int
    main: ModelInfo
    draft: ModelInfo | None = None
    engine: str = ""


class Happened(Struct, frozen=True, kw_only=True, tag=True):
    """A trace event, encoded."""

    id: int
    event: msgspec.Raw


class Tokens(Struct, frozen=True, kw_only=True, tag=True):
    """Token ids of a text."""

    id: int
    ids: tuple[int, ...]


class Scores(Struct, frozen=True, kw_only=True, tag=True):
    """What a model said of each token of a text."""

    id: int
    favourite: tuple[int, ...]
    confidence: tuple[float, ...]
    probability: tuple[float, ...]
    after: tuple[tuple[float, ...], ...] = ()
    """For each position the continuation after a miss; empty where none was asked for."""
    pieces: Pieces = Pieces()
    """Texts of the favourites."""


class Overlaps(Struct, frozen=True, kw_only=True, tag=True):
    """How far two models agree on each token of a text."""

    id: int
    positions: tuple[tuple[float, ...], ...]
    """Fields of `specviz.decoding.Overlap`."""


class Done(Struct, frozen=True, kw_only=True, tag=True):
    """A request has ended well."""

    id: int


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """A request has ended with an error; `kind` is the exception's name in `specviz.engines.errors`."""

    id: int
    kind: str
    message: str
    detail: str = ""
    """Traceback of an unexpected error."""


Reply = Phase | Loaded | Happened | Tokens | Scores | Overlaps | Done | Failed


def write_frame(file: BinaryIO, data: bytes, *, flush: bool = True) -> None:
    """Write one frame; without `flush` it may wait in the buffer for the next one."""
    file.write(_LENGTH.pack(len(data)) + data)
    if flush:
        file.flush()


def read_frame(file: BinaryIO) -> bytes | None:
    """Read one frame; None at the end of the stream.

    Raises
    ------
    EOFError
        If the stream ends inside a frame or the length is absurd.
    """
    head = _exactly(file, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise EOFError(f"a frame of {length:,} bytes: the stream is damaged")
    data = _exactly(file, length)
    if data is None:
        raise EOFError("the stream ended inside a frame")
    return data


def _exactly(file: BinaryIO, n: int) -> bytes | None:
    data = b""
    while len(data) < n:
        part = file.read(n - len(data))
        if not part:
            if data:
                raise EOFError("the stream ended inside a frame")
            return None
        data += part
    return data

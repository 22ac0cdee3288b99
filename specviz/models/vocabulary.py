"""The texts of all tokens, as one run of bytes: cheap to digest, to store and to compare."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from functools import cached_property

import numpy as np
from msgspec import Struct

LENGTH = struct.Struct("<Q")
CHUNK = 1 << 18


class TokenDifference(Struct, frozen=True):
    """A token that two vocabularies do not share: its id and its two texts."""

    id: int
    main: bytes
    draft: bytes

    @property
    def shown(self) -> tuple[str, str]:
        """Both texts for a reader; bytes that are no UTF-8 are escaped."""
        return self.main.decode("utf-8", "backslashreplace"), self.draft.decode("utf-8", "backslashreplace")

    def swapped(self) -> TokenDifference:
        """Return the same with main and draft exchanged."""
        return TokenDifference(self.id, self.draft, self.main)


class Vocabulary:
    """The texts of all tokens in the order of their ids.

    They are kept as GGUF writes them: of each token the length of its text in bytes (64 bits, little-endian), then
    the text. So a GGUF's token list is taken as it lies in the file, and no object is made per token.

    Parameters
    ----------
    raw
        The run of bytes.
    n_tokens
        How many tokens it holds; the caller has checked that it does.
    """

    def __init__(self, raw: bytes, n_tokens: int) -> None:
        self.raw = raw
        self.n_tokens = n_tokens

    @classmethod
    def from_texts(cls, texts: Iterable[bytes]) -> Vocabulary:
        """Make one of texts."""
        parts = [LENGTH.pack(len(text)) + text for text in texts]
        return cls(b"".join(parts), len(parts))

    @cached_property
    def digest(self) -> str:
        """128 bits of SHA-256 over all texts, in hexadecimal; equal exactly where all texts are."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    def start(self, id: int) -> int:
        """Return the place of a token (of its length, before its text); of `n_tokens`, the end."""
        raw, unpack, at = self.raw, LENGTH.unpack_from, 0
        for _ in range(id):
            at += LENGTH.size + unpack(raw, at)[0]
        return at

    def texts(self) -> list[bytes]:
        """Return the texts of all tokens."""
        raw, unpack, at, texts = self.raw, LENGTH.unpack_from, 0, []
        for _ in range(self.n_tokens):
            begin = at + LENGTH.size
            at = begin + unpack(raw, at)[0]
            texts.append(raw[begin:at])
        return texts

    def first_difference(self, draft: Vocabulary, first_id: int = 0) -> TokenDifference | None:
        """Return the first token with another text in `draft`, among the ids from `first_id` on that both have."""
        if first_id >= min(self.n_tokens, draft.n_tokens):
            return None
        start, draft_start = self.start(first_id), draft.start(first_id)
        same = _common_length(memoryview(self.raw)[start:], memoryview(draft.raw)[draft_start:])
        if same is None:
            return None
        id, at = first_id, start
        while (end := at + LENGTH.size + LENGTH.unpack_from(self.raw, at)[0]) <= start + same:
            id, at = id + 1, end
        return TokenDifference(id, self._text_at(at), draft._text_at(draft_start + at - start))

    def _text_at(self, at: int) -> bytes:
        begin = at + LENGTH.size
        return self.raw[begin : begin + LENGTH.unpack_from(self.raw, at)[0]]


def _common_length(a: memoryview, b: memoryview) -> int | None:
    """Return how many leading bytes are equal; None if one is the beginning of the other."""
    n = min(len(a), len(b))
    for at in range(0, n, CHUNK):
        end = min(at + CHUNK, n)
        if a[at:end] != b[at:end]:
            return at + int((np.frombuffer(a[at:end], np.uint8) != np.frombuffer(b[at:end], np.uint8)).argmax())
    return None

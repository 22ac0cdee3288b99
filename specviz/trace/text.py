"""From token pieces to text."""

from __future__ import annotations

import codecs


class TokenDecoder:
    """Turn a stream of token pieces into text, one token at a time.

    A piece may end inside a multi-byte character: its text then comes with the token that completes it. Bytes that
    never become a character give U+FFFD. The texts joined equal the joined bytes decoded with `errors="replace"`.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """Return the text that this piece completes; may be empty."""
        return self._decoder.decode(piece)

    def flush(self) -> str:
        """Return what is left of an unfinished character."""
        return self._decoder.decode(b"", final=True)

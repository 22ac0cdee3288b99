"""Text to token ids and back, from an MLX model's tokenizer.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specviz.engines.mlx.library import library
from specviz.models.card import Tokenizer as TokenizerCard

BYTE = re.compile(r"<0x([0-9A-F]{2})>\Z")
"""How tokenizers of the SentencePiece kind write a single byte."""


def _byte_level() -> Iterator[tuple[str, int]]:
    """Yield the characters that stand for bytes in byte-level tokenizers (GPT-2's `bytes_to_unicode`)."""
    others = 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            yield chr(byte), byte
        else:
            yield chr(256 + others), byte
            others += 1


BYTES = dict(_byte_level())


class Tokenizer:
    """The tokenizer of one model's folder.

    Parameters
    ----------
    folder
        With tokenizer.json, and tokenizer_config.json and chat_template.jinja where there are such.
    card
        What `specviz.models` says of it: the begin and end tokens and whether they are added.
    """

    def __init__(self, folder: Path, card: TokenizerCard) -> None:
        self._tokenizer = library().tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.card = card
        self._added = self._tokenizer.get_added_tokens_decoder()
        decoder = json.loads((folder / "tokenizer.json").read_bytes()).get("decoder")
        self._byte_level = '"ByteLevel"' in json.dumps(decoder)
        self.control_tokens = frozenset(id for id, token in self._added.items() if token.special)
        """Tokens that are no text: begin, end of turn and the like."""
        settings = _json(folder / "tokenizer_config.json")
        self.eos_text = _text(settings.get("eos_token"))
        self.chat_template = _chat_template(folder, settings)
        """The Jinja template that the model was trained with; None: there is none."""

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the token ids of a text.

        `add_special`: with the model's begin and end tokens where it wants them. `parse_special`: names of control
        tokens in the text become those tokens.
        """
        self._tokenizer.encode_special_tokens = not parse_special
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if add_special and self.card.add_bos and self.card.bos is not None:
            ids = [self.card.bos, *ids]
        if add_special and self.card.add_eos and self.card.eos is not None:
            ids = [*ids, self.card.eos]
        return ids

    def id(self, text: str) -> int | None:
        """Return the token that is written so; None: there is none."""
        id: int | None = self._tokenizer.token_to_id(text)
        return id

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; of a control token its name; none of an id that only pads the vocabulary."""
        if token in self._added:
            content: str = self._added[token].content
            return content.encode() if token in self.control_tokens else content.replace("▁", " ").encode()
        text = self._tokenizer.id_to_token(token)
        if text is None:
            return b""
        if self._byte_level:
            return b"".join(bytes([BYTES[char]]) if char in BYTES else char.encode() for char in text)
        byte = BYTE.match(text)
        return bytes([int(byte[1], 16)]) if byte else text.replace("▁", " ").encode()

    def special_text(self, which: str) -> str:
        """Text of the `bos` or `eos` token; empty if the model has none."""
        token = getattr(self.card, which)
        return "" if token is None else self.piece(token).decode("utf-8", "replace")


def _chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text()
    template = _json(folder / "chat_template.json").get("chat_template", settings.get("chat_template"))
    if isinstance(template, list):
        template = {one.get("name"): one.get("template") for one in template}.get("default")
    return template if isinstance(template, str) else None


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _text(token: Any) -> str:
    return str(token.get("content", "") if isinstance(token, dict) else token or "")

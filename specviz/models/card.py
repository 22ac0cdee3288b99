"""What is known of a model without loading it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Format = Literal["gguf", "mlx"]
Kind = Literal["model", "projector", "adapter", "imatrix", "embedding", "vocabulary", "unknown"]
"""What a file is for; only a `model` generates text. `unknown`: of a file that could not be read."""

ENGINES: dict[Format, str] = {"gguf": "llama.cpp", "mlx": "MLX"}
"""Which engine runs which format."""


class DamagedModelError(ValueError):
    """A file is not the model it claims to be; the message continues a sentence that begins with the file's name."""


class Tokenizer(Struct, frozen=True, kw_only=True):
    """A tokenizer as far as two models have to agree on it."""

    kind: str
    """`bpe`, `spm`, `wpm`, `ugm`, `rwkv`, `plamo2`, `test` or `none`: the vocabulary types of llama.cpp."""
    pre: str = ""
    """Pre-tokenizer, by llama.cpp's name; empty: not said."""
    n_vocab: int = 0
    n_base: int = 0
    """Tokens without those that were added later, Hugging Face's `tokenizer.vocab_size`; 0: not said (GGUF)."""
    digest: str = ""
    """Of all token texts in the order of their ids (`Vocabulary.digest`); empty: there are none."""
    bos: int | None = None
    eos: int | None = None
    add_bos: bool = False
    """Whether a prompt begins with the begin token."""
    add_eos: bool = False


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model on this machine, or what is there instead of one.

    Numbers that are not known are 0, texts are empty.
    """

    name: str
    path: str
    """The file, of a split model its first part, of an MLX model its folder. Bytes that are not UTF-8 are escaped."""
    source: str
    """Who keeps it: `demo`, `hugging face`, `lm studio`, `ollama`, `llama.cpp` or `folder`."""
    format: Format
    files: tuple[str, ...] = ()
    """Everything that was read for this card; of a split model all parts."""
    kind: Kind = "model"
    architecture: str = ""
    n_params: int = 0
    quantization: str = ""
    bits_per_weight: float = 0.0
    """Bits of all tensors over parameters."""
    n_ctx: int = 0
    """Tokens of context that it was trained for."""
    tokenizer: Tokenizer | None = None
    size_bytes: int = 0
    """Of all files."""
    has_chat_template: bool = False
    damaged: str = ""
    """Why it cannot be used, as the end of a sentence that begins with its name; empty: nothing is wrong."""

    @property
    def n_vocab(self) -> int:
        """Tokens in the vocabulary."""
        return 0 if self.tokenizer is None else self.tokenizer.n_vocab

    @property
    def engine(self) -> str:
        """Name of the engine that runs it."""
        return ENGINES[self.format]

    @property
    def usable(self) -> bool:
        """Whether it can generate text."""
        return self.kind == "model" and not self.damaged

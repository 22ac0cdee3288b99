"""A loaded GGUF model: weights, vocabulary, metadata."""

from __future__ import annotations

import ctypes
from functools import cached_property
from pathlib import Path

from specviz.engines.errors import ModelFileError
from specviz.engines.llamacpp.library import clear_log, library, log_lines, log_reason
from specviz.engines.llamacpp.placement import offloaded_layers
from specviz.trace import ModelInfo


class Model:
    """Weights and vocabulary of one GGUF file.

    Parameters
    ----------
    path
        The file (of a split model, its first part).
    n_gpu_layers
        Layers placed on GPUs, where there are any; -1: all of them.
    main_gpu
        The one GPU that is used; None: the layers are spread over all.
    vocab_only
        Load no weights.

    Raises
    ------
    ModelFileError
        With llama.cpp's own reason.
    """

    def __init__(
        self, path: str, *, n_gpu_layers: int = 0, main_gpu: int | None = None, vocab_only: bool = False
    ) -> None:
        self.lib = lib = library()
        self.path = path
        params = lib.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        if main_gpu is not None:
            params.split_mode = lib.LLAMA_SPLIT_MODE_NONE
            params.main_gpu = main_gpu
        params.vocab_only = vocab_only
        clear_log()
        self.handle = lib.llama_model_load_from_file(path.encode(), params)
        if not self.handle:
            raise ModelFileError(f"cannot load {Path(path).name}: {log_reason()}")
        self.log = log_lines()
        """What llama.cpp said while it loaded the model."""
        self.vocab = lib.llama_model_get_vocab(self.handle)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}
        self._buffer: ctypes.Array[ctypes.c_char] = ctypes.create_string_buffer(256)

    @cached_property
    def info(self) -> ModelInfo:
        """What a trace remembers of it (`n_ctx` is the context length it was trained for)."""
        buffer = ctypes.create_string_buffer(256)
        self.lib.llama_model_desc(self.handle, buffer, len(buffer))
        description = buffer.value.decode("utf-8", "replace").split(" ", 2)
        return ModelInfo(
            name=Path(self.path).name.removesuffix(".gguf"),
            architecture=self.metadata("general.architecture") or description[0],
            quantization=description[2] if len(description) > 2 else "",
            n_params=self.lib.llama_model_n_params(self.handle),
            n_vocab=self.n_vocab,
            n_ctx=self.lib.llama_model_n_ctx_train(self.handle),
            size_bytes=self.lib.llama_model_size(self.handle),
        )

    def metadata(self, key: str) -> str | None:
        """Return a metadata value as text; None if there is none."""
        buffer = ctypes.create_string_buffer(1 << 16)
        n = self.lib.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if n < 0 else buffer.value.decode("utf-8", "replace")

    @cached_property
    def n_gpu_layers(self) -> int:
        """Layers that really are on GPUs."""
        return offloaded_layers(self.log)

    @cached_property
    def rewindable(self) -> bool:
        """Whether its cache can forget its last tokens; the state of a recurrent or hybrid model cannot."""
        lib, handle = self.lib, self.handle
        return not (lib.llama_model_is_recurrent(handle) or lib.llama_model_is_hybrid(handle))

    @cached_property
    def n_layers(self) -> int:
        """Layers, the output layer included."""
        return int(self.lib.llama_model_n_layer(self.handle)) + 1

    @cached_property
    def chat_template(self) -> str | None:
        """The Jinja template that the model was trained with."""
        template = self.lib.llama_model_chat_template(self.handle, None)
        return template.decode("utf-8", "replace") if template else None

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the token ids of a text.

        `add_special`: with the model's begin token where it wants one. `parse_special`: names of control tokens in the
        text become those tokens.
        """
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 16
        while True:
            buffer = (self.lib.llama_token * capacity)()
            n: int = self.lib.llama_tokenize(self.vocab, data, len(data), buffer, capacity, add_special, parse_special)
            if n >= 0:
                return list(buffer[:n])
            capacity = -n

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; of a control token its name."""
        piece = self._pieces.get(token)
        if piece is None:
            n = self.lib.llama_token_to_piece(self.vocab, token, self._buffer, len(self._buffer), 0, True)
            if n < 0:
                self._buffer = ctypes.create_string_buffer(-n)
                return self.piece(token)
            piece = self._pieces[token] = self._buffer.raw[:n]
        return piece

    def is_end(self, token: int) -> bool:
        """Whether a token ends a generation."""
        return token in self.end_tokens

    @cached_property
    def control_tokens(self) -> frozenset[int]:
        """All tokens that are no text."""
        control = self.lib.llama_vocab_is_control
        return frozenset(token for token in range(self.n_vocab) if control(self.vocab, token)) | self.end_tokens

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """All tokens that end a generation."""
        end = self.lib.llama_vocab_is_eog
        return frozenset(token for token in range(self.n_vocab) if end(self.vocab, token))

    def special_text(self, which: str) -> str:
        """Text of the `bos` or `eos` token; empty if the model has none."""
        token = getattr(self.lib, f"llama_vocab_{which}")(self.vocab)
        return self.piece(token).decode("utf-8", "replace") if token >= 0 else ""

    def close(self) -> None:
        """Free the weights."""
        if self.handle:
            self.lib.llama_model_free(self.handle)
            self.handle = None

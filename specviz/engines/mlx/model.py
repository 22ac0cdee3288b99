"""A loaded MLX model: weights, tokenizer, metadata."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from specviz.engines.errors import ModelFileError
from specviz.engines.mlx.library import library
from specviz.engines.mlx.tokenizer import Tokenizer
from specviz.models.reading import read_path
from specviz.trace import ModelInfo


class Model:
    """Weights and tokenizer of one MLX folder. Code that a model brings along is never run.

    On a CPU 16-bit weights are widened to 32 bits: MLX computes with 16-bit floats 35 times slower there.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    ModelFileError
        If it is not an MLX model, is damaged, or of an architecture that mlx-lm does not know.
    """

    def __init__(self, path: str) -> None:
        lib = library()
        self.path = path
        try:
            card, _ = read_path(path)
        except FileNotFoundError as error:
            raise ModelFileError(str(error)) from None
        name = card.name
        if card.damaged:
            raise ModelFileError(f"{name} {card.damaged}")
        if card.format != "mlx":
            raise ModelFileError(f"{name} is a GGUF model, which MLX does not run: specviz models convert makes a copy")
        if card.kind != "model" or card.tokenizer is None:
            raise ModelFileError(f"{name} cannot generate text: it has no tokenizer.json, or is not a language model")
        try:
            self.net, config = lib.utils.load_model(Path(path), trust_remote_code=False)
            if lib.on_cpu:
                self.net.set_dtype(lib.mx.float32)
                lib.mx.eval(self.net.parameters())
            self.tokenizer = Tokenizer(Path(path), card.tokenizer)
        except Exception as error:
            if "trust_remote_code" in str(error):
                raise ModelFileError(f"{name} brings its own program code, which is never run") from None
            raise ModelFileError(f"cannot load {name}: {error}") from error
        said = config.get("eos_token_id")
        ends = {id for id in (said if isinstance(said, list) else [said]) if isinstance(id, int)}
        ends |= {id for id in (card.tokenizer.eos, self.tokenizer.id(self.tokenizer.eos_text)) if id is not None}
        self.end_tokens = frozenset(ends)
        """All tokens that end a generation."""
        self.control_tokens = self.tokenizer.control_tokens | self.end_tokens
        self.info = ModelInfo(
            name=name,
            architecture=card.architecture,
            quantization=card.quantization,
            n_params=card.n_params,
            n_vocab=card.n_vocab,
            n_ctx=card.n_ctx,
            size_bytes=card.size_bytes,
        )
        """What a trace remembers of it (`n_ctx` is the context length it was trained for)."""
        self._pieces: dict[int, bytes] = {}

    @property
    def n_layers(self) -> int:
        """Layers, the output layer included."""
        return len(self.net.layers) + 1

    @cached_property
    def compute_type(self) -> str:
        """Type of the numbers that the model computes with, by MLX's name."""
        return str(self.net(library().mx.array([[0]])).dtype).rpartition(".")[2]

    @cached_property
    def weights_bytes(self) -> int:
        """Memory of the weights."""
        return _bytes(self.net.parameters())

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; of a control token its name."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self.tokenizer.piece(token)
        return piece


def _bytes(parameters: Any) -> int:
    if isinstance(parameters, dict):
        return sum(map(_bytes, parameters.values()))
    if isinstance(parameters, list):
        return sum(map(_bytes, parameters))
    return int(parameters.nbytes)

"""The MLX engine: models loaded once, a context for each of their roles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from specviz.engines.errors import EngineError, IncompatibleDraftError, ModelFileError, PromptError
from specviz.engines.messages import ModelSpec, PairSpec
from specviz.engines.mlx.context import Context
from specviz.engines.mlx.library import engine_version, library, set_threads
from specviz.engines.mlx.model import Model
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.engines.sequences import cannot_rewind
from specviz.models.compatibility import compare
from specviz.models.convert import FILE_TYPE, ConversionError, convert
from specviz.trace import ModelInfo, Settings
from specviz.trace.events import Placement

DEFAULT_N_CTX = 4096
KV_NAMES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


class MlxEngine:
    """Loads MLX models and hands them to the decoding loop (`specviz.engines.service.Engine`).

    All of it runs where MLX computes by default, a GPU if there is one: of a `ModelSpec`, `n_gpu_layers`, `main_gpu`
    and `flash_attention` mean nothing here.
    """

    def __init__(self) -> None:
        library()
        self.name = f"MLX ({engine_version()})"
        self._models: dict[str, Model] = {}
        self._contexts: dict[tuple[ModelSpec, str], Context] = {}
        self._misfits: dict[tuple[str, str], str] = {}
        """By main and draft: why the draft does not fit; empty: it does."""

    def loaded(self, pair: PairSpec) -> bool:
        """Whether both contexts of the pair exist."""
        return (pair.main, "main") in self._contexts and (pair.draft is None or (pair.draft, "draft") in self._contexts)

    def load(self, pair: PairSpec) -> tuple[ModelInfo, ModelInfo | None]:
        """Load the pair; a draft that does not fit is refused.

        Raises
        ------
        ModelFileError, IncompatibleDraftError, EngineError
        """
        main = self._model(pair.main)
        set_threads(pair.main.n_threads)
        if pair.draft is None:
            return self._info(pair.main, "main"), None
        key = (main.path, pair.draft.path)
        if key not in self._misfits:
            verdict = compare(*key)
            self._misfits[key] = "" if verdict.compatible else "; ".join(verdict.reasons)
        name = Path(pair.draft.path).name
        if self._misfits[key]:
            raise IncompatibleDraftError(f"{name} cannot draft for {main.info.name}: {self._misfits[key]}")
        return self._info(pair.main, "main"), self._info(pair.draft, "draft")

    def obstacle(self, pair: PairSpec) -> str:
        """Name the model of the pair that cannot be rewound, if there is one."""
        roles = [(pair.main, "main"), *([(pair.draft, "draft")] if pair.draft else [])]
        contexts = [self._context(spec, role) for spec, role in roles]
        return cannot_rewind(next((context.name for context in contexts if not context.rewindable), ""))

    def main(self, spec: ModelSpec, settings: Settings, stopped: Callable[[], bool]) -> MlxMain:
        """Return the main model for one generation.

        Raises
        ------
        PromptError
            If the answer is to follow a JSON schema.
        """
        if settings.json_schema:
            raise PromptError("answers that follow a JSON schema need llama.cpp: MLX has no grammars")
        return MlxMain(self._model(spec), self._context(spec, "main"), settings, stopped)

    def drafter(self, pair: PairSpec, settings: Settings, stopped: Callable[[], bool]) -> MlxDrafter:
        """Return the draft model for one generation."""
        if pair.draft is None:
            raise EngineError("the pair has no draft model")
        n_vocab = self._context(pair.main, "main").n_vocab
        context = self._context(pair.draft, "draft")
        return MlxDrafter(self._model(pair.draft), context, settings, stopped, n_vocab_main=n_vocab)

    def tokenize(self, spec: ModelSpec, text: str, *, chat: bool) -> list[int]:
        """Return token ids; a rendered chat template writes its begin token itself."""
        tokenizer = self._model(spec).tokenizer
        bos = tokenizer.special_text("bos")
        return tokenizer.encode(text, add_special=not (chat and bos and text.startswith(bos)), parse_special=chat)

    def chat_template(self, spec: ModelSpec) -> tuple[str, str, str] | None:
        """Return template, BOS and EOS text."""
        tokenizer = self._model(spec).tokenizer
        if tokenizer.chat_template is None:
            return None
        return tokenizer.chat_template, tokenizer.special_text("bos"), tokenizer.special_text("eos")

    def requantize(self, source: str, target: str, file_type: str, n_threads: int) -> None:
        """Write the MLX copy of a GGUF file: with its own weights (`MLX`), or dequantised (`MLX-float16`)."""
        kind, _, dtype = file_type.partition("-")
        if kind != FILE_TYPE:
            raise ModelFileError(f"MLX does not write {file_type} files")
        try:
            convert(source, target, dtype=dtype or None)
        except (ConversionError, OSError) as error:
            raise ModelFileError(f"cannot make an MLX copy of {Path(source).name}: {error}") from error

    def unload(self, keep: tuple[PairSpec, ...]) -> None:
        """Free contexts and models that no kept pair uses."""
        roles = {(pair.main, "main") for pair in keep} | {(pair.draft, "draft") for pair in keep if pair.draft}
        for key in self._contexts.keys() - roles:
            del self._contexts[key]
        for path in self._models.keys() - {spec.path for spec, _ in self._contexts}:
            del self._models[path]
        library().mx.clear_cache()

    def _model(self, spec: ModelSpec) -> Model:
        if spec.path not in self._models:
            self._models[spec.path] = Model(spec.path)
        return self._models[spec.path]

    def _context(self, spec: ModelSpec, role: str) -> Context:
        key = (spec, role)
        if key not in self._contexts:
            model = self._model(spec)
            n_ctx = spec.n_ctx or min(model.info.n_ctx or DEFAULT_N_CTX, DEFAULT_N_CTX)
            self._contexts[key] = Context(model.net, name=model.info.name, n_ctx=n_ctx, kv_type=spec.kv_type)
        return self._contexts[key]

    def _info(self, spec: ModelSpec, role: str) -> ModelInfo:
        model, context = self._model(spec), self._context(spec, role)
        return msgspec.structs.replace(model.info, n_ctx=context.n_ctx, placement=_placement(model, context, spec))


def _placement(model: Model, context: Context, spec: ModelSpec) -> Placement:
    lib = library()
    gpu = "" if lib.on_cpu else f"GPU ({lib.mx.device_info().get('device_name', 'unknown')})"
    return Placement(
        devices=(gpu or "CPU",),
        n_layers=model.n_layers,
        n_gpu_layers=model.n_layers if gpu else 0,
        kv_type=context.kv_type if context.kv_type != "f16" else KV_NAMES.get(model.compute_type, model.compute_type),
        flash_attention=context.kv_type == "f16",
        n_threads=1 if lib.blas is None else spec.n_threads,
        weights_bytes=model.weights_bytes,
        cache_bytes=context.cache_bytes,
    )

"""The llama.cpp engine: models loaded once, a context for each of their roles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from specviz.engines.errors import EngineError, IncompatibleDraftError, ModelFileError
from specviz.engines.llamacpp.context import Context
from specviz.engines.llamacpp.library import clear_log, engine_version, library, log_reason
from specviz.engines.llamacpp.model import Model
from specviz.engines.llamacpp.sequences import LlamaDrafter, LlamaMain
from specviz.engines.messages import ModelSpec, PairSpec
from specviz.engines.sequences import cannot_rewind
from specviz.models.compatibility import compare
from specviz.trace import ModelInfo, Settings

DEFAULT_N_CTX = 4096
FILE_TYPES = {
    "F16": "LLAMA_FTYPE_MOSTLY_F16",
    "BF16": "LLAMA_FTYPE_MOSTLY_BF16",
    "Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0",
}

_Weights = tuple[str, int, int | None]
"""Path, GPU layers and main GPU."""


class LlamaEngine:
    """Loads GGUF models and hands them to the decoding loop (`specviz.engines.service.Engine`).

    The same file in two roles, placed alike, is one model with two contexts. GPU layers are asked for only where
    llama.cpp has a GPU (seen to be obeyed with CUDA on one H100; several GPUs were not tried).
    """

    def __init__(self) -> None:
        library()
        self.name = f"llama.cpp ({engine_version()})"
        self._has_gpu = bool(library().llama_supports_gpu_offload())
        self._models: dict[_Weights, Model] = {}
        self._contexts: dict[tuple[ModelSpec, str], Context] = {}
        self._misfits: dict[tuple[str, str], str] = {}
        """By main and draft: why the draft does not fit; empty: it does."""

    def loaded(self, pair: PairSpec) -> bool:
        """Whether both contexts of the pair exist."""
        return (pair.main, "main") in self._contexts and (pair.draft is None or (pair.draft, "draft") in self._contexts)

    def load(self, pair: PairSpec) -> tuple[ModelInfo, ModelInfo | None]:
        """Load the pair; a draft that does not fit is refused before its context is made.

        Raises
        ------
        ModelFileError, IncompatibleDraftError, EngineError
        """
        main = self._model(pair.main)
        if pair.draft is None:
            return self._info(self._context(pair.main, "main")), None
        draft = self._model(pair.draft)
        key = (main.path, draft.path)
        if key not in self._misfits:
            verdict = compare(*key)
            self._misfits[key] = "" if verdict.compatible else "; ".join(verdict.reasons)
        if self._misfits[key]:
            raise IncompatibleDraftError(f"{draft.info.name} cannot draft for {main.info.name}: {self._misfits[key]}")
        return self._info(self._context(pair.main, "main")), self._info(self._context(pair.draft, "draft"))

    def obstacle(self, pair: PairSpec) -> str:
        """Name the model of the pair that cannot be rewound, if there is one."""
        models = [self._model(spec) for spec in (pair.main, pair.draft) if spec is not None]
        return cannot_rewind(next((model.info.name for model in models if not model.rewindable), ""))

    def main(self, spec: ModelSpec, settings: Settings, stopped: Callable[[], bool]) -> LlamaMain:
        """Return the main model for one generation."""
        return LlamaMain(self._context(spec, "main"), settings, stopped)

    def drafter(self, pair: PairSpec, settings: Settings, stopped: Callable[[], bool]) -> LlamaDrafter:
        """Return the draft model for one generation."""
        if pair.draft is None:
            raise EngineError("the pair has no draft model")
        n_vocab = self._model(pair.main).n_vocab
        return LlamaDrafter(self._context(pair.draft, "draft"), settings, stopped, n_vocab_main=n_vocab)

    def tokenize(self, spec: ModelSpec, text: str, *, chat: bool) -> list[int]:
        """Return token ids; a rendered chat template writes its begin token itself."""
        model = self._model(spec)
        bos = model.special_text("bos")
        return model.tokenize(text, add_special=not (chat and bos and text.startswith(bos)), parse_special=chat)

    def chat_template(self, spec: ModelSpec) -> tuple[str, str, str] | None:
        """Return template, BOS and EOS text."""
        model = self._model(spec)
        if model.chat_template is None:
            return None
        return model.chat_template, model.special_text("bos"), model.special_text("eos")

    def requantize(self, source: str, target: str, file_type: str, n_threads: int) -> None:
        """Write a copy in another type with llama.cpp's quantiser (4-bit sources are dequantised first)."""
        lib = library()
        params = lib.llama_model_quantize_default_params()
        params.ftype = getattr(lib, FILE_TYPES[file_type])
        params.allow_requantize = True
        params.nthread = n_threads
        clear_log()
        status = lib.llama_model_quantize(source.encode(), target.encode(), params)
        if status != 0:
            raise ModelFileError(f"cannot write {Path(source).name} as {file_type}: {log_reason()}")

    def unload(self, keep: tuple[PairSpec, ...]) -> None:
        """Free contexts and models that no kept pair uses."""
        roles = {(pair.main, "main") for pair in keep} | {(pair.draft, "draft") for pair in keep if pair.draft}
        for key in self._contexts.keys() - roles:
            self._contexts.pop(key).close()
        in_use = {self._weights(spec) for spec, _ in self._contexts}
        for model in self._models.keys() - in_use:
            self._models.pop(model).close()

    def _weights(self, spec: ModelSpec) -> _Weights:
        """What two specs have to agree on to share their weights."""
        return (spec.path, spec.n_gpu_layers, spec.main_gpu) if self._has_gpu else (spec.path, 0, None)

    def _model(self, spec: ModelSpec) -> Model:
        key = path, n_gpu_layers, main_gpu = self._weights(spec)
        if key not in self._models:
            if not Path(path).is_file():
                raise ModelFileError(f"there is no file {path}")
            self._models[key] = Model(path, n_gpu_layers=n_gpu_layers, main_gpu=main_gpu)
        return self._models[key]

    def _context(self, spec: ModelSpec, role: str) -> Context:
        key = (spec, role)
        if key not in self._contexts:
            model = self._model(spec)
            n_ctx = spec.n_ctx or min(model.info.n_ctx, DEFAULT_N_CTX)
            self._contexts[key] = Context(
                model,
                n_ctx=n_ctx,
                n_threads=spec.n_threads,
                kv_type=spec.kv_type,
                flash_attention=spec.flash_attention,
            )
        return self._contexts[key]

    @staticmethod
    def _info(context: Context) -> ModelInfo:
        return msgspec.structs.replace(context.model.info, n_ctx=context.n_ctx, placement=context.placement)

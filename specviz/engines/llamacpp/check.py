"""What this build of llama.cpp can do, found by doing it with the smallest of the demo's drafts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from specviz.engines.errors import EngineError, EngineMissingError
from specviz.engines.llamacpp.context import Context
from specviz.engines.llamacpp.devices import devices, ggml_version
from specviz.engines.llamacpp.library import INSTALL, engine_version, library
from specviz.engines.llamacpp.model import Model
from specviz.engines.report import EngineReport, unusable
from specviz.models import demo_drafts

NAME = "llama.cpp"
TEXT = "Once upon a time"
N_CTX = 64


def check() -> EngineReport:
    """Load the library and a model, and evaluate a few tokens in every way that may be asked for."""
    try:
        lib = library()
    except EngineMissingError as error:
        return unusable(NAME, error, engine_version)
    version = f"{engine_version()} (ggml {ggml_version(lib) or 'of unknown version'})"
    try:
        model = Model(str(min(demo_drafts(), key=lambda draft: draft.path.stat().st_size).path))
        trials: dict[str, Callable[[], bool]] = {
            "evaluation": partial(_evaluates, model, flash_attention=False),
            "flash attention": partial(_evaluates, model),
            "KV cache in q8_0": partial(_evaluates, model, kv_type="q8_0"),
            "KV cache in q4_0": partial(_evaluates, model, kv_type="q4_0"),
            "GPU offload": lib.llama_supports_gpu_offload,
            "memory-mapped models": lib.llama_supports_mmap,
            "models locked in memory": lib.llama_supports_mlock,
        }
        works = {name: trial() for name, trial in trials.items()}
        model.close()
    except EngineError as error:
        return EngineReport(name=NAME, state="broken", version=version, reason=_reinstall(str(error)))
    return EngineReport(
        name=NAME,
        state="ready" if works["evaluation"] else "broken",
        version=version,
        backends=_backends(lib),
        can=tuple(name for name, does in works.items() if does),
        cannot=tuple(name for name, does in works.items() if not does),
        reason="" if works["evaluation"] else _reinstall("it cannot evaluate the demo's draft"),
    )


def _evaluates(model: Model, **options: Any) -> bool:
    """Whether a context can be made with these options, and gives finite logits."""
    try:
        context = Context(model, n_ctx=N_CTX, n_threads=1, **options)
        context.evaluate(model.tokenize(TEXT, add_special=True, parse_special=False))
    except EngineError:
        return False
    best = float(context.logits(-1).max())
    context.close()
    return best == best and abs(best) != float("inf")


def _backends(lib: Any) -> tuple[str, ...]:
    found = devices(lib)
    if not found:
        return ("CPU and GPU" if lib.llama_supports_gpu_offload() else "CPU",)
    return tuple(
        f"{device.name}: {device.description}, {device.memory_bytes / 2**30:,.0f} GiB memory" for device in found
    )


def _reinstall(reason: str) -> str:
    return f"{reason}: {INSTALL} --force-reinstall"

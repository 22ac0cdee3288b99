"""What MLX can do here, found by doing it with a model of a few random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from specviz.engines.errors import EngineError, EngineMissingError
from specviz.engines.mlx.context import Context
from specviz.engines.mlx.library import INSTALL, engine_version, library
from specviz.engines.report import EngineReport, unusable

NAME = "MLX"
ARGUMENTS = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 64,
}
TOKENS = (5, 7, 11, 13)
N_CTX = 64


def check() -> EngineReport:
    """Import MLX and evaluate a few tokens in every way that may be asked for."""
    try:
        lib = library()
        from mlx_lm.models.llama import Model, ModelArgs
    except EngineMissingError as error:
        return unusable(NAME, error, engine_version)
    try:
        net = Model(ModelArgs(**ARGUMENTS))
        lib.mx.eval(net.parameters())
        trials: dict[str, Callable[[], bool]] = {
            "evaluation": partial(_evaluates, net),
            "rewinding": partial(_rewinds, net),
            "KV cache in q8_0": partial(_evaluates, net, kv_type="q8_0"),
            "KV cache in q4_0": partial(_evaluates, net, kv_type="q4_0"),
            "GPU": lambda: not lib.on_cpu,
        }
        works = {name: trial() for name, trial in trials.items()}
    except (EngineError, RuntimeError, ValueError, TypeError) as error:
        return EngineReport(name=NAME, state="broken", version=engine_version(), reason=_reinstall(str(error)))
    usable = works["evaluation"] and works["rewinding"]
    return EngineReport(
        name=NAME,
        state="ready" if usable else "broken",
        version=engine_version(),
        backends=(_backend(lib),),
        can=tuple(name for name, does in works.items() if does),
        cannot=tuple(name for name, does in works.items() if not does),
        reason="" if usable else _reinstall("it cannot evaluate and rewind a small model"),
    )


def _evaluates(net: Any, **options: Any) -> bool:
    """Whether a context can be made with these options, and gives finite logits."""
    try:
        context = Context(net, name="the check's model", n_ctx=N_CTX, **options)
        context.evaluate(TOKENS)
    except EngineError:
        return False
    return bool(np.isfinite(context.logits(-1)).all())


def _rewinds(net: Any) -> bool:
    """Whether what was forgotten leaves no trace in what follows."""
    context = Context(net, name="the check's model", n_ctx=N_CTX)
    context.evaluate(TOKENS)
    before = context.logits(-1).copy()
    context.rewind(1)
    context.evaluate(TOKENS[:0:-1])
    context.rewind(1)
    context.evaluate(TOKENS[1:])
    return bool(np.allclose(before, context.logits(-1), atol=1e-3))


def _backend(lib: Any) -> str:
    info = lib.mx.device_info()
    kind = "CPU" if lib.on_cpu else "GPU"
    memory = info.get("memory_size")
    return f"{kind}: {info.get('device_name', 'unknown')}" + (f", {memory / 2**30:,.0f} GiB memory" if memory else "")


def _reinstall(reason: str) -> str:
    return f"{reason}: {INSTALL} --force-reinstall"

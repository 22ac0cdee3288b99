"""Our loop in MLX against mlx-lm's `speculative_generate_step`, at equal settings; and the pair's real speedup there.

Runs on what MLX computes on here; README.md says what an NVIDIA GPU needs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

import specviz as sv
from benchmarks.measure import in_turn, interval_text, prompts, table
from specviz.decoding import NoDrafter, check_settings, decode, policy_of
from specviz.engines.mlx.context import CPU_CHUNK, GPU_CHUNK, Context
from specviz.engines.mlx.engine import MlxEngine
from specviz.engines.mlx.library import library
from specviz.engines.mlx.model import Model
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.trace import Round

LENGTHS = (2, 4)
MAINS = ("Q4_1", "F16")
"""Of the demo pair; a CPU computes with the first alone."""
GPU_TOKENS, GPU_REPEATS = 3, 2
"""Times as many tokens and repeats on a GPU, where both are short."""
MARGIN = 16
"""Tokens that could follow those that are timed, so that no draft is cut short by the limit."""
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
DETAILS = {"p, q and rounds": {"n_candidates": 0}, "with top-5": {"n_candidates": 5}}


def run(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure in this process and thread; return a table in Markdown."""
    lib = library()
    if lib.on_cpu:
        return measure(MAINS[:1], n_prompts, n_tokens, repeats)
    return measure(MAINS, n_prompts, GPU_TOKENS * n_tokens, GPU_REPEATS * repeats)


def measure(mains: Sequence[str], n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure these main models with the demo draft; return a table in Markdown."""
    rows = [row for main in mains for row in _against_stock(main, n_prompts, n_tokens, repeats)]
    head = (
        "main model",
        "draft length",
        *(f"ours / stock, {name}" for name in DETAILS),
        "equal accepted counts",
        "speedup over plain decoding",
        "plain decoding, tokens/s",
        "plain, ours / stock",
    )
    mx = library().mx
    device = f"{mx.default_device()}, {mx.device_info().get('device_name', 'unknown')}"
    return f"{MlxEngine().name} on {device}\n\n{table(head, rows)}"


def _against_stock(main: str, n_prompts: int, n_tokens: int, repeats: int) -> list[tuple[object, ...]]:
    models = [Model(path) for path in _paths(main)]
    for model in models:
        model.end_tokens = frozenset()  # mlx-lm's generator goes on after an end token
    contexts = [Context(model.net, name=model.info.name, n_ctx=1024) for model in models]
    rows: list[tuple[object, ...]] = []
    for k in LENGTHS:
        ratios: dict[str, list[float]] = {name: [] for name in (*DETAILS, "speedup", "plain")}
        counts, plain_seconds = [], []
        for text in prompts(n_prompts):
            prompt = models[0].tokenizer.encode(CHAT.format(text[:200]), add_special=True, parse_special=True)
            accepted: dict[str, int] = {}

            def ours(name: str, length: int = k, prompt: list[int] = prompt, accepted: dict = accepted) -> float:
                seconds, accepted[name] = _ours(models, contexts, prompt, n_tokens, length, DETAILS.get(name, {}))
                return seconds

            def stock(prompt: list[int] = prompt, length: int = k, accepted: dict = accepted) -> float:
                seconds, accepted["stock"] = _stock(models, prompt, n_tokens, length)
                return seconds

            ways: dict[str, Callable[[], float]] = {
                "stock": stock,
                **{name: lambda name=name, ours=ours: ours(name) for name in DETAILS},
                "plain": lambda ours=ours: ours("plain", 0),
                "stock, plain": lambda prompt=prompt: _stock_plain(models[0], prompt, n_tokens),
            }
            for way in ways.values():
                way()
            times = {name: float(np.mean(seconds)) for name, seconds in in_turn(ways, repeats).items()}
            for name in DETAILS:
                ratios[name].append(times["stock"] / times[name])
            ratios["speedup"].append(times["plain"] / times["with top-5"])
            ratios["plain"].append(times["stock, plain"] / times["plain"])
            plain_seconds.append(times["plain"])
            counts.append(accepted["stock"] == accepted["with top-5"])
        rows.append(
            (main, k, *(interval_text(ratios[name]) for name in DETAILS), f"{sum(counts)} of {len(counts)}",
             interval_text(ratios["speedup"]), f"{1 / np.mean(plain_seconds):.0f}", interval_text(ratios["plain"]))
        )  # fmt: skip
    return rows


def _paths(main: str) -> list[str]:
    """Make the pair's copies if need be."""
    with sv.load(main, engine="mlx") as pair:
        assert pair.spec.draft is not None
        return [pair.spec.main.path, pair.spec.draft.path]


def _ours(
    models: list[Model], contexts: list[Context], prompt: list[int], n: int, k: int, detail: dict[str, Any]
) -> tuple[float, int]:
    """Return seconds per token and the tokens accepted, from the end of the first round to that with token `n`."""
    asked = check_settings(max_tokens=n + MARGIN, num_draft_tokens=k, **detail)
    main = MlxMain(models[0], contexts[0], asked, lambda: False)
    n_vocab = contexts[0].n_vocab
    drafter = MlxDrafter(models[1], contexts[1], asked, lambda: False, n_vocab_main=n_vocab) if k else NoDrafter()
    for context in contexts:
        context.clear()
    gc.collect()
    started, accepted, tokens = 0.0, 0, 0
    for event in decode(main, drafter, prompt, asked, policy_of(asked)):
        if not isinstance(event, Round):
            continue
        if not started:
            started = perf_counter()
            continue
        accepted += event.accepted
        tokens += len(event.emitted)
        if tokens >= n:
            break
    return (perf_counter() - started) / tokens, accepted


def _stock(models: list[Model], prompt: list[int], n: int, k: int) -> tuple[float, int]:
    """Return the same of mlx-lm, with the log probabilities that it yields left uncomputed."""
    from mlx_lm.generate import speculative_generate_step

    steps = speculative_generate_step(
        library().mx.array(prompt),
        models[0].net,
        models[1].net,
        num_draft_tokens=k,
        max_tokens=n + MARGIN,
        prefill_step_size=_chunk(),
    )
    gc.collect()
    started, accepted, tokens = 0.0, 0, 0
    for _, _, from_draft in steps:
        if not started:
            started = 0.0 if from_draft else perf_counter()
            continue
        accepted += from_draft
        tokens += 1
        if tokens >= n and not from_draft:
            break
    seconds = perf_counter() - started
    steps.close()
    return seconds / tokens, accepted


def _stock_plain(model: Model, prompt: list[int], n: int) -> float:
    """Return mlx-lm's seconds per token without a draft; it begins a pass before it hands out the token before."""
    from mlx_lm.generate import generate_step

    steps = generate_step(library().mx.array(prompt), model.net, max_tokens=n + MARGIN, prefill_step_size=_chunk())
    gc.collect()
    next(steps)
    started = perf_counter()
    for _ in range(n):
        next(steps)
    seconds = perf_counter() - started
    steps.close()
    return seconds / n


def _chunk() -> int:
    """Tokens of a prompt that our engine evaluates at once: other chunks round the cache differently."""
    return CPU_CHUNK if library().on_cpu else GPU_CHUNK

"""Our loop in MLX against mlx-lm's `speculative_generate_step`, at equal settings; and the pair's real speedup there.

Runs on what MLX computes on here. On an NVIDIA GPU: install the wheels `mlx` and `mlx-cuda-13` beside mlx-lm.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import Any

import specviz as sv
from benchmarks.measure import in_turn, interval_text, prompts, table
from specviz.decoding import NoDrafter, check_settings, decode, policy_of
from specviz.engines.mlx.context import CPU_CHUNK, Context
from specviz.engines.mlx.engine import MlxEngine
from specviz.engines.mlx.library import library
from specviz.engines.mlx.model import Model
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.trace import Round

LENGTHS = (2, 4)
MARGIN = 16
"""Tokens that could follow those that are timed, so that no draft is cut short by the limit."""
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
DETAILS = {"p, q and rounds": {"n_candidates": 0}, "with top-5": {"n_candidates": 5}}


def run(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure in this process and thread; return tables in Markdown."""
    paths = _paths()
    models = [Model(path) for path in paths]
    for model in models:
        model.end_tokens = frozenset()  # mlx-lm's generator goes on after an end token
    contexts = [Context(model.net, name=model.info.name, n_ctx=1024) for model in models]
    return _against_stock(models, contexts, n_prompts, n_tokens, repeats)


def _paths() -> list[str]:
    """Make the demo pair's copies if need be."""
    with sv.load(engine="mlx") as pair:
        assert pair.spec.draft is not None
        return [pair.spec.main.path, pair.spec.draft.path]


def _against_stock(models: list[Model], contexts: list[Context], n_prompts: int, n_tokens: int, repeats: int) -> str:
    rows = []
    speedups: dict[int, list[float]] = {k: [] for k in LENGTHS}
    for k in LENGTHS:
        ratios: dict[str, list[float]] = {name: [] for name in DETAILS}
        counts = []
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
            }
            for way in ways.values():
                way()
            times = in_turn(ways, repeats)
            for name in DETAILS:
                ratios[name].append(sum(times["stock"]) / sum(times[name]))
            speedups[k].append(sum(times["plain"]) / sum(times["with top-5"]))
            counts.append(accepted["stock"] == accepted["with top-5"])
        rows.append(
            (k, *(interval_text(ratios[name]) for name in DETAILS), f"{sum(counts)} of {len(counts)}",
             interval_text(speedups[k]))
        )  # fmt: skip
    head = (
        "draft length",
        *(f"ours / stock, {name}" for name in DETAILS),
        "equal accepted counts",
        "speedup over plain decoding",
    )
    return f"{MlxEngine().name} on {library().mx.default_device()}\n\n{table(head, rows)}"


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

    ids = library().mx.array(prompt)
    steps = speculative_generate_step(
        ids, models[0].net, models[1].net, num_draft_tokens=k, max_tokens=n + MARGIN, prefill_step_size=CPU_CHUNK
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

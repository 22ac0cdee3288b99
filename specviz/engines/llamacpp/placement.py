"""Where llama.cpp has put a model, read from what it says while it loads one: its API does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from specviz.trace.events import Placement

DEVICE = re.compile(r"\w+: using device (?P<name>\S+) \((?P<what>[^()]+)")
OFFLOADED = re.compile(r"load_tensors: offloaded (?P<n>\d+)/\d+ layers to GPU")
BUFFER = re.compile(r"\w+: +(?P<device>\S+) +(?P<use>model|KV|RS|compute|output) buffer size = +(?P<size>[\d.]+) MiB")
CACHE = re.compile(r"llama_kv_cache\w*: size = .*, K \((?P<type>\w+)\)")
FLASH = re.compile(r"llama_context: flash_attn += (?P<state>\w+)")
"""Lines of llama-model.cpp, llama-kv-cache.cpp and llama-context.cpp, matched from their beginning, where a model's
own texts cannot stand."""
HOST = re.compile(r"CPU|.*_Host$|BLAS|AMX")
"""Buffers in the computer's own memory."""


def read_placement(lines: Iterable[str], *, n_layers: int, n_threads: int) -> Placement:
    """Return where a model is.

    Parameters
    ----------
    lines
        llama.cpp's log of loading the model and of making the context.
    n_layers
        Of the model, its output layer included.
    n_threads
        Of the context.
    """
    lines = list(lines)
    what = {match["name"]: match["what"].strip() for match in _matches(DEVICE, lines)}
    taken = {"model": 0, "KV": 0, "RS": 0, "compute": 0, "output": 0}
    gpus: dict[str, None] = {}
    on_host = False
    for match in _matches(BUFFER, lines):
        taken[match["use"]] += round(float(match["size"]) * 2**20)
        if match["use"] == "model":
            if HOST.match(match["device"]):
                on_host = True
            else:
                name = match["device"].removesuffix("_Mapped")
                gpus[f"{name} ({what[name]})" if name in what else name] = None
    return Placement(
        devices=(*gpus, *(("CPU",) if on_host or not gpus else ())),
        n_layers=n_layers,
        n_gpu_layers=offloaded_layers(lines),
        kv_type=next((match["type"] for match in _matches(CACHE, lines)), ""),
        flash_attention=any(match["state"] == "enabled" for match in _matches(FLASH, lines)),
        n_threads=n_threads,
        weights_bytes=taken["model"],
        cache_bytes=taken["KV"] + taken["RS"],
        compute_bytes=taken["compute"] + taken["output"],
    )


def offloaded_layers(lines: Iterable[str]) -> int:
    """Return how many layers lie on GPUs; a build without GPU support says nothing, which is none."""
    return next((int(match["n"]) for match in _matches(OFFLOADED, lines)), 0)


def _matches(pattern: re.Pattern[str], lines: Iterable[str]) -> Iterable[re.Match[str]]:
    return (match for line in lines if (match := pattern.match(line)))

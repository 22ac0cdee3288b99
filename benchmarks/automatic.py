"""The automatic draft length against a swept grid of lengths and cutoffs, and on a draft that is good for nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import gguf
import numpy as np

import specviz as sv
from benchmarks.measure import by_category, in_turn, interval_text, table
from specviz.models import demo_drafts

CATEGORIES = {
    "chat": ("writing", "roleplay", "reasoning", "humanities", "stem", "qa"),
    "code": ("coding",),
    "translation": ("translation",),
    "summary": ("summarization",),
    "maths": ("math_reasoning",),
    "repetition": ("repetition",),
}
LENGTHS, CUTOFFS = range(1, 9), (0.0, 0.3, 0.5, 0.7, 0.85)
PLAIN = (0, 0.0)
FINALISTS = 3
"""Cells of the grid that are measured again: the best of many noisy figures is too good to be true."""
SEED = 20240
"""Of the bad draft's permutation."""

Cell = tuple[int, float]


def run(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Sweep both mains; return a report in Markdown."""
    parts = []
    for main in ("q4_1", "f16"):
        with sv.load(main, "17m") as pair:
            pair.generate("Tell me about the sea.", max_tokens=n_tokens, ignore_eos=True, num_draft_tokens="auto")
            rows = [_category(pair, name, n_prompts, n_tokens, repeats) for name in CATEGORIES]
            head = ("category", "best cell", "best / plain", "auto / plain", "auto / best", "auto sends per round")
            parts.append(f"### {pair.main.name}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def _speed(pair: sv.Pair, prompt: str, n_tokens: int, **settings: object) -> Callable[[], float]:
    """Return a way to generate that gives seconds per token."""

    def way() -> float:
        stats = pair.generate(prompt, max_tokens=n_tokens, ignore_eos=True, **settings).stats
        return stats.generation_time / stats.output_tokens

    return way


def _cell(cell: Cell) -> dict[str, object]:
    length, p_min = cell
    return {"draft": None} if length == 0 else {"num_draft_tokens": length, "p_min": p_min}


def _category(pair: sv.Pair, category: str, n_prompts: int, n_tokens: int, repeats: int) -> tuple[object, ...]:
    known = by_category()
    chosen = [known[name].pop(0) for name in CATEGORIES[category] for _ in range(len(known[name]))][:n_prompts]
    cells: list[Cell] = [PLAIN, *((length, p_min) for length in LENGTHS for p_min in CUTOFFS)]
    swept: dict[Cell, float] = dict.fromkeys(cells, 0.0)
    for prompt in chosen:
        pair.generate(prompt, max_tokens=8, ignore_eos=True)
        for cell in cells:
            swept[cell] += _speed(pair, prompt, n_tokens // 2, **_cell(cell))()
    finalists = sorted(cells, key=lambda cell: swept[cell])[:FINALISTS]
    measured: dict[str, list[float]] = {}
    ways: dict[str, dict[str, object]] = {str(cell): _cell(cell) for cell in {*finalists, PLAIN}}
    ways["auto"] = {"num_draft_tokens": "auto"}
    sent = rounds = 0
    for prompt in chosen:
        timed = in_turn({name: _speed(pair, prompt, n_tokens, **way) for name, way in ways.items()}, repeats)
        for name, seconds in timed.items():
            measured.setdefault(name, []).append(sum(seconds))
        trace = pair.generate(prompt, max_tokens=n_tokens, ignore_eos=True, num_draft_tokens="auto")
        sent += sum(round.sent for round in trace.rounds)
        rounds += len(trace.rounds)
    best = min((str(cell) for cell in finalists), key=lambda name: sum(measured[name]))
    plain = measured[str(PLAIN)]

    def ratio(of: str, to: list[float]) -> str:
        return interval_text([b / a for a, b in zip(measured[of], to, strict=True)])

    return (
        category,
        "plain" if best == str(PLAIN) else best,
        ratio(best, plain),
        ratio("auto", plain),
        ratio("auto", measured[best]),
        f"{sent / rounds:.2f}",
    )


def bad_draft(path: Path) -> Path:
    """Write the 12m draft with the rows of its token embedding permuted (they are its output matrix too)."""
    source = next(model.path for model in demo_drafts() if "12m" in model.name)
    reader = gguf.GGUFReader(source)
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    data = bytearray(source.read_bytes())
    n_rows = int(tensor.shape[1])
    rows = np.frombuffer(data, np.uint8, int(tensor.n_bytes), int(tensor.data_offset)).reshape(n_rows, -1)
    permuted = rows[np.random.default_rng(SEED).permutation(n_rows)].tobytes()
    data[int(tensor.data_offset) : int(tensor.data_offset) + len(permuted)] = permuted
    path.write_bytes(data)
    return path


def bad(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure `auto` on a draft that is good for nothing, against plain decoding: at first sight, and later."""
    known = by_category()
    chosen = [known[names[-1]].pop(0) for _ in range(max(1, n_prompts)) for names in CATEGORIES.values()]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        draft = bad_draft(Path(folder) / "SmolLM2-135M-Instruct-draft-12m-permuted.gguf")
        for main in ("q4_1", "f16"):
            first, later, sent = [], [], 0
            for prompt in chosen:
                with sv.load(main, draft) as pair:
                    plain = _speed(pair, prompt, n_tokens, draft=None)
                    auto = _speed(pair, prompt, n_tokens, num_draft_tokens="auto")
                    plain()
                    fresh = [plain(), auto(), plain()]
                    first.append((fresh[0] + fresh[2]) / 2 / fresh[1])
                    timed = in_turn({"plain": plain, "auto": auto}, 3 * repeats)
                    later.append(median(timed["plain"]) / median(timed["auto"]))
                    trace = pair.generate(prompt, max_tokens=n_tokens, ignore_eos=True, num_draft_tokens="auto")
                    sent += sum(round.sent for round in trace.rounds)
                    name = pair.main.name
            lowest = f"{min(first):.3f}, {min(later):.3f}"
            rows.append((name, interval_text(first), interval_text(later), lowest, sent))
    head = ("main", "auto / plain, first generation", "later ones", "lowest prompt of each", "tokens sent")
    return table(head, rows)

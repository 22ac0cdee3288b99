"""specviz against llama.cpp's own programs and llama-cpp-python's high-level class, in one interleaved run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import specviz as sv
from benchmarks import peers
from benchmarks.measure import in_turn, interval_text, prompts, table
from specviz.pair import default_threads

LENGTH, P_MIN = 4, 0.5
LOOKUP = 10
"""Tokens of a looked-up draft: the default of llama-cpp-python's class."""


@dataclass(frozen=True)
class Run:
    """One generation: its decoding time, and how many verify passes it took where that is known."""

    n_tokens: int
    seconds: float
    rounds: int = 0
    overhead: float = 0.0
    """Seconds outside the models' passes and the drafting."""


def ours(pair: sv.Pair, prompt: str, n_tokens: int, **settings: object) -> Run:
    """Generate with specviz."""
    stats = pair.generate(prompt, max_tokens=n_tokens, ignore_eos=True, **settings).stats
    return Run(stats.output_tokens, stats.generation_time, stats.rounds, stats.other_seconds)


def theirs(run: peers.PeerRun) -> Run:
    """Take a peer's figures, which do not tell rounds."""
    return Run(run.n_tokens, run.seconds)


OURS: dict[str, dict[str, object]] = {
    "specviz, plain": {"draft": None},
    f"specviz, length {LENGTH}": {},
    f"specviz, length {LENGTH}, without detail": {"detail": False},
    f"specviz, length {LENGTH}, p_min {P_MIN}": {"p_min": P_MIN},
    "specviz, automatic length": {"num_draft_tokens": "auto"},
    f"specviz, n-gram lookup, {LOOKUP}": {"draft": "ngram", "num_draft_tokens": LOOKUP},
}
PAIRINGS = (
    (f"specviz, length {LENGTH}", f"llama-speculative-simple, length {LENGTH}"),
    (f"specviz, length {LENGTH}, without detail", f"llama-speculative-simple, length {LENGTH}"),
    (f"specviz, length {LENGTH}", f"llama-server, length {LENGTH}"),
    (f"specviz, length {LENGTH}, without detail", f"llama-server, length {LENGTH}"),
    (f"specviz, length {LENGTH}, p_min {P_MIN}", f"llama-speculative-simple, length {LENGTH}, p_min {P_MIN}"),
    ("specviz, plain", "llama-server, plain"),
    ("specviz, plain", "llama-cpp-python, plain"),
    (f"specviz, n-gram lookup, {LOOKUP}", f"llama-cpp-python, prompt lookup, {LOOKUP}"),
    ("specviz, automatic length", f"llama-server, length {LENGTH}"),
)


def run(n_prompts: int, n_tokens: int, repeats: int) -> str:
    """Measure with both mains and return a report in Markdown."""
    return "\n\n".join(_with_main(main, n_prompts, n_tokens, repeats) for main in ("q4_1", "f16"))


def _with_main(main: str, n_prompts: int, n_tokens: int, repeats: int) -> str:
    programs, threads = peers.build(), default_threads()
    runs: dict[str, list[list[Run]]] = {}
    with ExitStack() as open_, sv.load(main, "17m") as pair:
        assert pair.spec.draft is not None
        main_path, draft_path = Path(pair.spec.main.path), Path(pair.spec.draft.path)
        simple = peers.SpeculativeSimple(programs, main_path, draft_path, threads)
        plain_server = open_.enter_context(peers.Server(programs, main_path, None, threads, 0, 0))
        server = open_.enter_context(peers.Server(programs, main_path, draft_path, threads, LENGTH, 0))
        high = open_.enter_context(peers.HighLevel(main_path, threads))
        lookup = open_.enter_context(peers.HighLevel(main_path, threads, LOOKUP))
        for prompt in prompts(n_prompts):
            ids = pair.generate(prompt, max_tokens=1).header.prompt_ids
            ways: dict[str, Callable[[], Run]] = {
                name: lambda settings=settings: ours(pair, prompt, n_tokens, **settings)  # noqa: B023
                for name, settings in OURS.items()
            }
            ways |= {
                f"llama-speculative-simple, length {LENGTH}": lambda: theirs(simple.run(ids, n_tokens, LENGTH, 0)),  # noqa: B023
                f"llama-speculative-simple, length {LENGTH}, p_min {P_MIN}": lambda: theirs(
                    simple.run(ids, n_tokens, LENGTH, P_MIN)  # noqa: B023
                ),
                "llama-server, plain": lambda: theirs(plain_server.run(ids, n_tokens)),  # noqa: B023
                f"llama-server, length {LENGTH}": lambda: theirs(server.run(ids, n_tokens)),  # noqa: B023
                "llama-cpp-python, plain": lambda: theirs(high.run(ids, n_tokens)),  # noqa: B023
                f"llama-cpp-python, prompt lookup, {LOOKUP}": lambda: theirs(lookup.run(ids, n_tokens)),  # noqa: B023
            }
            for way in ways.values():
                way()
            for name, measured in in_turn(ways, repeats).items():
                runs.setdefault(name, []).append(measured)
        title = f"### {pair.main.name}"
    speeds = {name: [_speed(measured) for measured in of] for name, of in runs.items()}
    pairings = [(a, b, interval_text([x / y for x, y in zip(speeds[a], speeds[b], strict=True)])) for a, b in PAIRINGS]
    rows = []
    for name, of in runs.items():
        flat = [one for measured in of for one in measured]
        rounds = sum(one.rounds for one in flat)
        overhead = f"{1e6 * sum(one.overhead for one in flat) / rounds:.0f}" if rounds else ""
        rows.append((name, f"{sum(speeds[name]) / len(speeds[name]):.1f}", overhead))
    return "\n\n".join(
        (
            title,
            table(("ours", "theirs", "ratio of tokens/s"), pairings),
            table(("way", "mean tokens/s", "our overhead per round, microseconds"), rows),
        )
    )


def _speed(runs: list[Run]) -> float:
    """Pool the runs of one prompt."""
    return sum(one.n_tokens for one in runs) / sum(one.seconds for one in runs)

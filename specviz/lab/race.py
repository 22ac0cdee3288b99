"""The same prompts decoded with and without a draft: how much faster, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import track

from specviz.engines.client import HostClient
from specviz.lab.interval import Interval, geometric_mean
from specviz.lab.prompts import LabPrompt, Prompts, prompts_of
from specviz.pair import Pair, load
from specviz.trace import Event, StopReason, Trace

if TYPE_CHECKING:
    import pandas as pd

MAX_TOKENS = 128
REPEATS = 1
SETTINGS: dict[str, Any] = {"num_draft_tokens": 4, "seed": 0}
"""Of a race, where nothing else is said."""
TIE_LOGITS = 0.05
"""Between the first and the second choice: below it, passes of different widths may round to different tokens."""

Way = Literal["speculative", "plain", "length 0"]
BASELINES: tuple[Way, ...] = ("plain", "length 0")
"""What the speculative way is compared with: decoding without a draft, in a process that has loaded none; and with the
draft loaded but never asked."""


class Timing(NamedTuple):
    """One timed generation."""

    way: Way
    seconds: float
    """Of decoding; prompt processing apart."""
    n_tokens: int
    accepted: int
    drafted: int
    rounds: int

    @classmethod
    def of(cls, way: Way, trace: Trace) -> Timing:
        """Take what counts from a trace."""
        tally = trace.tally
        return cls(way, tally.seconds, tally.tokens, tally.accepted, tally.drafted, tally.rounds)


class Divergence(NamedTuple):
    """Where the texts with and without a draft part."""

    at: int
    """Index of the first output token that differs."""
    plain: str
    drafted: str
    """That token in either text."""
    margin: float | None
    """Logits between the plain run's first and second choice there; None: one text ended there."""

    @property
    def is_tie(self) -> bool:
        """Whether rounding explains it: passes of different widths add numbers in another order."""
        return self.margin is not None and self.margin <= TIE_LOGITS

    def __str__(self) -> str:
        here = f"the texts part at token {self.at}: {self.plain!r} without a draft, {self.drafted!r} with one"
        if self.is_tie:
            return f"{here}; a tie, {self.margin:.4f} logits apart, which the widths of the passes decide"
        if self.margin is None:
            return f"{here}; one of them ends there"
        return f"{here}; {self.margin:.3f} logits apart, which is no tie: a defect of the engine, or of its settings"


class Heat:
    """One prompt, raced.

    Attributes
    ----------
    prompt : LabPrompt
    timings : list of Timing
        In the order in which they were run.
    speculative, plain : Trace
        The warm-up runs, with detail.
    """

    def __init__(self, prompt: LabPrompt, speculative: Trace, plain: Trace, timings: Sequence[Timing]) -> None:
        self.prompt, self.speculative, self.plain = prompt, speculative, plain
        self.timings = list(timings)

    def tokens_per_second(self, way: Way) -> float:
        """Output tokens over decoding time of all runs of a way."""
        runs = [one for one in self.timings if one.way == way]
        return sum(one.n_tokens for one in runs) / sum(one.seconds for one in runs)

    def ran(self, way: Way) -> bool:
        """Whether a way was run: a server that drafts cannot be asked for length 0."""
        return any(one.way == way for one in self.timings)

    def speedup(self, baseline: Way = "plain") -> float:
        """Speed with the draft over speed without."""
        return self.tokens_per_second("speculative") / self.tokens_per_second(baseline)

    @property
    def divergence(self) -> Divergence | None:
        """Where the texts part; None if they do not, or were sampled."""
        if self.plain.header.settings.temperature > 0:
            return None
        return divergence(self.plain, self.speculative)


def divergence(plain: Trace, drafted: Trace) -> Divergence | None:
    """Return where two greedy texts of one main model part; None if they are the same.

    Parameters
    ----------
    plain
        Decoded without a draft, with detail: it tells the margin.
    drafted
        The other.
    """
    a, b = plain.token_ids, drafted.token_ids
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if at == len(a) == len(b):
        return None
    top = plain.rounds[at].main_top[0] if at < len(a) and at < len(b) and plain.rounds[at].main_top else ()
    margin = log(top[0][1]) - log(top[1][1]) if len(top) > 1 and top[1][1] > 0 else None
    return Divergence(at, _word(plain, at), _word(drafted, at), margin)


def _word(trace: Trace, at: int) -> str:
    ids = trace.token_ids
    return trace.piece(ids[at]).decode("utf-8", "replace") if at < len(ids) else ""


class Race:
    """Prompts decoded with and without a draft. Made by `race`.

    Attributes
    ----------
    heats : list of Heat
        One for each prompt.
    pair : str
        What raced.
    """

    def __init__(self, heats: Sequence[Heat], pair: str = "") -> None:
        self.heats, self.pair = list(heats), pair

    def ratios(self, baseline: Way = "plain") -> list[float]:
        """Return each prompt's speedup; of a single prompt that was raced several times, each time's."""
        if len(self.heats) > 1:
            return [heat.speedup(baseline) for heat in self.heats]
        (heat,) = self.heats
        with_draft, without = (
            [one.n_tokens / one.seconds for one in heat.timings if one.way == way] for way in ("speculative", baseline)
        )
        return [a / b for a, b in zip(with_draft, without, strict=True)]

    def interval(self, baseline: Way = "plain") -> Interval:
        """Return the geometric mean of the speedups with its 95 % interval (`specviz.lab.interval`)."""
        return geometric_mean(self.ratios(baseline))

    @property
    def verdict(self) -> str:
        """What may be said of the speedup."""
        found = self.interval()
        if found.inside_the_noise:
            return f"inside the noise: {found}"
        return f"{found}" if found.low > 1 else f"slower: {found}; see why with `sv.diagnose(pair)`"

    @property
    def divergences(self) -> list[Divergence]:
        """Where texts part with and without a draft."""
        return [one for heat in self.heats if (one := heat.divergence) is not None]

    def frame(self) -> pd.DataFrame:
        """Return one row for each prompt.

        Columns: `prompt`, `category`, `tokens`, `tokens_per_second`, `plain_tokens_per_second`, `speedup`,
        `speedup_over_length_0`, `acceptance_rate` (accepted / drafted), `tokens_per_round`, `diverges_at` (<NA>:
        nowhere).
        """
        import pandas as pd

        rows = []
        for heat in self.heats:
            stats = heat.speculative.stats
            parting = heat.divergence
            rows.append(
                {
                    "prompt": heat.prompt.text,
                    "category": heat.prompt.category,
                    "tokens": stats.output_tokens,
                    "tokens_per_second": heat.tokens_per_second("speculative"),
                    "plain_tokens_per_second": heat.tokens_per_second("plain"),
                    "speedup": heat.speedup(),
                    "speedup_over_length_0": heat.speedup("length 0") if heat.ran("length 0") else None,
                    "acceptance_rate": stats.draft_acceptance_rate,
                    "tokens_per_round": stats.tokens_per_round,
                    "diverges_at": None if parting is None else parting.at,
                }
            )
        return pd.DataFrame(rows).astype({"diverges_at": "Int64"})

    def by_category(self) -> pd.DataFrame:
        """Return one row for each category of prompts: `prompts`, `speedup`, `low`, `high`, `acceptance_rate`."""
        import pandas as pd

        rows = []
        for category in dict.fromkeys(heat.prompt.category for heat in self.heats):
            heats = [heat for heat in self.heats if heat.prompt.category == category]
            found = geometric_mean([heat.speedup() for heat in heats])
            accepted = sum(heat.speculative.tally.accepted for heat in heats)
            drafted = sum(heat.speculative.tally.drafted for heat in heats)
            rows.append(
                {
                    "category": category,
                    "prompts": len(heats),
                    "speedup": found.ratio,
                    "low": found.low,
                    "high": found.high,
                    "acceptance_rate": accepted / drafted if drafted else None,
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        n = len(self.heats)
        return f"<Race of {self.pair} on {n} prompt{'' if n == 1 else 's'}: {self.verdict}>"


Watch = Callable[[Way, LabPrompt, Event | None], None]
"""Told of every event of every timed run, and of its end (None)."""


def race(
    pair: Pair | str | Path = "auto",
    prompts: Prompts = None,
    *,
    draft: str | Path | None = "auto",
    max_tokens: int = MAX_TOKENS,
    repeats: int = REPEATS,
    baseline: Pair | None = None,
    progress: bool = True,
    watch: Watch | None = None,
    **settings: Any,
) -> Race:
    """Decode the same prompts with and without a draft, in turn, and compare their speed.

    Each prompt is first answered both ways untimed, which warms up and fixes the number of tokens (to the end of the
    answer, at most `max_tokens`). Then all ways run one after another and in reverse (A B C C B A), so that a drift of
    the machine's pace meets them alike; prompt processing is not counted. The baseline runs in a process of its own
    that has loaded no draft, and again in the pair's with draft length 0.

    Parameters
    ----------
    pair
        With a draft; or a main model, as for `specviz.load`, to be loaded with `draft`.
    prompts
        Several, the name of a file of them (`*.jsonl`), or None for three of ours.
    draft
        As for `specviz.load`, where `pair` is not one yet.
    max_tokens
        Output tokens of an answer at most.
    repeats
        How often each way runs there and back, on each prompt.
    baseline
        The same main model without a draft, where it cannot be loaded here: another server, if `pair` is one.
    progress
        Show a progress bar.
    watch
        Told of every event.
    **settings
        Of `Pair.generate`: `num_draft_tokens`, `p_min`, `temperature`, ... (`detail` is off).

    Raises
    ------
    ValueError, TypeError
        If the pair has no draft, or a setting is wrong.
    EngineError
        If the engine fails.

    Examples
    --------
    >>> print(sv.race().verdict)
    """
    given = prompts_of(prompts)
    settings = SETTINGS | settings
    opened = nullcontext(pair) if isinstance(pair, Pair) else load(pair, draft)
    with opened as ready, without_draft(ready) if baseline is None else nullcontext(baseline) as plain:
        heats = [
            run_heat(ready, plain, one, max_tokens, repeats, settings, watch)
            for one in track(given, "Racing", console=Console(stderr=True), disable=not progress, transient=True)
        ]
    return Race(heats, ready.description)


@contextmanager
def without_draft(pair: Pair) -> Iterator[Pair]:
    """Open the pair's main model in a process of its own, without a draft.

    Raises
    ------
    ValueError
        If the pair has no draft.
    """
    if pair.capabilities is not None:
        raise ValueError("a server cannot be asked without its draft: give a server without one as the baseline")
    if not (pair.spec.draft or pair.spec.ngram):
        raise ValueError("a race needs a pair with a draft")
    spec = msgspec.structs.replace(pair.spec, draft=None, ngram=False)
    with Pair(spec, HostClient(), owns_client=True) as plain:
        yield plain


def run_heat(
    pair: Pair,
    plain: Pair,
    prompt: LabPrompt,
    max_tokens: int,
    repeats: int,
    settings: dict[str, Any],
    watch: Watch | None = None,
) -> Heat:
    """Race one prompt; see `race`."""
    length_0 = settings | {"num_draft_tokens": 0, "p_min": 0.0, "n_min": 0}
    ways: dict[Way, tuple[Pair, dict[str, Any]]] = {
        "speculative": (pair, settings),
        "plain": (plain, length_0),
        "length 0": (pair, length_0),
    }
    if pair.capabilities is not None:
        del ways["length 0"]
    first = plain.generate(prompt.prompt, max_tokens=max_tokens, **length_0)
    if first.summary is not None and first.summary.stop_reason != StopReason.MAX_TOKENS:
        max_tokens = len(first)
    other = pair.generate(prompt.prompt, max_tokens=max_tokens, **settings)
    timings = []
    for way in [way for _ in range(repeats) for way in (*ways, *reversed(ways))]:
        runner, asked = ways[way]
        with runner.stream(prompt.prompt, max_tokens=max_tokens, **asked | {"detail": False}) as generation:
            while (event := generation.next_event()) is not None:
                if watch is not None and isinstance(event, Event):
                    watch(way, prompt, event)
        if watch is not None:
            watch(way, prompt, None)
        assert generation.trace is not None
        timings.append(Timing.of(way, generation.trace))
    return Heat(prompt, other, first, timings)

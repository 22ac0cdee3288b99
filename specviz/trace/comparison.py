"""Two answers beside each other: what they say alike, where they part, and what was different about them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import isqrt
from typing import Any

from msgspec import Struct

from specviz.trace.events import Header, Settings
from specviz.trace.inspection import round_detail
from specviz.trace.projection import STOP_WORDS, draft_name, project_answer, stats_rows
from specviz.trace.reasoning import TAGS, Stretch, split
from specviz.trace.stats import Stats
from specviz.trace.trace import Trace

NAMES = ("A", "B")
SHORT = 3
"""Fewer equal tokens than this, between differences that are longer than they are, belong to the difference."""
LONGEST_QUOTE = 40
MISSING = "—"
CONTROL = "\uffff"
"""In front of a control token's text: no byte of a text becomes this character."""
FIGURES = (
    "tokens_per_second",
    "speedup",
    "draft_acceptance_rate",
    "mean_acceptance_length",
    "output_tokens",
    "rounds",
    "time_to_first_token",
    "generation_time",
)
DRAFTING = {
    "num_draft_tokens": "Draft length",
    "p_min": "Draft probability cutoff",
    "entropy_max": "Entropy cutoff, nats",
    "n_min": "Shortest draft",
}
SAMPLING = {
    "temperature": "Temperature",
    "top_k": "Top k",
    "top_p": "Top p",
    "min_p": "Min p",
    "repeat_penalty": "Repeat penalty",
    "repeat_last_n": "Recent tokens",
    "seed": "Seed",
    "max_tokens": "Maximum tokens",
    "ignore_eos": "Past the end of text",
    "stop": "Stop strings",
    "json_schema": "JSON schema",
}


class Passage(Struct, frozen=True):
    """A part of both answers: output tokens from the first number up to the second, which may be none."""

    a: tuple[int, int]
    b: tuple[int, int]
    equal: bool
    """Whether both say the same there, byte by byte."""


class Choice(Struct, frozen=True, kw_only=True):
    """What one answer says where the two part, and how sure its main model was."""

    at: int
    """Index of the output token, from 0."""
    text: str | None
    """None: the answer has ended."""
    p: float | None = None
    """Of the token, under the main model of this answer; softmax at temperature 1."""
    other_p: float | None = None
    """Of the other answer's token, under the same; None where it is not among the recorded candidates."""
    margin: float | None = None
    """p of the first candidate minus p of the second."""
    margin_logits: float | None = None
    """The same in logits."""


class Row(Struct, frozen=True):
    """A setting or a figure of both answers, in words."""

    label: str
    a: str
    b: str
    help: str = ""


class Comparison(Struct, frozen=True, kw_only=True):
    """Two answers, compared; `print` it. Made by `compare_answers`."""

    names: tuple[str, str]
    passages: tuple[Passage, ...]
    """They cover both answers, in order; none goes on from reasoning to what is not, in either."""
    same_text: bool
    parting: tuple[Choice, Choice] | None
    """Where the two first differ; None: nowhere."""
    headers: tuple[Header, Header]
    stats: tuple[Stats, Stats]

    @property
    def settings(self) -> list[Row]:
        """What was asked for differently; nothing else."""
        a, b = map(_settings, self.headers)
        return [Row(label, a[label], b[label]) for label in a if label in b and a[label] != b[label]]

    @property
    def figures(self) -> list[Row]:
        """What was measured."""
        a, b = ({row["key"]: row for row in stats_rows(stats)} for stats in self.stats)
        rows = [(a.get(key), b.get(key), a.get(key) or b.get(key)) for key in FIGURES]
        return [
            Row(either["label"], x["value"] if x else MISSING, y["value"] if y else MISSING, either["help"])
            for x, y, either in rows
            if either
        ]

    @property
    def verdict(self) -> str:
        """What came of it, in a sentence or two."""
        name_a, name_b = self.names
        tokens, rounds = ([getattr(one, name) for one in self.stats] for name in ("output_tokens", "rounds"))
        if self.same_text:
            said = _both(tokens, "{} tokens", "{} and {} tokens")
            return f"The same text: {said} in {_both(rounds, '{} rounds each', '{} and in {} rounds')}."
        assert self.parting is not None
        a, b = self.parting
        if a.text is None or b.text is None:
            ended, on, stats = (name_a, name_b, self.stats[0]) if a.text is None else (name_b, name_a, self.stats[1])
            at = a.at if a.text is None else b.at
            reason = STOP_WORDS.get(stats.stop_reason or "", "no reason told")
            return f"The same text up to token {at:,}, where {ended} ends ({reason}) and {on} goes on."
        where = _both([a.at, b.at], "token {}", f"token {{}} of {name_a} and {{}} of {name_b}")
        said = f"{_quoted(a.text)} in {name_a}, {_quoted(b.text)} in {name_b}"
        return f"They part at {where}: {said}{self._sureness(a, b)}."

    def _sureness(self, a: Choice, b: Choice) -> str:
        """How sure the main models were of what they said: by margin or, where tokens were drawn, by p."""
        if any(header.settings.temperature > 0 for header in self.headers):
            one, both, unit = "with p", "with p", " %"
            known = [None if choice.p is None else f"{100 * choice.p:.1f}" for choice in (a, b)]
        else:
            one, both, unit = "at a margin of", "at margins of", " logits"
            known = [None if choice.margin_logits is None else f"{choice.margin_logits:.2f}" for choice in (a, b)]
        match known:
            case [str(x), str(y)] if x == y:
                return f", {one} {x}{unit}"
            case [str(x), str(y)]:
                return f", {both} {x} and {y}{unit}"
            case [str(x), None]:
                return f", {one} {x}{unit} in {self.names[0]}"
            case [None, str(y)]:
                return f", {one} {y}{unit} in {self.names[1]}"
        return ""

    def __str__(self) -> str:
        lines = [self.verdict]
        for title, rows in (("Settings that differ", self.settings), ("Figures", self.figures)):
            if rows:
                table = [(title, *self.names), *((row.label, _short(row.a), _short(row.b)) for row in rows)]
                widths = [max(map(len, column)) for column in zip(*table, strict=True)]
                lines += ["", *("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison of {self.names[0]} and {self.names[1]}: {self.verdict}>"


def compare_answers(
    a: Sequence[Trace], b: Sequence[Trace], names: tuple[str, str] = NAMES, reasoning_tags: Sequence[str] = TAGS
) -> Comparison:
    """Compare two answers, each with its continuations; reasoning with reasoning, what is said after it with the same.

    Takes time in proportion to the product of their differing parts' lengths, by 64: 0.1 s for 20,000 tokens that have
    nothing in common.

    Raises
    ------
    ValueError
        If the tags are not a begin and an end tag, or two empty strings.
    """
    tokens = _tokens(a), _tokens(b)
    passages = align_stretches(*tokens, split(a, reasoning_tags), split(b, reasoning_tags))
    first = next((one for one in passages if not one.equal), None)
    parting = None
    if first is not None:
        details = [_token_detail(traces, at) for traces, at in ((a, first.a[0]), (b, first.b[0]))]
        said = [None if detail is None else detail["text"] for detail in details]
        parting = (_choice(first.a[0], details[0], said[1]), _choice(first.b[0], details[1], said[0]))
    texts = ["".join(one for one in answer if not one.startswith(CONTROL)) for answer in tokens]
    return Comparison(
        names=names,
        passages=passages,
        same_text=texts[0] == texts[1],
        parting=parting,
        headers=(a[0].header, b[0].header),
        stats=(_stats(a), _stats(b)),
    )


def align(a: Sequence[str], b: Sequence[str]) -> tuple[Passage, ...]:
    """Cut two texts into passages that are the same in both, as many tokens as possible, and those between them.

    What begins and what ends both texts is matched by text, however it is cut into tokens; so is what stands beside
    the longest common subsequence of the tokens between.
    """
    begin, end = [0, 0, 0, 0], [len(a), len(a), len(b), len(b)]
    _widen(a, b, [begin, end])
    blocks = [begin]
    for i, j in common_tokens(a[begin[1] : end[0]], b[begin[3] : end[2]]):
        i, j = i + begin[1], j + begin[3]
        if blocks[-1] is not begin and (i, j) == (blocks[-1][1], blocks[-1][3]):
            blocks[-1][1], blocks[-1][3] = i + 1, j + 1
        else:
            blocks.append([i, i + 1, j, j + 1])
    blocks.append(end)
    _widen(a, b, blocks)
    return _passages(blocks)


def align_stretches(
    a: Sequence[str], b: Sequence[str], stretches_a: Sequence[Stretch], stretches_b: Sequence[Stretch]
) -> tuple[Passage, ...]:
    """Cut two answers into passages as `align` does, each within one stretch of reasoning or of answer on either side.

    What begins both is matched by text and cut where stretches begin in it. Of the rest, stretches of the same kind are
    aligned with each other, in order, and the answer at the end with that at the other's end.
    """
    i, j = _same_text(a, b)
    ends = sorted({(0, 0), *_borders(a[:i], b[:j], stretches_a, stretches_b), (i, j)})
    passages = [Passage((before[0], after[0]), (before[1], after[1]), True) for before, after in pairwise(ends)]
    for one, other in _pairs([x for x in stretches_a if x.stop > i], [x for x in stretches_b if x.stop > j]):
        k, m = one.stop if one else i, other.stop if other else j
        passages += [
            Passage((x.a[0] + i, x.a[1] + i), (x.b[0] + j, x.b[1] + j), x.equal) for x in align(a[i:k], b[j:m])
        ]
        i, j = k, m
    return tuple(passages)


def _borders(
    a: Sequence[str], b: Sequence[str], stretches_a: Sequence[Stretch], stretches_b: Sequence[Stretch]
) -> list[tuple[int, int]]:
    """Return where stretches begin in a text that is cut into tokens in two ways, as numbers of tokens before it.

    One that begins within a token of the other begins where both have a token's end.
    """
    ends = [[0, *accumulate(map(len, one))] for one in (a, b)]
    both = sorted({*ends[0]} & {*ends[1]})
    found = {
        both[bisect_left(both, end[one.start])]
        for end, stretches in zip(ends, (stretches_a, stretches_b), strict=True)
        for one in stretches
        if 0 < one.start < len(end)
    }
    return [(bisect_right(ends[0], at) - 1, bisect_right(ends[1], at) - 1) for at in found]


def _pairs(a: Sequence[Stretch], b: Sequence[Stretch]) -> list[tuple[Stretch | None, Stretch | None]]:
    """Return which stretches stand beside each other, in order; None: nothing does."""
    one, other = deque(a), deque(b)
    pairs: list[tuple[Stretch | None, Stretch | None]] = []
    both_answer = one and other and not one[-1].thinking and not other[-1].thinking
    last = [(one.pop(), other.pop())] if both_answer else []
    while one and other:
        if one[0].thinking == other[0].thinking:
            pairs.append((one.popleft(), other.popleft()))
        elif (len(one), other[0].thinking) > (len(other), one[0].thinking):
            pairs.append((one.popleft(), None))
        else:
            pairs.append((None, other.popleft()))
    return [*pairs, *((x, None) for x in one), *((None, x) for x in other), *last]


def _widen(a: Sequence[str], b: Sequence[str], blocks: Sequence[list[int]]) -> None:
    """Let blocks of the same text, `[from, to)` in a and in b, grow into what lies between them."""
    for before, after in pairwise(blocks):
        n, m = _same_text(a[before[1] : after[0]], b[before[3] : after[2]])
        before[1], before[3] = before[1] + n, before[3] + m
        ends = ([token[::-1] for token in reversed(one)] for one in (a[before[1] : after[0]], b[before[3] : after[2]]))
        n, m = _same_text(*ends)
        after[0], after[2] = after[0] - n, after[2] - m


def _same_text(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Return how many tokens of each begin with the same text, the longest at whose end both have a token's end."""
    i = j = 0
    same = (0, 0)
    more_a = more_b = ""
    while True:
        if not more_a and i < len(a):
            more_a, i = a[i], i + 1
        elif not more_b and j < len(b):
            more_b, j = b[j], j + 1
        else:
            return same
        n = min(len(more_a), len(more_b))
        if more_a[:n] != more_b[:n]:
            return same
        more_a, more_b = more_a[n:], more_b[n:]
        if not more_a and not more_b:
            same = (i, j)


def common_tokens(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Return a longest common subsequence as pairs of indices.

    By rows of bits, one bit for each token of a (Hyyrö 2004: a bit of row j is 0 where the subsequence of `a[: i + 1]`
    and `b[:j]` is longer than that of `a[:i]`). Every so many rows are kept, those between made again.
    """
    where: dict[str, int] = {}
    for i, token in enumerate(a):
        where[token] = where.get(token, 0) | 1 << i
    whole = (1 << len(a)) - 1

    def rows(row: int, tokens: Sequence[str]) -> Iterator[int]:
        yield row
        for token in tokens:
            matched = row & where.get(token, 0)
            row = ((row + matched) | (row - matched)) & whole
            yield row

    step = isqrt(len(b)) + 1
    starts = range(0, len(b), step)
    kept = [whole]
    for start in starts:
        *_, last = rows(kept[-1], b[start : start + step])
        kept.append(last)
    pairs: list[tuple[int, int]] = []
    i = len(a)
    for start, row in zip(reversed(starts), reversed(kept[:-1]), strict=True):
        block = list(rows(row, b[start : start + step]))
        for j in range(len(block) - 1, 0, -1):
            while i and block[j] >> (i - 1) & 1:
                i -= 1
            if i and block[j - 1] >> (i - 1) & 1:
                i -= 1
                pairs.append((i, start + j - 1))
    return pairs[::-1]


def _passages(blocks: Sequence[Sequence[int]]) -> tuple[Passage, ...]:
    """Return blocks and what lies between them, in order and without empty ones; short islands join what is around."""
    passages: list[Passage] = []
    for before, after in pairwise([[0, 0, 0, 0], *blocks]):
        difference = Passage((before[1], after[0]), (before[3], after[2]), False)
        same = Passage((after[0], after[1]), (after[2], after[3]), True)
        if _size(difference):
            while len(passages) > 1 and _size(passages[-1]) < min(SHORT, _size(passages[-2]), _size(difference)):
                joined = passages[-2]
                del passages[-2:]
                difference = Passage((joined.a[0], difference.a[1]), (joined.b[0], difference.b[1]), False)
            passages.append(difference)
        if _size(same):
            if passages and passages[-1].equal:
                last = passages.pop()
                same = Passage((last.a[0], same.a[1]), (last.b[0], same.b[1]), True)
            passages.append(same)
    return tuple(passages)


def _size(passage: Passage) -> int:
    return max(passage.a[1] - passage.a[0], passage.b[1] - passage.b[0])


def _tokens(traces: Sequence[Trace]) -> list[str]:
    """Return the output tokens, each as a string with one character for a byte."""
    return [
        (CONTROL if id in trace.control else "") + trace.piece(id).decode("latin-1")
        for trace in traces
        for id in trace.token_ids
    ]


def _token_detail(traces: Sequence[Trace], at: int) -> dict[str, Any] | None:
    """Return what is recorded of an output token; None: there is no such one."""
    index, before = at, 0
    for trace in traces:
        if index < len(trace):
            i = bisect_right(trace.rounds, index, key=lambda round: round.start) - 1
            detail = round_detail(traces, before + i)
            assert detail is not None
            found: dict[str, Any] = next(token for token in detail["tokens"] if token["index"] == at)
            return found
        index -= len(trace)
        before += len(trace.rounds)
    return None


def _choice(at: int, detail: dict[str, Any] | None, other: str | None) -> Choice:
    if detail is None:
        return Choice(at=at, text=None)
    top = dict(zip(detail["main_top"]["text"], detail["main_top"]["p"], strict=True))
    return Choice(
        at=at,
        text=detail["text"],
        p=detail["p"],
        other_p=None if other is None else top.get(other),
        margin=detail["margin"],
        margin_logits=detail["margin_logits"],
    )


def _stats(traces: Sequence[Trace]) -> Stats:
    """Return the statistics of an answer with its continuations."""
    return project_answer(traces).stats


def _settings(header: Header) -> dict[str, str]:
    """Return what was asked for, in words; of drafting only where there was a draft."""
    settings = header.settings
    drafts = header.drafter != "none"
    return {
        "Prompt": header.prompt,
        "Engine": header.engine,
        "Main model": header.main.name,
        "Draft": draft_name(header, "none"),
        **(_words(settings, DRAFTING) if drafts else {}),
        "Acceptance rule": header.rule,
        **_words(settings, SAMPLING),
    }


def _words(settings: Settings, labels: dict[str, str]) -> dict[str, str]:
    return {label: _word(getattr(settings, name)) for name, label in labels.items()}


def _word(value: Any) -> str:
    match value:
        case None | "" | ():
            return MISSING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(_quoted, value))
    return str(value)


def _both(values: Sequence[int], same: str, different: str) -> str:
    a, b = values
    return same.format(f"{a:,}") if a == b else different.format(f"{a:,}", f"{b:,}")


def _quoted(text: str) -> str:
    """Return a token in quotation marks, with characters that cannot be seen as their escapes."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return f"“{_short(shown)}”"


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"

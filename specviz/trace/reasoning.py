"""Reasoning blocks: which output tokens think aloud, which answer, and how drafting went in each.

A block goes from a begin tag to an end tag, both included, or to the end of the output. A token that holds any of it
belongs to it. Chat templates that begin the block in the prompt leave only the end tag in the output: one that no begin
tag precedes ends a block that began with the first token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from specviz.trace.events import Round
from specviz.trace.stats import Tally, acceptance_rate, ratio

if TYPE_CHECKING:
    from specviz.trace.trace import Trace

TAGS = ("<think>", "</think>")
LONGEST_TAG = 100
"""In characters."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Consecutive output tokens that are a reasoning block, or no part of one.

    `str()` says it in a line.
    """

    thinking: bool
    start: int
    """Index in the output of its first token, counted over an answer and its continuations."""
    stop: int
    """Index after its last token, so far."""
    ended: bool
    """Whether the end tag of a reasoning block came, or another stretch followed."""
    tally: Tally
    """Of the rounds whose first token stands here: a round across a border counts where it began, as a whole. One
    without output tokens counts with the token before it."""

    @property
    def acceptance_rate(self) -> float | None:
        """Accepted / drafted; None where nothing drafted was sent."""
        return acceptance_rate(self.tally.accepted, self.tally.drafted, self.tally.drafted - self.tally.unsent)

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of its rounds / their decoding time."""
        return ratio(self.tally.tokens, self.tally.seconds)

    def __str__(self) -> str:
        n, rate, speed = self.stop - self.start, self.acceptance_rate, self.tokens_per_second
        words = f"{'Reasoning' if self.thinking else 'Answer'}: {n:,} token{'' if n == 1 else 's'}"
        if rate is not None:
            words += f", {100 * rate:.0f} % of drafted accepted"
        return words if speed is None else f"{words} · {speed:.0f} tok/s"


def split(traces: Iterable[Trace], tags: Sequence[str] = TAGS) -> list[Stretch]:
    """Return the stretches of an answer and its continuations, in order: together they hold every token once.

    Parameters
    ----------
    traces
        One or several, in order.
    tags
        What a reasoning block begins and ends with; two empty strings: nothing does.

    Raises
    ------
    ValueError
        If the tags are no such pair.
    """
    reasoning = Reasoning(tags)
    for trace in traces:
        texts = [trace.piece(one.id).decode("utf-8", "replace") if one.control else one.text for one in trace.tokens]
        for round in trace.rounds:
            reasoning.add(round, texts[round.start : round.start + len(round.emitted)])
    return reasoning.stretches()


def check_tags(tags: Sequence[str]) -> tuple[str, str]:
    """Return a begin and an end tag.

    Raises
    ------
    ValueError
        If they are not two strings of at most `LONGEST_TAG` characters, both empty or none.
    """
    begin, end = tags
    if bool(begin) != bool(end):
        raise ValueError("reasoning needs both a begin and an end tag, or two empty ones")
    if max(len(begin), len(end)) > LONGEST_TAG:
        raise ValueError(f"a reasoning tag has at most {LONGEST_TAG} characters")
    return begin, end


class _Part:
    """A stretch that may still change; an empty one is the last."""

    def __init__(self, start: int, thinking: bool) -> None:
        self.start, self.thinking = start, thinking
        self.tally = Tally()


class _Match(NamedTuple):
    stop: int
    start: int
    ends: bool


class Reasoning:
    """Finds the stretches round by round; the work for a token does not depend on how many came before."""

    def __init__(self, tags: Sequence[str] = TAGS) -> None:
        self._begin, self._end = check_tags(tags)
        self._inside = self._begun = False
        self._tags = tuple(tag for tag in (self._begin, self._end) if tag)
        """The tags that would change something."""
        self._held: list[tuple[int, str]] = []
        """Tokens with as much of their text as may be the beginning of a tag."""
        self._parts = [_Part(0, False)]
        self._settled = 0
        """The part that the rounds have come to whose place is certain."""
        self._waiting: deque[tuple[int, Round]] = deque()
        """Rounds, with their first token, that a tag may yet move to another part."""
        self._n = self._told = 0

    def add(self, round: Round, texts: Sequence[str]) -> None:
        """Take a round into account.

        Parameters
        ----------
        round
            The one that follows on those before.
        texts
            Text of each of its output tokens; of control tokens their name.
        """
        self._waiting.append((self._n if texts else max(0, self._n - 1), round))
        for text in texts:
            self._read(text)
        certain = self._held[0][0] if self._held else self._n
        while self._waiting and self._waiting[0][0] < certain:
            start, first = self._waiting.popleft()
            self._settled = self._part_of(start)
            self._parts[self._settled].tally.add(first)

    def stretches(self, since: int = 0) -> list[Stretch]:
        """Return the stretches so far, from one of them on."""
        parts = self._parts[since:]
        tallies = [deepcopy(part.tally) if self._settled <= i else part.tally for i, part in enumerate(parts, since)]
        for start, round in self._waiting:
            tallies[self._part_of(start) - since].add(round)
        stops = [part.start for part in parts[1:]] + [self._n]
        return [
            Stretch(
                thinking=part.thinking,
                start=part.start,
                stop=stop,
                ended=part is not self._parts[-1],
                tally=tally,
            )
            for part, stop, tally in zip(parts, stops, tallies, strict=True)
            if stop > part.start
        ]

    def take(self) -> tuple[int, list[Stretch]] | None:
        """Return what has changed since the last call: the first such stretch's number, and all from it on.

        None until there is a reasoning block.
        """
        if not self._begun:
            return None
        since, self._told = self._told, self._settled
        return since, self.stretches(since)

    def _part_of(self, token: int) -> int:
        """Return the part of a token that comes after all settled ones."""
        i = self._settled
        while i + 1 < len(self._parts) and self._parts[i + 1].start <= token:
            i += 1
        return i

    def _read(self, text: str) -> None:
        """Look for tags up to the end of the next token."""
        token, self._n = self._n, self._n + 1
        if not (self._held and text) and not any(tag[0] in text for tag in self._tags):
            return
        self._held.append((token, text))
        window = "".join(text for _, text in self._held)
        while (match := self._match(window)) is not None:
            if match.ends:
                if not self._begun:
                    self._parts[0].thinking = True
                self._border(token + 1, False)
            else:
                self._border(self._token_at(match.start), True)
            self._inside, self._begun = not match.ends, True
            self._tags = (self._end,) if self._inside else (self._begin,)
            window = window[match.stop :]
            self._held = [(token, window)]
        self._hold(max(_beginning_of(tag, window) for tag in self._tags))

    def _match(self, window: str) -> _Match | None:
        """Return the tag that is complete first: so it does not matter how a text is cut into tokens."""
        found = [(tag, at) for tag in self._tags if (at := window.find(tag)) >= 0]
        matches = [_Match(at + len(tag), at, self._inside or tag != self._begin) for tag, at in found]
        return min(matches, default=None)

    def _border(self, start: int, thinking: bool) -> None:
        """Begin a part, no earlier than the last one."""
        last = self._parts[-1]
        if start <= last.start:
            last.thinking = thinking
        else:
            self._parts.append(_Part(start, thinking))

    def _token_at(self, position: int) -> int:
        """Return the held token that holds a character."""
        ends = accumulate(len(text) for _, text in self._held)
        return next(token for (token, _), end in zip(self._held, ends, strict=True) if position < end)

    def _hold(self, n: int) -> None:
        """Keep the last `n` characters."""
        held: list[tuple[int, str]] = []
        while n > 0:
            token, text = self._held.pop()
            held.append((token, text[-n:]))
            n -= len(text)
        self._held = held[::-1]


def _beginning_of(tag: str, text: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a tag."""
    longest = min(len(tag) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)

"""A trace: the events of one generation, collected."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from math import inf, log
from pathlib import Path
from typing import TYPE_CHECKING, overload

from msgspec import Struct, msgpack

from specviz.trace.events import Baseline, Event, Header, Pieces, Provenance, Round, StopReason, Summary
from specviz.trace.stats import Stats, Tally
from specviz.trace.text import TokenDecoder

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from specviz.trace.reasoning import Stretch


class Rounds(Sequence[Round]):
    """The rounds of a trace, kept encoded: about 250 bytes for a round with its candidates instead of 4 kB of objects.

    Reading one decodes it (some 3 microseconds).
    """

    def __init__(self) -> None:
        self._encoded: list[bytes] = []
        self._encoder = msgpack.Encoder()
        self._decoder = msgpack.Decoder(Round)

    def append(self, round: Round) -> None:
        """Add a round at the end."""
        self._encoded.append(self._encoder.encode(round))

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> Round: ...
    @overload
    def __getitem__(self, index: slice) -> list[Round]: ...
    def __getitem__(self, index: int | slice) -> Round | list[Round]:
        if isinstance(index, slice):
            return [self._decoder.decode(one) for one in self._encoded[index]]
        return self._decoder.decode(self._encoded[index])

    def __iter__(self) -> Iterator[Round]:
        return map(self._decoder.decode, list(self._encoded))

    def __repr__(self) -> str:
        return f"<{len(self)} rounds>"


class Token(Struct, frozen=True):
    """One output token."""

    index: int
    id: int
    text: str
    """The text it completes; empty for control tokens and inside a multi-byte character."""
    provenance: Provenance
    round: int
    p: float | None
    """Main model's probability."""
    q: float | None
    """Draft model's probability; None for tokens that were not drafted."""
    control: bool

    @property
    def logprob(self) -> float | None:
        """Natural logarithm of `p`, as OpenAI's `logprobs`; None where no detail was recorded."""
        return None if self.p is None else log(self.p) if self.p > 0 else -inf


class Trace:
    """Everything that happened in one generation.

    Made by `Pair.generate`, `Pair.stream` or `read_trace`; grows by `add` while it runs.

    Attributes
    ----------
    header : Header
        Models, rule, settings, prompt.
    rounds : Rounds
        A sequence of `Round`, in order.
    baselines : list of Baseline
        Plain stretches measured in the run.
    summary : Summary or None
        How it ended; None while it runs or where the record breaks off.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.rounds = Rounds()
        self.baselines: list[Baseline] = []
        self.summary: Summary | None = None
        self.pieces: dict[int, bytes] = {}
        self.control: set[int] = set()
        self.tally = Tally()
        self._ids = array("i")

    @classmethod
    def of(cls, events: Iterable[Event]) -> Trace:
        """Collect events, a header first.

        Raises
        ------
        ValueError
            If an event is out of order.
        """
        events = iter(events)
        header = next(events, None)
        if not isinstance(header, Header):
            raise ValueError("a trace begins with its header")
        trace = cls(header)
        for event in events:
            trace.add(event)
        return trace

    def add(self, event: Event) -> None:
        """Append an event.

        Raises
        ------
        ValueError
            If the event does not follow on those before it.
        """
        if self.summary is not None:
            raise ValueError("nothing may follow the summary")
        match event:
            case Round():
                if event.index != len(self.rounds):
                    raise ValueError(f"round.index is {event.index}, expected {len(self.rounds)}")
                if event.start != len(self._ids):
                    raise ValueError(f"round.start is {event.start}, expected {len(self._ids)}")
                self.rounds.append(event)
                self.tally.add(event)
                self._ids.extend(event.emitted)
            case Pieces():
                self.pieces.update(event.raw)
                self.pieces.update((id, text.encode()) for id, text in event.text.items())
                self.control.update(event.control)
            case Baseline():
                self.baselines.append(event)
                self.tally.add_baseline(event)
            case Summary():
                self.summary = event
            case Header():
                raise ValueError("a second header")

    def events(self) -> Iterator[Event]:
        """Yield what a file holds: header, all pieces, baselines and rounds in order, summary.

        May be called while another thread adds events: what is yielded is what there was at the call.
        """
        yield self.header
        pieces, control = self.pieces.copy(), self.control.copy()
        if pieces or control:
            yield Pieces.of(pieces, control)
        baselines = sorted(self.baselines, key=lambda baseline: baseline.start, reverse=True)
        for round in self.rounds:
            while baselines and baselines[-1].start <= round.start:
                yield baselines.pop()
            yield round
        yield from reversed(baselines)
        if self.summary is not None:
            yield self.summary

    @property
    def token_ids(self) -> list[int]:
        """Ids of the output tokens, an end-of-generation token included."""
        return self._ids.tolist()

    def __len__(self) -> int:
        return len(self._ids)

    def piece(self, id: int) -> bytes:
        """Text of a token as bytes; of one that the record does not name, its id in angle brackets."""
        return self.pieces.get(id, b"<%d>" % id)

    @property
    def text(self) -> str:
        """The answer: without control tokens, and up to the stop string where one was found."""
        decoded = b"".join(self.piece(id) for id in self._ids if id not in self.control).decode("utf-8", "replace")
        if self.summary is not None and self.summary.stop_reason == StopReason.STOP_STRING_FOUND:
            found = [at for at in (decoded.find(stop) for stop in self.header.settings.stop) if at >= 0]
            return decoded[: min(found, default=len(decoded))]
        return decoded

    @property
    def tokens(self) -> list[Token]:
        """The output tokens with their provenance and probabilities."""
        tokens: list[Token] = []
        decoder = TokenDecoder()
        for round in self.rounds:
            provenances = round.provenance
            for i, (id, provenance) in enumerate(zip(round.emitted, provenances, strict=True)):
                accepted = provenance is Provenance.ACCEPTED
                control = id in self.control
                tokens.append(
                    Token(
                        index=len(tokens),
                        id=id,
                        text="" if control else decoder.feed(self.piece(id)),
                        provenance=provenance,
                        round=round.index,
                        p=(round.p[i] if round.p else None) if accepted else round.closing_p,
                        q=round.q[i] if accepted and round.q else None,
                        control=control,
                    )
                )
        return tokens

    def reasoning(self, begin: str = "<think>", end: str = "</think>") -> list[Stretch]:
        """Return its reasoning blocks and what stands between them, each with the counts of its rounds.

        Parameters
        ----------
        begin, end
            The tags around a reasoning block.
        """
        from specviz.trace.reasoning import split

        return split([self], (begin, end))

    @property
    def stats(self) -> Stats:
        """Statistics of what has happened so far."""
        return Stats.of(
            self.tally,
            draft_model=self.header.draft.name if self.header.draft is not None else None,
            stop_reason=None if self.summary is None else str(self.summary.stop_reason),
            time_to_first_token=None if self.summary is None else self.summary.time_to_first_token,
            reported=None if self.summary is None else self.summary.reported,
        )

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON lines (`read_trace` reads it back).

        Returns
        -------
        Path
            The file. It is complete or not there: written beside and renamed.
        """
        from specviz.trace.files import write_trace

        return write_trace(self, path)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per drafted or closing token.

        Columns: `round`, `position` (1.. in the draft; 0: the closing token), `output` (index in the output, <NA> if
        dropped), `id`, `text`, `fate` (of drafted tokens), `provenance` (of output tokens), `p`, `q`, `rank`, and of
        the round `time`, `draft_seconds`, `verify_seconds`, `other_seconds`.
        """
        return import_module("specviz.widgets.frames").token_frame(self)  # type: ignore[no-any-return]

    def figure(self) -> go.Figure:
        """Return acceptance, speed and speedup over the output tokens as one plotly figure."""
        return import_module("specviz.widgets.figures").trace_figure(self)

    def to_html(self, path: str | Path, *, show_rejected: bool = False, workshop: bool = False) -> Path:
        """Write one HTML file with all views and a replay, which needs neither kernel nor network.

        Parameters
        ----------
        path
            Where to. The file is complete or not there.
        show_rejected
            Whether it begins with the dropped drafted tokens in place.
        workshop
            Whether its replay begins in workshop mode: it asks before each verdict how many tokens will be accepted.

        Returns
        -------
        Path
            The file: 0.6 MB, and some 800 bytes a round.
        """
        write_page = import_module("specviz.widgets.page").write_page
        return write_page([self], path, show_rejected=show_rejected, workshop=workshop)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        return import_module("specviz.widgets.static_html").trace_html(self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        draft = self.header.draft.name if self.header.draft is not None else self.header.drafter
        ended = str(self.summary.stop_reason) if self.summary is not None else "unfinished"
        return f"<Trace {self.header.main.name} with {draft}: {len(self)} tokens, {len(self.rounds)} rounds, {ended}>"

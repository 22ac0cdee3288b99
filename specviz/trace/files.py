"""Traces as files: one JSON object a line, in the order of the events, checked on reading.

Line 1 is the header with `"format": "specviz-trace"` and the schema version. JSON Lines survive a crash: a file whose
last line was cut off still gives every round before it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeVar

import msgspec

from specviz.trace.events import SCHEMA_VERSION, Event, Header
from specviz.trace.trace import Trace

MAX_BYTES = 1 << 30
"""Files above this are refused unless the caller allows more."""
MAX_LINE_BYTES = 64 << 20
READERS = {"specviz-trace": "read_trace", "specviz-conversation": "read_conversation"}

F = TypeVar("F")
R = TypeVar("R")


class TraceError(ValueError):
    """A file is not a readable trace; the message names the line and the field."""


class TraceWarning(UserWarning):
    """A trace was read, but its record breaks off."""


class _Preamble(msgspec.Struct):
    format: str | None = None
    version: int | None = None


def write_trace(trace: Trace, path: str | Path) -> Path:
    """Write a trace; see `Trace.save`."""
    path = Path(path)
    encoder = msgspec.json.Encoder()
    with whole_file(path) as file:
        for event in trace.events():
            file.write(encoder.encode(event))
            file.write(b"\n")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that is complete at the end or not there: it is written beside and renamed."""
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
        try:
            yield file
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def read_trace(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Trace:
    """Read a trace file.

    Parameters
    ----------
    path
        A file written by `Trace.save` or `specviz generate --trace`.
    max_bytes
        Larger files are refused before they are read.

    Raises
    ------
    TraceError
        If the file is not a trace, is damaged, is of a newer schema, or too large; names the line and the field.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    TraceWarning
        If the last line is cut off or the summary is missing; the rounds before are returned.
    """
    path = Path(path)
    trace: Trace | None = None
    for where, event in read_lines(path, _header, msgspec.json.Decoder(Event), max_bytes):
        if trace is not None:
            add_event(trace, event, where)
        elif isinstance(event, Header):
            trace = Trace(event)
    if trace is None:
        raise TraceError(f"{path.name} is empty: not a specviz trace")
    if trace.summary is None:
        warnings.warn(
            f"{path.name} breaks off after round {len(trace.rounds)}: the trace has no summary",
            TraceWarning,
            stacklevel=2,
        )
    return trace


def read_lines(
    path: Path, first: Callable[[bytes, str], F], rest: msgspec.json.Decoder[R], max_bytes: int
) -> Iterator[tuple[str, F | R]]:
    """Yield where each line stands, in words, and what it holds; a last line that was cut off is left out."""
    size = path.stat().st_size
    if size > max_bytes:
        raise TraceError(f"{path.name} has {size:,} bytes, more than the {max_bytes:,} that max_bytes allows")
    begun = False
    for number, line, complete in _lines(path):
        where = f"{path.name}, line {number}"
        try:
            one = rest.decode(line) if begun else first(line, where)
        except msgspec.ValidationError as error:
            raise TraceError(f"{where}: {error}") from None
        except msgspec.DecodeError as error:
            if begun and not complete:
                return
            raise TraceError(f"{where}: not JSON ({error})") from None
        except TraceError:
            raise
        except (ValueError, OverflowError) as error:
            raise TraceError(f"{where}: {error}") from None
        begun = True
        yield where, one


def add_event(trace: Trace, event: Event, where: str) -> None:
    """Add what a line holds to a trace."""
    try:
        trace.add(event)
    except (ValueError, OverflowError) as error:
        raise TraceError(f"{where}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yield line number, line and whether its newline is there."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise TraceError(
                    f"{path.name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes, not a specviz trace"
                )
            if line.strip():
                yield number, line, line.endswith(b"\n")


def _header(line: bytes, where: str) -> Header:
    return first_line(line, where, Header, "trace", SCHEMA_VERSION)


def first_line(line: bytes, where: str, into: type[F], what: str, newest: int) -> F:
    """Decode the line that says what a file is: a `what`, and of which version."""
    try:
        preamble = msgspec.json.decode(line, type=_Preamble)
    except msgspec.DecodeError:
        raise TraceError(f"{where}: not a specviz {what} (no JSON header)") from None
    if preamble.format != f"specviz-{what}":
        reader = READERS.get(preamble.format or "")
        hint = f"; {reader} reads it" if reader else ""
        raise TraceError(f'{where}: not a specviz {what} (its "format" is {preamble.format!r}){hint}')
    check_version(preamble.version, newest, where)
    return msgspec.json.decode(line, type=into)


def check_version(version: int | None, newest: int, where: str) -> None:
    """Refuse what a newer specviz wrote."""
    if version is None or version > newest:
        raise TraceError(
            f"{where}: schema version {version} is newer than the {newest} that this specviz reads; upgrade specviz"
        )

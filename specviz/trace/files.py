"""Traces as files: one JSON object a line, in the order of the events, checked on reading.

Line 1 is the header with `"format": "specviz-trace"` and the schema version. JSON Lines survive a crash: a file whose
last line was cut off still gives every round before it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import msgspec

from specviz.trace.events import SCHEMA_VERSION, Event, Header
from specviz.trace.trace import Trace

MAX_BYTES = 1 << 30
"""Files above this are refused unless the caller allows more."""
MAX_LINE_BYTES = 64 << 20


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
    size = path.stat().st_size
    if size > max_bytes:
        raise TraceError(f"{path.name} has {size:,} bytes, more than the {max_bytes:,} that max_bytes allows")
    decoder = msgspec.json.Decoder(Event)
    trace: Trace | None = None
    for number, line, complete in _lines(path):
        where = f"{path.name}, line {number}"
        try:
            if trace is None:
                trace = Trace(_header(line, where))
            else:
                trace.add(decoder.decode(line))
        except msgspec.ValidationError as error:
            raise TraceError(f"{where}: {error}") from None
        except msgspec.DecodeError as error:
            if trace is not None and not complete:
                break
            raise TraceError(f"{where}: not JSON ({error})") from None
        except TraceError:
            raise
        except (ValueError, OverflowError) as error:
            raise TraceError(f"{where}: {error}") from None
    if trace is None:
        raise TraceError(f"{path.name} is empty: not a specviz trace")
    if trace.summary is None:
        warnings.warn(
            f"{path.name} breaks off after round {len(trace.rounds)}: the trace has no summary",
            TraceWarning,
            stacklevel=2,
        )
    return trace


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
    try:
        preamble = msgspec.json.decode(line, type=_Preamble)
    except msgspec.DecodeError:
        raise TraceError(f"{where}: not a specviz trace (no JSON header)") from None
    if preamble.format != "specviz-trace":
        raise TraceError(f'{where}: not a specviz trace (its "format" is {preamble.format!r})')
    if preamble.version is None or preamble.version > SCHEMA_VERSION:
        raise TraceError(
            f"{where}: schema version {preamble.version} is newer than the {SCHEMA_VERSION} "
            "that this specviz reads; upgrade specviz"
        )
    return msgspec.json.decode(line, type=Header)

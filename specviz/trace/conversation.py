"""A conversation: what a user said, turn by turn, with the traces of the answers; and its file.

The file is JSON lines, as that of a trace: line 1 says what it is and holds name and system prompt, then each turn
follows with the user's text and the events of its traces.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from specviz.trace.events import SCHEMA_VERSION, Event, Header
from specviz.trace.files import (
    MAX_BYTES,
    TraceError,
    TraceWarning,
    add_event,
    check_version,
    first_line,
    read_lines,
    whole_file,
)
from specviz.trace.trace import Trace

VERSION = 1
WHAT = "conversation"


class Turn(Struct, frozen=True):
    """What a user said, and the traces of the answer: the answer itself and its continuations."""

    user: str
    traces: tuple[Trace, ...] = ()
    """Empty: not answered (yet)."""

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(trace.text for trace in self.traces)


class Conversation(Struct, frozen=True, kw_only=True):
    """Turns in order; every one but the last has an answer."""

    name: str = ""
    system: str = ""
    """The system prompt; empty: none is given, and the chat template may have its own."""
    turns: tuple[Turn, ...] = ()

    def messages(self) -> list[dict[str, Any]]:
        """Return the chat messages that ask for the last turn's answer; each with role and content."""
        messages = [{"role": "system", "content": self.system}] if self.system.strip() else []
        for turn in self.turns:
            messages += [{"role": "user", "content": turn.user}, {"role": "assistant", "content": turn.text}]
        return messages[:-1] if self.turns else messages

    def save(self, path: str | Path) -> Path:
        """Write it as JSON lines (`read_conversation` reads it back).

        Returns
        -------
        Path
            The file. It is complete or not there.
        """
        path = Path(path)
        with whole_file(path) as file:
            file.write(self.encode())
        return path

    def to_html(self, path: str | Path, *, show_rejected: bool = False) -> Path:
        """Write one HTML file in which every answer can be chosen and played; as `Trace.to_html`.

        Raises
        ------
        ValueError
            If nothing was answered yet.
        """
        page = import_module("specviz.widgets.page")
        html = page.conversation_page(self, show_rejected=show_rejected)
        return page.write_html(html, path)  # type: ignore[no-any-return]

    def encode(self) -> bytes:
        """Return what its file holds."""
        lines: list[_Head | _Asked | Event] = [_Head(name=encodable(self.name), system=encodable(self.system))]
        for turn in self.turns:
            lines.append(_Asked(user=encodable(turn.user)))
            lines += [event for trace in turn.traces for event in trace.events()]
        return msgspec.json.Encoder().encode_lines(lines)


class _Head(Struct, frozen=True, kw_only=True, tag_field="type", tag=WHAT):
    format: Literal["specviz-conversation"] = "specviz-conversation"
    version: int = VERSION
    name: str = ""
    system: str = ""


class _Asked(Struct, frozen=True, kw_only=True, tag_field="type", tag="turn"):
    user: str


def read_conversation(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Conversation:
    """Read a conversation that `Conversation.save` wrote.

    Parameters
    ----------
    max_bytes
        Larger files are refused before they are read.

    Raises
    ------
    TraceError
        If the file is no conversation, is damaged, is of a newer version, or too large; names the line and the field.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    TraceWarning
        If the last line is cut off or the last answer has no end; what stands before is returned.
    """
    path = Path(path)
    head: _Head | None = None
    turns: list[tuple[str, list[Trace]]] = []
    for where, line in read_lines(path, _head, msgspec.json.Decoder(_Asked | Event), max_bytes):
        match line:
            case _Head():
                head = line
            case _Asked():
                if turns and not turns[-1][1]:
                    raise TraceError(f"{where}: a turn, but the one before it has no answer")
                turns.append((line.user, []))
            case Header() if turns:
                check_version(line.version, SCHEMA_VERSION, where)
                turns[-1][1].append(Trace(line))
            case _ if turns and turns[-1][1]:
                add_event(turns[-1][1][-1], line, where)
            case _:
                raise TraceError(f"{where}: there is no {'turn' if isinstance(line, Header) else 'trace'} to add it to")
    if head is None:
        raise TraceError(f"{path.name} is empty: not a specviz {WHAT}")
    if turns and turns[-1][1] and turns[-1][1][-1].summary is None:
        warnings.warn(
            f"{path.name} breaks off in turn {len(turns)}: its answer has no summary", TraceWarning, stacklevel=2
        )
    return Conversation(
        name=head.name, system=head.system, turns=tuple(Turn(user, tuple(traces)) for user, traces in turns)
    )


def _head(line: bytes, where: str) -> _Head:
    return first_line(line, where, _Head, WHAT, VERSION)


def encodable(text: str) -> str:
    """Replace lone surrogates, which no file and no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()

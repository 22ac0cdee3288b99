"""Tool calls in what models write.

Formats: Hermes and Qwen `<tool_call>{json}</tool_call>` (SmolLM2: a JSON list inside); Mistral `[TOOL_CALLS][json]` and
`[TOOL_CALLS]name[ARGS]{json}`; Llama 3 `{json}`, alone or after `<|python_tag|>`, several separated by `;`; LM Studio's
`[TOOL_REQUEST]{json}[END_TOOL_REQUEST]`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKS = {
    "<tool_call>": "</tool_call>",
    "[TOOL_CALLS]": "",
    "<|python_tag|>": "",
    "[TOOL_REQUEST]": "[END_TOOL_REQUEST]",
}
"""What begins a tool call -> what ends it; empty: the end of the answer."""
WRITTEN = frozenset((*MARKS, *MARKS.values(), "[ARGS]", "[CALL_ID]")) - {""}
"""Texts of control tokens that belong to tool calls, and so to the text that is looked at."""
_NAMED = re.compile(r"[\s;,]*(?:\[TOOL_CALLS\])?([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]")
_BETWEEN = " \t\r\n;,"


def _new_id() -> str:
    """Nine letters and digits: Mistral's chat templates want just that."""
    return secrets.token_hex(5)[:9]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asks for."""

    name: str
    arguments: str
    """JSON."""
    id: str = field(default_factory=_new_id)

    @property
    def shape(self) -> dict[str, Any]:
        """As OpenAI's responses carry it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class ToolCallParser:
    """Splits the text of an answer into what is said and what is called, as it comes.

    Text that may still become a call is held back; what looked like a call and is none comes out as text.

    Parameters
    ----------
    names
        Of the tools that there are. A JSON object without a mark around it is a call only if it names one of them.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self._state = "start"
        self._mark = ""
        self._called = False
        self._space = ""

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """Take more text; return what can be said of it now."""
        self._held += text
        said, calls = "", []
        while True:
            if self._state == "start":
                begin = self._held.lstrip()
                if not begin:
                    break
                if any(mark.startswith(begin) for mark in MARKS if mark != begin):
                    break
                marked = any(begin.startswith(mark) for mark in MARKS)
                self._state = "bare" if begin[0] in "{[" and not marked else "text"
            if self._state == "bare":
                break
            if self._state == "text":
                at, self._mark = min(
                    ((at, mark) for mark in MARKS if (at := self._held.find(mark)) >= 0), default=(-1, "")
                )
                keep = len(self._held) - held_back(self._held, MARKS) if at < 0 else at
                said += self._said(self._held[:keep])
                self._held = self._held[keep:]
                if at < 0:
                    break
                self._held = self._held[len(self._mark) :]
                self._state = "call"
            closing = MARKS[self._mark]
            if not closing or closing not in self._held:
                break
            inside, _, self._held = self._held.partition(closing)
            found = parse_calls(inside)
            said += "" if found else self._said(f"{self._mark}{inside}{closing}")
            calls += found
            if found:
                self._called, self._space = True, ""
            self._state = "text"
        return said, calls

    def end(self) -> tuple[str, list[ToolCall]]:
        """Return what is left, now that no more text comes."""
        held, self._held = self._held, ""
        if self._state in ("start", "text"):
            return self._said(held), []
        found = parse_calls(held)
        if self._state == "bare" and not all(call.name in self._names for call in found):
            found = []
        return ("", found) if found else (self._said((self._mark if self._state == "call" else "") + held), [])

    def _said(self, text: str) -> str:
        """Leave out the white space between calls and after the last one."""
        if not self._called:
            return text
        text = self._space + text
        self._space = "" if text.strip() else text
        return text if text.strip() else ""


def held_back(text: str, marks: Collection[str]) -> int:
    """Return the length of the longest end of a text with which one of some marks begins."""
    longest = max(map(len, marks), default=1) - 1
    for n in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-n:]) for mark in marks):
            return n
    return 0


def parse_calls(text: str) -> list[ToolCall]:
    """Return the calls that a text consists of; none if it is anything else."""
    try:
        if _NAMED.match(text):
            return list(_named_calls(text))
        calls = [_call(value) for value in _values(text)]
    except (ValueError, RecursionError):
        return []
    return [call for call in calls if call is not None] if all(calls) else []


def _named_calls(text: str) -> Iterator[ToolCall]:
    decoder = json.JSONDecoder()
    at = 0
    while match := _NAMED.match(text, at):
        value, at = decoder.raw_decode(text, match.end())
        yield ToolCall(match[1], json.dumps(value, ensure_ascii=False))
    if text[at:].strip():
        raise ValueError("text after the calls")


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, lists item by item."""
    decoder = json.JSONDecoder()
    rest = text.strip(_BETWEEN)
    while rest:
        value, end = decoder.raw_decode(rest)
        yield from value if isinstance(value, list) else [value]
        rest = rest[end:].lstrip(_BETWEEN)


def _call(value: Any) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = value.get("name")
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))


def readable(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages as chat templates read them: the arguments of earlier calls as objects, not as JSON texts."""
    return [
        message | {"tool_calls": [_readable(call) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _readable(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return call | {"function": function | {"arguments": arguments}}

"""Chat templates, rendered in a sandbox: they come with model files and are untrusted code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from specviz.engines.errors import PromptError

Message = dict[str, Any]
"""Role and content; of an assistant also `tool_calls`, of a tool `tool_call_id`, as OpenAI's chats have them."""
Tool = dict[str, Any]

TOOL_PROMPT = """You may call these functions, given as JSON schemas:
<tools>
{tools}
</tools>
To call one, answer with its name and its arguments:
<tool_call>
{{"name": "...", "arguments": {{...}}}}
</tool_call>"""
"""Hermes' and Qwen's way, for templates that know nothing of tools."""


def render_chat(
    template: str, messages: Sequence[Message], tools: Sequence[Tool] = (), *, bos: str = "", eos: str = ""
) -> str:
    """Render messages to a prompt that ends where the assistant speaks.

    Follows what Hugging Face's `apply_chat_template` offers to templates: `raise_exception`, `strftime_now`, `tojson`,
    loop controls, trimmed blocks. A template that knows nothing of tools is told of them in the system message.

    Raises
    ------
    PromptError
        If the template refuses the messages or is broken.
    """
    try:
        if "tools" not in template:
            messages, tools = _tools_as_text(messages, tools), ()
        return _compiled(template).render(
            messages=list(messages),
            tools=list(tools) or None,
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=eos,
        )
    except PromptError:
        raise
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise PromptError(f"the model's chat template failed: {error}") from None


def _tools_as_text(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """Write tools, earlier calls and their results into the contents of messages."""
    written = [_calls_as_text(message) for message in messages]
    if not tools:
        return written
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    prompt = TOOL_PROMPT.format(tools=listed)
    if written and written[0]["role"] == "system":
        return [written[0] | {"content": f"{written[0]['content']}\n\n{prompt}"}, *written[1:]]
    return [{"role": "system", "content": prompt}, *written]


def _calls_as_text(message: Message) -> Message:
    if message.get("tool_calls"):
        calls = [
            json.dumps({key: call["function"][key] for key in ("name", "arguments")}, ensure_ascii=False)
            for call in message["tool_calls"]
        ]
        parts = [message["content"], *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)]
        return {"role": message["role"], "content": "\n".join(filter(None, parts))}
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>"}
    return message


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **kwargs: json.dumps(value, ensure_ascii=False, **kwargs)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return environment.from_string(template)


def _refuse(message: Any) -> None:
    raise PromptError(f"the model's chat template refuses these messages: {message}")

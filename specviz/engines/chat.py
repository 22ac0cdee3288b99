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

Message = dict[str, str]


def render_chat(template: str, messages: Sequence[Message], *, bos: str = "", eos: str = "") -> str:
    """Render messages to a prompt that ends where the assistant speaks.

    Follows what Hugging Face's `apply_chat_template` offers to templates: `raise_exception`, `strftime_now`, `tojson`,
    loop controls, trimmed blocks.

    Raises
    ------
    PromptError
        If the template refuses the messages or is broken.
    """
    try:
        return _compiled(template).render(
            messages=list(messages), add_generation_prompt=True, bos_token=bos, eos_token=eos
        )
    except PromptError:
        raise
    except (TemplateError, TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise PromptError(f"the model's chat template failed: {error}") from None


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

"""What a client is told when something is wrong, in OpenAI's shape."""

from __future__ import annotations

import re
from typing import Any

from specviz.engines.errors import (
    EngineCrashed,
    EngineError,
    EngineMissingError,
    IncompatibleDraftError,
    ModelFileError,
    PromptError,
)

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 500: "server_error"}


class ApiError(Exception):
    """An answer that is an error: `{"error": {"message", "type", "param", "code"}}`.

    Attributes
    ----------
    status : int
        Of HTTP.
    param : str or None
        The field of the request that is wrong.
    code : str or None
        One word for programs.
    retry_after : int or None
        Seconds after which it may be different.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message.encode("utf-8", "replace").decode())
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """What the client reads."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that go with it."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def api_error(error: BaseException, prompt: str = "prompt") -> ApiError:
    """Return what to tell a client of an exception; `prompt` names the field that carries it."""
    message = str(error)
    match error:
        case ApiError():
            return error
        case PromptError() if "JSON schema" in message:
            return ApiError(400, message, param="response_format", code="invalid_json_schema")
        case PromptError():
            code = "context_length_exceeded" if re.search(r"tokens, but the context of", message) else "invalid_prompt"
            return ApiError(400, message, param=prompt, code=code)
        case IncompatibleDraftError():
            return ApiError(400, message, param="draft_model", code="incompatible_draft")
        case ModelFileError():
            return ApiError(400, message, param="model", code="model_not_loadable")
        case EngineMissingError():
            return ApiError(400, message, param="model", code="engine_missing")
        case EngineCrashed():
            return ApiError(503, message, code="engine_crashed", retry_after=1)
        case EngineError():
            return ApiError(500, message, code="engine_error")
        case _:
            return ApiError(500, f"the server failed: {type(error).__name__}", code="internal_error")

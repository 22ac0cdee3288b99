"""Which kind of server answers at a URL: by what only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from specviz.engines.errors import EngineError
from specviz.engines.remote.http import Server
from specviz.engines.remote.llama_server import LlamaServer
from specviz.engines.remote.openai_like import VLLM, LMStudio

if TYPE_CHECKING:
    from specviz.engines.remote.client import RemoteEngine


def detect(server: Server, model: str | None, draft: str | None) -> RemoteEngine:
    """Ask a server who it is.

    Raises
    ------
    EngineError
        If nothing answers, it is none of those that are known, or it lacks the model.
    """
    props = _json(server, "/props")
    if "default_generation_settings" in props:
        if draft is not None:
            raise EngineError("llama-server was started with its draft: none can be chosen with a request")
        return LlamaServer(server, props)
    listed = _json(server, "/api/v0/models")
    if "data" in listed:
        ours = _json(server, "/openapi.json").get("info", {}).get("title") == "specviz"
        return LMStudio(server, None if ours and model is None else _chosen(listed, model), draft, ours=ours)
    version = _json(server, "/version").get("version")
    listed = _json(server, "/v1/models")
    if version and "data" in listed:
        return VLLM(server, _chosen(listed, model), str(version))
    raise EngineError(
        f"{server.url} is no llama-server, LM Studio, vLLM or `specviz serve`: its endpoints are not there"
    )


def _json(server: Server, path: str) -> dict[str, Any]:
    """Return an object that a GET gives; empty where there is none."""
    response = server.get(path)
    if response.status_code in (401, 403):
        raise EngineError(f"{server.url} wants another api_key ({response.status_code})")
    if not response.is_success:
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _chosen(listed: dict[str, Any], model: str | None) -> str:
    """Return the model that was named, or else the loaded one, or the first."""
    models = [one for one in listed["data"] if isinstance(one, dict) and one.get("type") not in ("embeddings",)]
    ids = [str(one["id"]) for one in models if "id" in one]
    if model is not None:
        if model not in ids:
            raise EngineError(f"the server has no model {model!r}; it has {', '.join(ids) or 'none'}")
        return model
    loaded = [str(one["id"]) for one in models if one.get("state") == "loaded"]
    if not ids:
        raise EngineError("the server has no model")
    return (loaded or ids)[0]

"""Every way to get a request wrong: a 4xx in OpenAI's shape that says what is wrong."""

import pytest

from specviz.models.index import shared_library
from tests.models.files import write_mlx
from tests.server.conftest import CHAT, DRAFT, MAIN
from tests.tiny import write_model

PATHS = ["/v1/chat/completions", "/api/v0/chat/completions"]


def error_of(reply, status):
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["message"]
    return error


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_model_lists_the_known_ones(http, path):
    error = error_of(http.post(path, json={**CHAT, "model": "llama"}), 404)
    assert error["code"] == "model_not_found" and error["param"] == "model"
    assert MAIN.name in error["message"] and DRAFT.name in error["message"]
    error = error_of(http.post(path, json={**CHAT, "draft_model": "llama"}), 404)
    assert error["param"] == "draft_model"


@pytest.mark.parametrize(
    "name", [str(MAIN.path), f"../{MAIN.path.name}", MAIN.path.name, "/etc/passwd", "a\0b", "é" * 5000]
)
def test_a_path_is_no_id(http, name):
    assert error_of(http.post(PATHS[0], json={**CHAT, "model": name}), 404)["code"] == "model_not_found"
    assert error_of(http.post(PATHS[0], json={**CHAT, "draft_model": name}), 404)["code"] == "model_not_found"


@pytest.fixture
def more_models(tmp_path, monkeypatch):
    """Two models that do not fit the demo's: one of other words, one of another engine."""
    from specviz.models.sources import FolderSource

    monkeypatch.setattr("specviz.server.catalogue.FRESH_SECONDS", 0)
    monkeypatch.setattr(shared_library(), "sources", [*shared_library().sources, FolderSource([tmp_path])])
    write_model(tmp_path / "tiny-llama.gguf", 1)
    write_mlx(tmp_path / "tiny-mlx-4bit")


def test_a_draft_that_does_not_fit(http, more_models):
    error = error_of(http.post(PATHS[0], json={**CHAT, "draft_model": "tiny-llama"}), 400)
    assert error["code"] == "incompatible_draft" and error["param"] == "draft_model"
    assert f"tiny-llama cannot draft for {MAIN.name}: their tokenizers are of different kinds" in error["message"]


def test_a_draft_of_another_engine(http, more_models):
    error = error_of(http.post(PATHS[0], json={**CHAT, "draft_model": "tiny-mlx-4bit"}), 400)
    assert "the draft is an MLX model and runs in MLX" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_context(http, stream):
    long = {"messages": [{"role": "user", "content": "word " * 3000}], "stream": stream}
    error = error_of(http.post(PATHS[0], json=long), 400)
    assert error["code"] == "context_length_exceeded" and error["param"] == "messages"
    assert "the prompt has 3,0" in error["message"] and "holds 2,048" in error["message"]
    error = error_of(http.post("/v1/completions", json={"prompt": "word " * 3000, "stream": stream}), 400)
    assert error["param"] == "prompt"


def test_a_prompt_that_nobody_would_read(http):
    error = error_of(http.post("/v1/completions", json={"prompt": "x" * 1_000_001}), 400)
    assert error["code"] == "context_length_exceeded" and "1,000,001 characters" in error["message"]


def test_a_body_over_the_limit(http):
    big = b"[" + b" " * (5 << 20) + b"]"
    assert error_of(http.post(PATHS[0], content=big, headers=JSON), 413)["code"] == "body_too_large"
    parts = (big[i : i + 65536] for i in range(0, len(big), 65536))
    assert error_of(http.post(PATHS[0], content=parts, headers=JSON), 413)["code"] == "body_too_large"


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body", ["", "{", "[1,", '{"messages": [}', "\xff", "NaN", "[" * 100_000, "1" * 10_000])
def test_malformed_json(http, body):
    error_of(http.post(PATHS[0], content=body.encode("latin-1"), headers=JSON), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_is_not_called_json(http, kind):
    error_of(http.post(PATHS[0], content=b"{}", headers={"Content-Type": kind}), 415)


TOOL = {"type": "function", "function": {"name": "add"}}


def schema(of):
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": of}}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": -7}, "max_completion_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 1e9}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -5}, "top_k"),
        ({"min_p": -1}, "min_p"),
        ({"repeat_penalty": 0}, "repeat_penalty"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"num_draft_tokens": -1}, "num_draft_tokens"),
        ({"num_draft_tokens": 65}, "num_draft_tokens"),
        ({"num_draft_tokens": "many"}, "num_draft_tokens"),
        ({"num_draft_tokens": 2, "n_min": 3}, "n_min"),
        ({"p_min": 1.5}, "p_min"),
        ({"n_min": -1}, "n_min"),
        ({"rule": "hope"}, "rule"),
        ({"draft_model": 7}, "draft_model"),
        ({"model": ["a"]}, "model"),
        ({"ttl": -1}, "ttl"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "retrieval", "function": {"name": "f"}}]}, "tools.0.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "required", "response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema"),
        ({"response_format": schema({"type": "unheard-of"})}, "response_format"),
        ({"response_format": schema({"$ref": "https://example.com/x.json"})}, "response_format"),
        ({"response_format": schema({"enum": ["x" * 70_000]})}, "response_format.json_schema"),
        ({"response_format": schema({}), "ignore_eos": True}, None),
    ],
)
def test_a_value_that_may_not_be(http, more, param):
    error = error_of(http.post(PATHS[0], json={**CHAT, "max_tokens": 2, **more}), 400)
    assert error["type"] == "invalid_request_error"
    if param is None:
        assert error["param"] is None
    else:
        assert error["param"].startswith(param)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(http, number):
    body = '{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "temperature": NUMBER}'.replace(
        "NUMBER", number
    )
    assert error_of(http.post(PATHS[0], content=body, headers=JSON), 400)["param"] == "temperature"


@pytest.mark.parametrize(
    "more",
    [{"prompt": ""}, {}, {"prompt": 5}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"prompt": "a", "echo": True}],
)
def test_a_completion_that_may_not_be(http, more):
    error_of(http.post("/v1/completions", json={"max_tokens": 2, **more}), 400)


def test_what_is_not_there(http):
    assert error_of(http.get("/v1/nothing"), 404)["code"] == "not_found"
    error_of(http.get(PATHS[0]), 405)
    error_of(http.post("/v1/models", json={}), 405)
    error_of(http.get("/v1/models/nothing"), 404)


def test_lone_surrogates_go_through(http):
    body = rb'{"messages": [{"role": "user", "content": "a\ud800b"}], "max_tokens": 2, "model": "\udcff"}'
    assert http.post(PATHS[0], content=body, headers=JSON).status_code in (400, 404)


def test_after_all_that_the_next_request_is_answered(http):
    assert http.post(PATHS[0], json={**CHAT, "max_tokens": 2}).status_code == 200

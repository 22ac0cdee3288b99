"""LM Studio's REST API, and curl as its announcements write it."""

import json
import shutil
import subprocess

import pytest

from tests.server.conftest import CHAT, DRAFT, MAIN

STATS = ["tokens_per_second", "time_to_first_token", "generation_time", "stop_reason"]
DRAFT_STATS = [
    "draft_model",
    "total_draft_tokens_count",
    "accepted_draft_tokens_count",
    "rejected_draft_tokens_count",
    "ignored_draft_tokens_count",
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_as_in_the_announcement(server):
    body = json.dumps({"model": MAIN.name, "draft_model": DRAFT.name, **CHAT, "max_tokens": 16})
    url = f"{server.url}/api/v0/chat/completions"
    command = ["curl", "--silent", "--fail", url, "-H", "Content-Type: application/json", "-d", body]
    answer = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    assert list(answer["stats"]) == [*STATS, *DRAFT_STATS]
    assert answer["stats"]["draft_model"] == DRAFT.name
    assert answer["model_info"] == {"arch": "llama", "quant": "Q4_0", "format": "gguf", "context_length": 2048}
    assert answer["runtime"]["name"] == "llama.cpp" and answer["runtime"]["supported_formats"] == ["gguf"]
    assert answer["choices"][0]["message"]["content"]


def test_without_a_draft_the_stats_are_the_plain_four(http):
    answer = http.post("/api/v0/chat/completions", json={**CHAT, "max_tokens": 4, "draft_model": ""}).json()
    assert list(answer["stats"]) == STATS


def test_max_tokens_minus_one_is_no_limit(http):
    asked = {"messages": [{"role": "user", "content": "Say hi."}], "max_tokens": -1, "temperature": 0}
    assert http.post("/api/v0/chat/completions", json=asked).json()["stats"]["stop_reason"] == "eosFound"


def test_a_stream_ends_with_stats_and_usage(http):
    with http.stream("POST", "/api/v0/chat/completions", json={**CHAT, "max_tokens": 6, "stream": True}) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in reply.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["stats"]["stop_reason"] == "maxPredictedTokensReached"
    assert chunks[-1]["usage"]["completion_tokens"] == 6
    assert chunks[-1]["model_info"]["quant"] == "Q4_0" and "runtime" in chunks[-1]


def test_a_text_completion(http):
    asked = {"prompt": "The meaning of life is", "max_tokens": 5, "stop": "\n"}
    answer = http.post("/api/v0/completions", json=asked).json()
    assert answer["object"] == "text_completion" and answer["choices"][0]["text"]
    assert {"stats", "model_info", "runtime", "usage", "specviz"} <= answer.keys()


def test_the_models(http):
    http.post("/api/v0/chat/completions", json={**CHAT, "max_tokens": 1, "draft_model": DRAFT.name})
    models = {model["id"]: model for model in http.get("/api/v0/models").json()["data"]}
    assert models[MAIN.name] == {
        "id": MAIN.name,
        "object": "model",
        "type": "llm",
        "publisher": "demo",
        "arch": "llama",
        "compatibility_type": "gguf",
        "quantization": "Q4_0",
        "state": "loaded",
        "max_context_length": 2048,
        "loaded_context_length": 2048,
    }
    assert models[DRAFT.name]["state"] == "loaded"
    assert http.get(f"/api/v0/models/{MAIN.name}").json() == models[MAIN.name]
    assert http.get("/api/v0/models/nothing").status_code == 404

"""Prometheus' numbers are the sums of the answers' statistics."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import CHAT, DRAFT, MAIN


def read(server):
    text = httpx.get(f"{server.url}/metrics").text
    return {
        (
            sample.name,
            *(sample.labels.get(key) for key in ("model_name", "position") if key in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_the_counters_add_up(start):
    server = start()
    fresh = read(server)
    assert fresh[("llamacpp:tokens_predicted_total",)] == fresh[("llamacpp:predicted_tokens_seconds",)] == 0
    answers = []
    for main in (MAIN, DRAFT, MAIN):
        body = {**CHAT, "model": main.name, "draft_model": DRAFT.name, "max_tokens": 24}
        answers.append(httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json())
    found = read(server)
    for model, own in ((MAIN.name, (answers[0], answers[2])), (DRAFT.name, answers[1:2])):
        for name, key in (("draft_tokens", "total"), ("accepted_tokens", "accepted")):
            counted = sum(answer["stats"][f"{key}_draft_tokens_count"] for answer in own)
            assert found[f"vllm:spec_decode_num_{name}_total", model] == counted > 0
        rounds = sum(answer["specviz"]["drafting_rounds"] for answer in own)
        assert found["vllm:spec_decode_num_drafts_total", model] == rounds
        assert found["vllm:generation_tokens_total", model] == sum(one["usage"]["completion_tokens"] for one in own)
        assert found["vllm:time_to_first_token_seconds_count", model] == len(own)
        for i in range(4):
            accepted = sum(one["specviz"]["per_position"][i]["accepted"] for one in own)
            assert found["vllm:spec_decode_num_accepted_tokens_per_pos_total", model, str(i)] == accepted
    for name in ("spec_decode_num_drafts", "spec_decode_num_draft_tokens", "spec_decode_num_accepted_tokens"):
        both = found[f"vllm:{name}_total", MAIN.name] + found[f"vllm:{name}_total", DRAFT.name]
        assert found[(f"llamacpp:{name}_total",)] == both
    seconds = sum(answer["stats"]["generation_time"] for answer in answers)
    assert found[("llamacpp:tokens_predicted_seconds_total",)] == pytest.approx(seconds)
    assert found[("llamacpp:predicted_tokens_seconds",)] == pytest.approx(72 / seconds)
    reused = sum(answer["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in answers)
    prompt = sum(answer["usage"]["prompt_tokens"] for answer in answers)
    assert found[("llamacpp:prompt_tokens_total",)] == prompt - reused > 0
    assert found[("llamacpp:requests_processing",)] == found[("llamacpp:requests_deferred",)] == 0

"""Answers that follow a JSON schema, drafted or not: the same text, and it does."""

import json

import pytest

import specviz as sv
from specviz.engines.errors import PromptError
from specviz.trace import Provenance, StopReason

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "colour": {"enum": ["red", "green", "blue"]},
        "sizes": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    },
    "required": ["name", "colour", "sizes"],
}
PROMPT = "Describe a shirt as JSON with name, colour and sizes."


def check(text):
    answer = json.loads(text)
    assert set(answer) == {"name", "colour", "sizes"}
    assert answer["colour"] in ("red", "green", "blue")
    assert 2 <= len(answer["sizes"]) <= 3 and all(type(size) is int for size in answer["sizes"])
    assert len(answer["name"]) <= 12


def test_greedy_text_is_that_of_plain_decoding_and_follows_the_schema(pair):
    plain = pair.generate(PROMPT, draft=None, json_schema=SCHEMA, max_tokens=120)
    assert plain.summary.stop_reason == StopReason.EOS_FOUND
    check(plain.text)
    free = pair.generate(PROMPT, max_tokens=120)
    with pytest.raises(json.JSONDecodeError):
        json.loads(free.text)
    for asked in ({"num_draft_tokens": 4}, {"num_draft_tokens": 8, "p_min": 0.3}, {"draft": "ngram"}):
        drafted = pair.generate(PROMPT, json_schema=json.dumps(SCHEMA), max_tokens=120, baseline_tokens=4, **asked)
        assert drafted.token_ids == plain.token_ids
    assert pair.generate(PROMPT, max_tokens=120).token_ids == free.token_ids, "nothing of it stays"


@pytest.mark.parametrize("rule", ["match", "rejection"])
def test_sampled_text_follows_it_too(quick_pair, rule):
    accepted = 0
    for seed in range(4):
        trace = quick_pair.generate(
            PROMPT, json_schema=SCHEMA, max_tokens=200, temperature=1.0, top_k=40, rule=rule, seed=seed
        )
        if trace.summary.stop_reason == StopReason.EOS_FOUND:
            check(trace.text)
        accepted += sum(token.provenance == Provenance.ACCEPTED for token in trace.tokens)
    assert accepted > 0


def test_any_json(quick_pair):
    json.loads(quick_pair.generate("Say something.", json_schema={"type": "array", "maxItems": 1}, max_tokens=60).text)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ('{"type": "object"', "not JSON"),
        ("[1]", "must be an object"),
    ],
)
def test_what_is_no_schema_is_refused_before_anything_runs(quick_pair, schema, reason):
    with pytest.raises(ValueError, match=reason):
        quick_pair.generate("Hello", json_schema=schema)
    with pytest.raises(ValueError, match="ignore_eos"):
        quick_pair.generate("Hello", json_schema="{}", ignore_eos=True)


@pytest.mark.parametrize(
    "schema", [{"$ref": "https://example.com/x.json"}, {"$ref": "#/nowhere/at/all"}, {"type": "unheard-of"}]
)
def test_a_schema_that_cannot_be_followed_is_an_error_in_words(quick_pair, schema):
    with pytest.raises(PromptError, match="the JSON schema cannot be followed"):
        quick_pair.generate("Hello", json_schema=schema, max_tokens=4)
    assert quick_pair.generate("Hello", max_tokens=4).token_ids


def test_mlx_says_that_it_has_no_grammars(tmp_path):
    from tests.engines.mlx.folders import write_model

    with sv.load(write_model(tmp_path / "main", 1), None) as plain, pytest.raises(PromptError, match=r"need llama.cpp"):
        plain.generate("abc", json_schema={})

"""OpenAI's own Python client, unchanged."""

import json

import openai
import pytest

from tests.server.conftest import CHAT, DRAFT, MAIN

ASKED = {"model": MAIN.name, "max_tokens": 24, **CHAT}


def test_the_models(client):
    ids = [model.id for model in client.models.list()]
    assert {MAIN.name, DRAFT.name} <= set(ids) and len(ids) == len(set(ids))
    assert client.models.retrieve(MAIN.name).id == MAIN.name


def test_a_chat_says_what_the_pair_says(client, quick_pair):
    expected = quick_pair.generate("Tell me a story", max_tokens=24)
    answer = client.chat.completions.create(**ASKED)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 24
    assert answer.usage.prompt_tokens == len(expected.header.prompt_ids)
    assert answer.usage.total_tokens == 24 + answer.usage.prompt_tokens


def test_an_answer_that_ends_by_itself(client):
    answer = client.chat.completions.create(model=MAIN.name, messages=[{"role": "user", "content": "Say hi."}])
    assert answer.choices[0].finish_reason == "stop" and answer.stats["stop_reason"] == "eosFound"


def test_a_stream_brings_the_same_text_in_parts(client):
    whole = client.chat.completions.create(**ASKED)
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:-1])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 24
    assert chunks[-1].stats["total_draft_tokens_count"] == whole.stats["total_draft_tokens_count"]
    assert len(chunks) > 4, "it comes round by round"


def test_usage_comes_only_if_it_is_asked_for(client):
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert all(chunk.choices for chunk in chunks) and all(chunk.usage is None for chunk in chunks)


def test_completions_continue_a_text(client, quick_pair):
    expected = quick_pair.generate("The capital of France is", raw=True, max_tokens=12)
    asked = {"model": MAIN.name, "prompt": "The capital of France is", "max_tokens": 12}
    assert client.completions.create(**asked).choices[0].text == expected.text
    assert client.completions.create(**asked | {"prompt": [asked["prompt"]]}).choices[0].text == expected.text
    stream = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == expected.text


def test_logprobs_are_the_traces(client, quick_pair):
    tokens = quick_pair.generate("Tell me a story", max_tokens=24).tokens
    answer = client.chat.completions.create(**ASKED, logprobs=True, top_logprobs=7)
    told = answer.choices[0].logprobs.content
    assert [token.token for token in told] == [token.text for token in tokens]
    assert [token.logprob for token in told] == pytest.approx([token.logprob for token in tokens], abs=1e-6)
    for token in told:
        assert len(token.top_logprobs) == 7
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob, abs=1e-4), "greedy: the best one was taken"
        assert bytes(token.bytes).decode() == token.token
    stream = client.chat.completions.create(**ASKED, logprobs=True, stream=True)
    parts = [token for chunk in stream if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert [token.logprob for token in parts] == pytest.approx([token.logprob for token in told])
    assert all(token.top_logprobs == [] for token in parts)


def test_logprobs_of_a_completion(client):
    answer = client.completions.create(model=MAIN.name, prompt="Once upon a time", max_tokens=10, logprobs=3)
    told = answer.choices[0].logprobs
    assert "".join(told.tokens) == answer.choices[0].text
    assert [
        answer.choices[0].text[at:].startswith(token) for at, token in zip(told.text_offset, told.tokens, strict=True)
    ]
    assert all(len(top) == 3 and max(top.values()) <= 0 for top in told.top_logprobs)


def test_without_logprobs_there_are_none(client):
    assert client.chat.completions.create(**ASKED).choices[0].logprobs is None


@pytest.mark.parametrize("stop", ["young", ["zzz", " young wo"]])
def test_a_stop_string_ends_the_answer_and_is_not_in_it(client, stop):
    whole = client.chat.completions.create(**ASKED).choices[0].message.content
    cut = min(whole.find(one) for one in ([stop] if isinstance(stop, str) else stop) if one in whole)
    answer = client.chat.completions.create(**ASKED, stop=stop, logprobs=True)
    assert answer.choices[0].message.content == whole[:cut] and answer.choices[0].finish_reason == "stop"
    assert answer.stats["stop_reason"] == "stopStringFound"
    stream = client.chat.completions.create(**ASKED, stop=stop, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole[:cut]
    assert "".join(token.token for token in answer.choices[0].logprobs.content).startswith(whole[:cut])


def test_a_seed_fixes_a_sampled_answer(client):
    def say(seed):
        asked = ASKED | {"temperature": 1.0, "top_p": 0.95, "seed": seed, "extra_body": {"top_k": 50, "min_p": 0.01}}
        return client.chat.completions.create(**asked).choices[0].message.content

    assert say(7) == say(7) != say(8)


def test_max_completion_tokens_goes_before_max_tokens(client):
    answer = client.chat.completions.create(**ASKED, max_completion_tokens=5)
    assert answer.usage.completion_tokens == 5


def test_content_in_parts_and_earlier_turns(client, quick_pair):
    parts = [{"type": "text", "text": "Tell me "}, {"type": "text", "text": "a story"}]
    answer = client.chat.completions.create(**ASKED | {"messages": [{"role": "user", "content": parts}]})
    assert answer.choices[0].message.content == quick_pair.generate("Tell me a story", max_tokens=24).text
    chat = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Name one fruit."},
        {"role": "assistant", "content": "Apple."},
        {"role": "user", "content": "Another one."},
    ]
    answer = client.chat.completions.create(**ASKED | {"messages": chat})
    plain = [chat[0] | {"role": "system"}, *chat[1:]]
    assert answer.choices[0].message.content == quick_pair.generate(plain, max_tokens=24).text


def test_the_draft_of_a_request(client):
    def say(**extra):
        return client.chat.completions.create(**ASKED, extra_body=extra)

    usual = say()
    assert usual.stats["draft_model"] == DRAFT.name and usual.stats["accepted_draft_tokens_count"] > 0
    for off in ("", None, "none"):
        plain = say(draft_model=off)
        assert plain.choices[0].message.content == usual.choices[0].message.content
        assert not plain.stats.keys() & {"draft_model", "total_draft_tokens_count"}
        assert plain.specviz["drafter"] == "none"
    lookup = say(draft_model="ngram")
    assert lookup.stats["draft_model"] == "ngram" and lookup.specviz["drafter"] == "ngram"
    other = say(draft_model=next(id for id in KNOWN(client) if "17m" in id))
    assert "17m" in other.stats["draft_model"]
    assert other.choices[0].message.content == usual.choices[0].message.content


def KNOWN(client):
    return [model.id for model in client.models.list()]


def test_draft_settings_of_a_request(client):
    def say(**extra):
        return client.chat.completions.create(**ASKED, extra_body=extra)

    assert max(say(num_draft_tokens=7).specviz["drafted_per_round"]) == 7
    assert say(num_draft_tokens=6, p_min=0.6).stats["ignored_draft_tokens_count"] > 0
    assert say(num_draft_tokens="auto").specviz["num_draft_tokens"] == "auto"
    assert say(rule="rejection", num_draft_tokens=3, n_min=1).specviz["rule"] == "rejection"
    assert say(num_draft_tokens=0).specviz["drafter"] == "none"


def test_the_statistics_add_up(client):
    answer = client.chat.completions.create(**ASKED)
    stats, more = answer.stats, answer.specviz
    assert stats["total_draft_tokens_count"] == sum(more["drafted_per_round"])
    assert stats["accepted_draft_tokens_count"] == sum(more["accepted_per_round"])
    assert stats["total_draft_tokens_count"] == sum(
        stats[f"{fate}_draft_tokens_count"] for fate in ("accepted", "rejected", "ignored")
    )
    assert len(more["accepted_per_round"]) == more["rounds"]
    assert more["mean_acceptance_length"] == pytest.approx(
        1 + stats["accepted_draft_tokens_count"] / more["drafting_rounds"]
    )
    assert 0 < more["alpha"] < 1 and stats["tokens_per_second"] > 0 and stats["time_to_first_token"] > 0


def test_errors_are_the_clients_exceptions(client):
    with pytest.raises(openai.NotFoundError, match=f"no model 'gpt-9'; there are: .*{MAIN.name}") as found:
        client.chat.completions.create(**ASKED | {"model": "gpt-9"})
    assert found.value.code == "model_not_found" and found.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(**ASKED, temperature=-1)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def called(city):
    call = {
        "id": "abc123def",
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
    }
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]


def test_tools_are_called_as_earlier_ones_were(client):
    """So small a model calls a tool only where it sees how: the third call follows two."""
    asked = {
        "model": next(id for id in KNOWN(client) if id.endswith("Q4_1")),
        "messages": [*called("Rome"), *called("Oslo"), {"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [WEATHER],
        "max_tokens": 60,
    }
    answer = client.chat.completions.create(**asked)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}
    assert answer.choices[0].finish_reason == "tool_calls" and answer.stats["stop_reason"] == "toolCalls"
    assert answer.choices[0].message.content is None
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    (streamed,) = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert streamed.function.arguments == call.function.arguments and streamed.index == 0
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    none = client.chat.completions.create(**asked, tool_choice="none")
    assert none.choices[0].message.tool_calls is None
    done = [*asked["messages"][:2], {"role": "tool", "tool_call_id": "abc123def", "content": "Sunny, 21 degrees."}]
    assert client.chat.completions.create(**asked | {"messages": done}).choices[0].message.role == "assistant"


def test_an_answer_that_follows_a_schema(client, quick_pair):
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "size": {"type": "integer"}},
        "required": ["colour", "size"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "shirt", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(**ASKED | {"max_tokens": 60}, response_format=wanted)
    text = answer.choices[0].message.content
    assert text == quick_pair.generate("Tell me a story", max_tokens=60, json_schema=schema).text
    found = json.loads(text)
    assert found.keys() == {"colour", "size"} and found["colour"] in ("red", "green") and type(found["size"]) is int
    assert answer.stats["total_draft_tokens_count"] > 0, "and it is drafted"


def test_an_answer_that_is_json(client):
    asked = ASKED | {"max_tokens": 200, "temperature": 0.8, "response_format": {"type": "json_object"}}
    for seed in range(5):
        answer = client.chat.completions.create(**asked, seed=seed).choices[0]
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer.message.content), dict)
            return
        assert answer.message.content.lstrip().startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_tool_that_must_be_called(client, choice):
    time = {"type": "function", "function": {"name": "get_time"}}
    tools = [WEATHER] if choice == "required" else [time, WEATHER]
    asked = ASKED | {"max_tokens": 80, "tools": tools, "tool_choice": choice}
    asked["messages"] = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat.completions.create(**asked)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather" and set(json.loads(call.function.arguments)) == {"city"}
    assert answer.choices[0].finish_reason == "tool_calls"

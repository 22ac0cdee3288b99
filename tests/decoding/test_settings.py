"""What may not be asked is refused in one sentence."""

import pytest

from specviz.decoding import MAX_DRAFT_TOKENS, check_settings


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"max_tokens": -1}, "max_tokens must be at least 1, got -1"),
        ({"temperature": -0.1}, "temperature must be from 0 to 100, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be from 0 to 100, got nan"),
        ({"num_draft_tokens": -1}, f"num_draft_tokens must be from 0 to {MAX_DRAFT_TOKENS}, got -1"),
        ({"num_draft_tokens": 10_000}, f"num_draft_tokens must be from 0 to {MAX_DRAFT_TOKENS}, got 10000"),
        ({"p_min": 1.5}, "p_min must be from 0 to 1, got 1.5"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"top_p": 2}, "top_p must be from 0 to 1, got 2.0"),
        ({"top_k": -1}, "top_k must be at least 0, got -1"),
        ({"min_p": -0.1}, "min_p must be from 0 to 1"),
        ({"repeat_penalty": 0}, "repeat_penalty must be from 0.01 to 100"),
        ({"rule": "guess"}, "rule must be match or rejection"),
        ({"seed": 2**32 - 1}, "seed must be from 0 to"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"stop": ("",)}, "a stop string must not be empty"),
    ],
)
def test_out_of_range(given, sentence):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        check_settings(**given)


def test_wrong_type_names_the_setting():
    with pytest.raises(TypeError, match="max_tokens"):
        check_settings(max_tokens="many")


def test_unknown_setting_names_those_that_exist():
    with pytest.raises(TypeError, match=r"unknown setting max_token; there are .*max_tokens"):
        check_settings(max_token=3)


def test_one_stop_string_needs_no_list():
    assert check_settings(stop="###").stop == ("###",)

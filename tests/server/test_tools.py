"""Tool calls in what models write, whole and in parts of any size."""

import json

import pytest

from specviz.engines.chat import render_chat
from specviz.server.tools import ToolCallParser, held_back, parse_calls, readable

CALL = '{"name": "add", "arguments": {"a": 1}}'
ADD = ("add", {"a": 1})
SUB = ("sub", {"b": [2, {"c": "é"}]})
WRITTEN_SUB = '{"name": "sub", "arguments": {"b": [2, {"c": "é"}]}}'

ANSWERS = [
    (f"<tool_call>\n{CALL}\n</tool_call>", "", [ADD]),
    (
        f"Let me see.\n<tool_call>{CALL}</tool_call>\n<tool_call>{WRITTEN_SUB}</tool_call>\n",
        "Let me see.\n",
        [ADD, SUB],
    ),
    (f"<tool_call>[{CALL}, {WRITTEN_SUB}]</tool_call>", "", [ADD, SUB]),
    (f"<tool_call>{CALL}", "", [ADD]),
    (f"<tool_call>{CALL}</tool_call> and more", " and more", [ADD]),
    (f"[TOOL_CALLS][{CALL}, {WRITTEN_SUB}]", "", [ADD, SUB]),
    (f" [TOOL_CALLS] {CALL}", " ", [ADD]),
    ('[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]sub[CALL_ID]x7[ARGS]{"b": [2, {"c": "é"}]}', "", [ADD, SUB]),
    ('{"name": "add", "parameters": {"a": 1}}', "", [ADD]),
    (
        '\n{"name": "add", "parameters": {"a": 1}}; {"name": "sub", "parameters": {"b": [2, {"c": "é"}]}}',
        "",
        [ADD, SUB],
    ),
    ('<|python_tag|>{"name": "add", "parameters": {"a": 1}}', "", [ADD]),
    ('{"type": "function", "function": {"name": "add", "arguments": "{\\"a\\": 1}"}}', "", [ADD]),
    (f"[TOOL_REQUEST]{CALL}[END_TOOL_REQUEST]", "", [ADD]),
    ("Plain text with a [bracket] and {a brace}.", "Plain text with a [bracket] and {a brace}.", []),
    ('{"name": "unknown", "parameters": {}}', '{"name": "unknown", "parameters": {}}', []),
    ('{"colour": "red"}', '{"colour": "red"}', []),
    ("[1, 2, 3]", "[1, 2, 3]", []),
    ("{not json", "{not json", []),
    ("<tool_call>not json</tool_call> then", "<tool_call>not json</tool_call> then", []),
    ('<tool_call>{"name": 5}</tool_call>', '<tool_call>{"name": 5}</tool_call>', []),
    (
        '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
        [],
    ),
    (f"<tool_call>{'[' * 100_000}</tool_call>", f"<tool_call>{'[' * 100_000}</tool_call>", []),
    ("a < b, [TOOL is no mark", "a < b, [TOOL is no mark", []),
    ("<tool_c", "<tool_c", []),
    ("  \n ", "  \n ", []),
    ("", "", []),
]


def split(answer, size):
    parser = ToolCallParser(["add", "sub"])
    parts = [parser.feed(answer[i : i + size]) for i in range(0, len(answer), size)]
    parts.append(parser.end())
    calls = [call for _, found in parts for call in found]
    assert len({call.id for call in calls}) == len(calls) and all(len(call.id) == 9 for call in calls)
    return "".join(said for said, _ in parts), [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize(("answer", "said", "calls"), ANSWERS, ids=range(len(ANSWERS)))
@pytest.mark.parametrize("size", [1, 2, 7, 10**9])
def test_every_known_format_in_parts_of_any_size(answer, said, calls, size):
    if len(answer) > 10_000 and size < 10_000:
        size = 9_999
    assert split(answer, size) == (said, calls)


def test_text_is_held_back_no_longer_than_it_may_become_a_call():
    parser = ToolCallParser(["add"])
    assert parser.feed("Hello ") == ("Hello ", [])
    assert parser.feed("<too") == ("", [])
    assert parser.feed("thbrush>") == ("<toothbrush>", [])


def test_what_may_become_a_mark():
    assert held_back("abc<to", ["<tool>"]) == 3
    assert held_back("abc<tool>", ["<tool>"]) == 0
    assert held_back("", ["x"]) == held_back("abc", []) == held_back("ab", ["b"]) == 0


def test_calls_need_a_name_and_an_object():
    assert [call.name for call in parse_calls(f"{CALL};{CALL}")] == ["add", "add"]
    for text in ("", "null", "5", '"add"', f"{CALL} trailing", '{"name": "", "arguments": {}}'):
        assert parse_calls(text) == []


def test_arguments_are_objects_for_templates():
    call = {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    broken = {"id": "y", "type": "function", "function": {"name": "add", "arguments": "{a"}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "", "tool_calls": [call, broken]}]
    done = readable(messages)
    assert done[0] == messages[0]
    assert [one["function"]["arguments"] for one in done[1]["tool_calls"]] == [{"a": 1}, "{a"]
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}', "what was given stays as it was"
    calls = "{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{# knows tools #}"
    assert render_chat(calls, done[1:]) == '{"a": 1}"{a"'


TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
ADD_TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
TURNS = [
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
    {"role": "tool", "content": "2", "tool_call_id": "x"},
]


def test_a_template_that_knows_nothing_of_tools_is_told_in_words():
    told = render_chat(TEMPLATE, TURNS, [ADD_TOOL])
    assert told.startswith("<system>You may call these functions") and json.dumps(ADD_TOOL) in told
    assert '<assistant><tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>' in told
    assert told.endswith("<user><tool_response>\n2\n</tool_response><assistant>")
    own = render_chat(TEMPLATE, [{"role": "system", "content": "Be brief."}, *TURNS], [ADD_TOOL])
    assert own.startswith("<system>Be brief.\n\nYou may call") and own.count("<system>") == 1
    assert render_chat(TEMPLATE, TURNS[:1]) == "<user>1+1?<assistant>"


def test_a_template_that_knows_tools_is_given_them():
    template = "{% if tools %}{{ tools | tojson }}{% endif %}{{ messages[-1].role }}"
    assert render_chat(template, TURNS, [ADD_TOOL]) == json.dumps([ADD_TOOL]) + "tool"
    assert render_chat(template, TURNS) == "tool"

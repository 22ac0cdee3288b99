"""Prompts, given or read from files."""

from pathlib import Path

import pytest

from specviz.lab.prompts import SEED_PROMPTS, LabPrompt, prompts_of, read_prompts


def test_prompts_are_read_from_both_layouts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "One"}\n\n{"question_id": 81, "category": "writing", "turns": ["Two", "Three"]}\n')
    assert read_prompts(file) == [LabPrompt("One"), LabPrompt("Two", "writing")]
    assert prompts_of(str(file)) == prompts_of(Path(file)) == read_prompts(file)


def test_what_may_be_given():
    assert [one.text for one in prompts_of(None)] == list(SEED_PROMPTS)
    assert prompts_of("Hello") == prompts_of(["Hello"]) == [LabPrompt("Hello")]
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert prompts_of([chat, LabPrompt("x", "maths")])[0].text == "Why?"
    with pytest.raises(ValueError, match="no prompts"):
        prompts_of([])


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "x"}', '{"turns": []}', '{"prompt": " "}', '{"turns": [3]}'])
def test_a_bad_line_is_named(tmp_path, line):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "One"}\n' + line)
    with pytest.raises(ValueError, match="line 2 of"):
        read_prompts(file)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="no prompts"):
        read_prompts(tmp_path / "none.jsonl")

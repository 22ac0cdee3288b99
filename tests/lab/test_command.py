"""`specviz audit`, and the files it reads prompts from."""

import json

import pytest

from specviz.cli import main
from specviz.lab.command import read_prompts


def test_prompts_are_read_from_both_layouts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "One"}\n\n{"question_id": 81, "category": "writing", "turns": ["Two", "Three"]}\n')
    assert read_prompts(file) == ["One", "Two"]


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


def test_the_command_prints_every_setting(tmp_path, capsys):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "Count to ten."}')
    asked = ["audit", "--main", "auto", "--draft", "12m", "--prompts", str(file), "--max-tokens", "24"]
    assert main([*asked, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 17 * 5
    assert all(row["accepted"] + row["rounds"] == row["tokens"] for row in rows)
    assert main(asked) == 0
    shown = capsys.readouterr().out
    of = next(row for row in rows if (row["num_draft_tokens"], row["p_min"]) == (4, 0.0))
    line = next(line.split() for line in shown.splitlines() if line.split()[:1] == ["4"])
    assert line[1] == f"{of['tokens_per_round']:.2f}"


def test_a_missing_file_is_one_line(capsys):
    assert main(["audit", "--prompts", "no-such-file.jsonl"]) == 1
    assert capsys.readouterr().err.count("\n") == 1

"""`specviz race`, `specviz audit`, `specviz sweep`."""

import json

import pytest

from specviz.cli import main
from specviz.models import demo_drafts

QUICK = {name: str(next(one.path for one in demo_drafts() if name in one.name)) for name in ("22m", "12m")}


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "Count to ten.", "category": "count"}\n{"prompt": "Name a colour."}\n')
    return str(file)


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
    assert main([*asked, "--markdown"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split("|")[1:2] == ["        4 "])
    assert line.split("|")[2].strip() == f"{of['tokens_per_round']:.2f}"


def test_a_race_ends_with_its_verdict(prompts, capsys):
    asked = ["race", "--main", QUICK["22m"], "--draft", QUICK["12m"], "--prompts", prompts, "--max-tokens", "12"]
    status = main(asked)
    *_, verdict = capsys.readouterr().out.strip().splitlines()
    assert status == (3 if "inside the noise" in verdict else 4 if "slower" in verdict else 0)
    assert main([*asked, "--json"]) in (0, 3, 4)
    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["category"] for row in rows] == ["count", ""]
    assert last["low"] <= last["speedup"] <= last["high"] and f"{last['speedup']:.2f}x" in last["verdict"]


def test_a_sweep_prints_the_leaders_and_goes_on_from_its_file(prompts, tmp_path, capsys):
    file = tmp_path / "sweep.jsonl"
    asked = ["sweep", "--main", QUICK["22m"], "--draft", QUICK["12m"], "--prompts", prompts, "--max-tokens", "8"]
    asked += ["--lengths", "2,3", "--cutoffs", "0,0.5", "--file", str(file)]
    assert main(asked) == 0
    assert len(file.read_text().splitlines()) == 2 * 2 * 2
    shown = capsys.readouterr().out
    assert shown.count("draft-12m") == 4
    assert main([*asked, "--markdown"]) == 0
    table = capsys.readouterr().out
    assert table.count("\n") == 2 + 2 + 1 and "| All prompts" in table and "Acceptance" in table
    assert len(file.read_text().splitlines()) == 8, "nothing was measured again"
    assert main([*asked[:-4], "--draft", "no-such-draft", "--lengths", "2"]) == 0
    assert "failed: no-such-draft" in capsys.readouterr().out


def test_a_missing_file_is_one_line(capsys):
    assert main(["audit", "--prompts", "no-such-file.jsonl"]) == 1
    assert capsys.readouterr().err.count("\n") == 1

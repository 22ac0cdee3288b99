"""`specviz models`, called as the command's parser calls it."""

from __future__ import annotations

import argparse
import json

import pytest

from specviz.models.command import add_models_command
from specviz.models.defaults import default_draft
from specviz.models.demo import demo_drafts, demo_mains
from specviz.models.library import ModelNotFoundError
from tests.models.files import WORDS, with_token, write_vocabulary
from tests.tiny import write_model


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command with a folder of models; return its status and what it printed."""
    (tmp_path / "models").mkdir()
    write_model(tmp_path / "models" / "tiny-a.gguf", 1)
    write_model(tmp_path / "models" / "tiny-b.gguf", 2)
    write_vocabulary(tmp_path / "models" / "words\x1b[2J.gguf")

    def run(*words):
        parser = argparse.ArgumentParser()
        add_models_command(parser.add_subparsers())
        arguments = parser.parse_args(["models", *map(str, words), "--folder", str(tmp_path / "models")])
        status = arguments.run(arguments)
        return status, capsys.readouterr().out

    return run


def test_list(run):
    status, text = run()
    rows = {row[0]: row for row in (line.split("\t") for line in text.splitlines())}
    assert status == 0 and "\x1b" not in text
    assert rows["tiny-a"] == ["tiny-a", "GGUF", "0 M", "F32", "0 MB", "30", "folder", ""]
    assert rows["SmolLM2-135M-Instruct.Q4_1"][1:] == ["GGUF", "135 M", "Q4_1", "98 MB", "49,152", "demo", ""]
    assert rows["words�[2J"][-1] == "vocabulary"


def test_list_as_json(run):
    cards = {card["name"]: card for card in json.loads(run("--json")[1])}
    assert cards["tiny-a"]["tokenizer"]["n_vocab"] == 30 and cards["tiny-a"]["damaged"] == ""


def test_check_by_name(run):
    status, text = run("check", "Q4_1", "draft-17m")
    assert status == 0
    assert text.splitlines() == [
        "SmolLM2-135M-Instruct-draft-17m.Q4_0 can draft for SmolLM2-135M-Instruct.Q4_1: "
        "their vocabularies are the same",
        "llama.cpp's rule: accepts the pair; MLX's rule: accepts the pair",
    ]
    status, text = run("check", "Q4_1", "tiny-a")
    assert status == 1 and "their vocabularies have 49,152 and 30 tokens" in text
    assert text.splitlines()[0] == "tiny-a cannot draft for SmolLM2-135M-Instruct.Q4_1:"


def test_check_by_path_as_json(run, tmp_path):
    paths = [
        write_vocabulary(tmp_path / "main.gguf"),
        write_vocabulary(tmp_path / "draft.gguf", with_token(3, "other")),
    ]
    status, text = run("check", *paths, "--json")
    verdict = json.loads(text)
    assert status == 0 and (verdict["strictness"], verdict["sizes"]) == ("rule", [len(WORDS)] * 2)
    assert verdict["first_difference"] == {"id": 3, "main": "w3", "draft": "other"}


def test_names_that_mean_none_or_several(run):
    with pytest.raises(ModelNotFoundError, match="'tiny' may mean several models: tiny-a, tiny-b"):
        run("check", "tiny", "Q4_1")
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'none such'.* words�"):
        run("check", "none such", "Q4_1")


def test_pairs(run):
    _, text = run("pairs")
    (line,) = [line for line in text.splitlines() if line.startswith("SmolLM2-135M-Instruct.Q4_1: ")]
    assert [name[-8:] for name in line.partition(": ")[2].split(", ")] == ["17m.Q4_0", "12m.Q4_0", "22m.Q4_0"]
    assert "tiny-a: no smaller model that fits" in text.splitlines()
    drafts = json.loads(run("pairs", "--json")[1])
    (tiny,) = [value for path, value in drafts.items() if path.endswith("tiny-a.gguf")]
    assert len(tiny) == 1 and tiny[0].endswith("tiny-b.gguf")


def test_default(run, tmp_path):
    copy = demo_mains()[1]
    assert run("default", "f16") == (0, "SmolLM2-135M-Instruct.F16: no default draft\n")
    twelve = next(model.path for model in demo_drafts() if "12m" in model.name)
    assert run("default", "f16", "12m") == (0, f"SmolLM2-135M-Instruct.F16: {twelve}\n")
    assert default_draft(copy.path) == str(twelve)
    assert json.loads(run("default", "F16", "--json")[1]) == {"main": str(copy.path), "draft": str(twelve)}
    assert run("default", "f16", "ngram")[1].endswith(": ngram\n")
    assert run("default", "f16", "none")[1].endswith(": none\n")
    assert run("default", "f16", "--clear")[1].endswith(": no default draft\n")
    assert default_draft(copy.path) is None


def test_a_default_among_the_users_models_is_found_by_name(run, tmp_path):
    assert run("default", "tiny-a", "tiny-b")[0] == 0
    assert default_draft(tmp_path / "models" / "tiny-a.gguf") == str(tmp_path / "models" / "tiny-b.gguf")


def test_a_default_that_does_not_fit_is_refused_with_the_reason(run):
    status, text = run("default", "q4_1", "tiny-a")
    assert status == 1 and default_draft(demo_mains()[0].path) is None
    assert text.splitlines()[0] == "tiny-a cannot draft for SmolLM2-135M-Instruct.Q4_1:"
    assert "- their vocabularies have 49,152 and 30 tokens" in text.splitlines()

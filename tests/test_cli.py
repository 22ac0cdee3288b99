"""The command, as a terminal, a pipe and a script see it."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

import specviz as sv
from specviz.models import demo_drafts

SMALL = next(str(model.path) for model in demo_drafts() if "22m" in model.name)
DRAFT = next(str(model.path) for model in demo_drafts() if "12m" in model.name)
COMMAND = [sys.executable, "-m", "specviz", "generate", "Tell me a story", "--main", SMALL, "--draft", DRAFT]


def run(*arguments, **options):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False, **options)


def in_terminal(*arguments):
    """Run the command with a pseudo-terminal as its output; return what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], stdout=theirs, env=os.environ | {"TERM": "xterm-256color"})
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    assert process.wait(60) == 0
    return written.decode()


def test_piped_it_prints_the_answer_without_colour_and_the_statistics_beside(quick_pair):
    done = run("--max-tokens", "30")
    assert done.returncode == 0, done.stderr
    expected = quick_pair.generate("Tell me a story", max_tokens=30)
    assert done.stdout == expected.text + "\n"
    assert "\x1b" not in done.stdout + done.stderr
    assert "Acceptance rate" in done.stderr


def test_in_a_terminal_the_tokens_are_coloured():
    written = in_terminal("--max-tokens", "30", "--show-rejected")
    assert "\x1b[4;38;" in written and re.search(r"\x1b\[[\d;]*9[;m]", written), "underlined, and struck through"
    assert "Acceptance rate" in written and "correction" in written


def test_json_is_one_object(quick_pair):
    done = run("--max-tokens", "20", "--json", "--p-min", "0.3", "--num-draft-tokens", "6")
    data = json.loads(done.stdout)
    expected = quick_pair.generate("Tell me a story", max_tokens=20, p_min=0.3, num_draft_tokens=6)
    assert data["text"] == expected.text and data["token_ids"] == expected.token_ids
    assert data["stats"]["total_draft_tokens_count"] == expected.stats.total_draft_tokens_count
    assert data["stats"]["stop_reason"] == "maxPredictedTokensReached"


def test_the_trace_is_saved(tmp_path):
    path = tmp_path / "t.jsonl"
    done = run("--max-tokens", "20", "--trace", str(path), "--temperature", "0.8", "--seed", "3")
    trace = sv.read_trace(path)
    assert trace.text + "\n" == done.stdout
    assert trace.header.settings.seed == 3


def test_the_prompt_may_come_from_a_pipe(quick_pair):
    command = [*COMMAND[:4], "-", *COMMAND[5:], "--max-tokens", "12"]
    done = subprocess.run(command, input="Say hi.", capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == quick_pair.generate("Say hi.", max_tokens=12).text + "\n"


def test_without_a_draft():
    done = run("--max-tokens", "8", "--json", "--draft", "none")
    assert json.loads(done.stdout)["stats"]["total_draft_tokens_count"] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--max-tokens", "0"], "max_tokens must be at least 1, got 0"),
        (["--temperature", "-1"], "temperature must be from 0 to 100"),
        (["--draft", "nowhere.gguf"], "there is no model file nowhere.gguf"),
        (["--threads", "0"], "n_threads must be at least 1"),
        (["--trace", "/nowhere/t.jsonl", "--max-tokens", "2"], "No such file or directory"),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("specviz: ") and sentence in last
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error_of_ours():
    command = " ".join(f"'{part}'" for part in [*COMMAND, "--max-tokens", "200"])
    done = subprocess.run(f"{command} | head -c 5", shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_the_automatic_length_and_lookup_can_be_asked_for(quick_pair):
    expected = quick_pair.generate("Tell me a story", max_tokens=24, draft=None).token_ids
    for settings in (["--num-draft-tokens", "auto"], ["--draft", "ngram"], ["--n-min", "2", "--entropy-max", "1.5"]):
        done = run("--max-tokens", "24", "--json", *settings)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["token_ids"] == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--num-draft-tokens", "many"], "invalid draft_length value: 'many'"),
        (["--num-draft-tokens", "10000"], "num_draft_tokens must be from 0 to 64, got 10000"),
        (["--num-draft-tokens", "auto", "--p-min", "0.5"], "p_min, n_min and entropy_max need a draft length"),
        (["--temperature", "-1"], "temperature must be from 0 to 100, got -1.0"),
        (["--top-p", "2"], "top_p must be from 0 to 1, got 2.0"),
        (["--seed", "99999999999"], "seed must be from 0 to"),
    ],
)
def test_bad_settings_are_one_sentence_before_any_model_runs(arguments, sentence):
    done = run(*arguments)
    assert done.returncode != 0 and done.stdout == ""
    assert sentence in done.stderr.strip().splitlines()[-1]

"""Sweeps: every cell once, whatever happens in between."""

import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import specviz as sv
from specviz.lab.report import ALL_PROMPTS, HEAD, Report, Run
from tests.killed_sweep import PROMPTS, QUICK, sweep_and_kill

GRID = {"num_draft_tokens": (2, 4), "p_min": (0.0, 0.5)}
N_CELLS = 3 * 2 * 2


def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path):
    kept = sweep_and_kill(tmp_path, GRID, kills=3, seed=6)
    file = tmp_path / "sweep.jsonl"
    report = sv.sweep([QUICK], PROMPTS, GRID, file=file, max_tokens=6, progress=False)
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == len(report.runs) == N_CELLS
    assert file.read_bytes().startswith(kept) and not report.failures
    frame = report.frame()
    assert len(frame.drop_duplicates(["prompt", "num_draft_tokens", "p_min"])) == N_CELLS


def test_failures_are_recorded_and_skipped(tmp_path):
    file = tmp_path / "sweep.jsonl"
    pairs = [QUICK, (QUICK[0], "no-such-draft"), (QUICK[0], "none")]
    report = sv.sweep(pairs, "Hello", {"num_draft_tokens": (2,)}, file=file, max_tokens=4, progress=False)
    assert [bool(run.error) for run in report.runs] == [False, True, True]
    assert "ModelNotFoundError" in report.failures[0].error and "no draft" in report.failures[1].error
    assert "2 failed" in repr(report) and len(report.leaderboard()) == 1
    frame = report.frame()
    assert frame.speedup.isna().tolist() == [False, True, True]


def test_it_runs_on_an_executor_and_on_dask():
    from distributed import Client, LocalCluster

    asked = {"max_tokens": 4, "progress": False}
    expected = sv.sweep([QUICK], PROMPTS[:2], GRID, **asked).frame()
    with ThreadPoolExecutor(1) as executor:
        threaded = sv.sweep([QUICK], PROMPTS[:2], GRID, executor=executor, **asked).frame()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        spread = sv.sweep([QUICK], PROMPTS[:2], GRID, executor=client.get_executor(), **asked).frame()
    exact = ["main", "draft", "prompt", "num_draft_tokens", "p_min", "tokens", "acceptance_rate", "tokens_per_round"]
    for other in (threaded, spread):
        pd.testing.assert_frame_equal(other[exact], expected[exact])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pairs": []}, "no pairs"),
        ({"grid": {"p_min": (2.0,)}}, "p_min must be"),
        ({"prompts": []}, "no prompts"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(arguments, error):
    with pytest.raises(ValueError, match=error):
        sv.sweep(**{"pairs": [QUICK], "progress": False} | arguments)


def test_a_file_of_something_else_is_refused(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"text": "mine"}\n')
    with pytest.raises(ValueError, match=r"line 1 of .* is not of a sweep"):
        sv.sweep([QUICK], "Hello", file=file, progress=False)
    assert file.read_text() == '{"text": "mine"}\n'


def run(main, draft, prompt, length, ratio, memory, **more):
    return Run(
        key=f"{main}{draft}{prompt}{length}",
        main=main,
        draft=draft,
        prompt=prompt,
        settings={"num_draft_tokens": length, "seed": 0, "max_tokens": 128},
        seconds=(0.02 / ratio, 0.02 / ratio),
        plain_seconds=(0.02, 0.02),
        n_tokens=100,
        accepted=60,
        drafted=100,
        rounds=40,
        memory_bytes=memory,
        **more,
    )


@pytest.fixture
def report():
    runs = [
        run(f"big.{quant}", draft, prompt, length, ratio * (1 + 0.02 * n), memory)
        for quant, draft, length, ratio, memory in (
            ("Q4", "small", 2, 1.2, 100),
            ("Q4", "small", 4, 1.4, 100),
            ("Q4", "smaller", 4, 1.1, 80),
            ("Q8", "small", 4, 1.3, 150),
        )
        for n, prompt in enumerate(("One", "T|wo <b>"))
    ]
    return Report([*runs, run("big.Q4", "broken", "One", 4, 1.0, 0, error="EngineError: it broke")])


def test_the_leaderboard_and_what_is_worth_its_memory(report):
    board = report.leaderboard()
    assert board.speedup.round(1).tolist() == [1.4, 1.3, 1.2, 1.1] and (board.prompts == 2).all()
    assert (board.low < board.speedup).all() and (board.speedup < board.high).all()
    assert report.pareto().draft.tolist() == ["small", "smaller"], "Q8 takes more memory and is slower"


def test_the_table_of_the_announcement(report):
    markdown = report.table()
    head, _, *lines = markdown.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == list(HEAD)
    assert len(lines) == 3 * 3, "each pair at its best setting: two prompts and all of them"
    assert sum(ALL_PROMPTS in line for line in lines) == 3 and "1.40x" in markdown and "1.20x" not in markdown
    assert "T\\|wo" in markdown and "60 %" in markdown and "50.0 tok/s" in markdown
    page = report.table("html")
    assert page.count("<tr") == 10 and "<b>" not in page and page == report._repr_html_()
    latex = report.table("latex")
    assert latex.startswith("\\begin{tabular}") and latex.count("1.40x") == 1 and "60 \\%" in latex
    with pytest.raises(ValueError, match="markdown, html or latex"):
        report.table("word")


def test_a_report_of_failures_only_is_empty():
    empty = Report([run("big", "broken", "One", 4, 1.0, 0, error="x")])
    assert not len(empty.leaderboard()) and not len(empty.pareto())
    assert empty.table().count("\n") == 1 and "1 failed" in repr(empty)

"""A race watched in JupyterLab: to its end, stopped, reloaded in the middle, and without a draft."""

import json
import re

import pytest

from specviz.models import demo_drafts
from tests.browser.dashboard import kernel_value, test_id, wait_until

PROMPTS = ["Tell me a story", "Why does it rain?"]
BLOCKS = ".sv-race-blocks i"
STOP_WHEN_ASKED = """
def get_state(*args, made=track.get_state, **kwargs):
    state = made(*args, **kwargs)
    phases.append(state["snapshot"]["state"]["phase"])
    if len(phases) == 2:
        track.stop(), track.wait(30)
    return state


phases, track.get_state = [], get_state
"""
"""Ends the race after a reloading page was given its snapshot (ipywidgets makes it twice), before it can listen."""


@pytest.fixture
def race(lab, open_notebook):
    """Open a notebook with a race of the quick pair, named by its files: other tests leave MLX copies of it about."""
    main, draft = (str(m.path) for size in ("22m", "12m") for m in demo_drafts() if size in m.name)

    def open_race(**settings):
        arguments = {"draft": draft, "max_tokens": 32} | settings
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        name = lab.write(
            "race.ipynb", f"import specviz as sv\ntrack = sv.RaceTrack({main!r}, {PROMPTS}, {given})\ntrack"
        )
        notebook = open_notebook(name)
        if notebook.page.locator(".jp-FileBrowser:visible").count():
            notebook.command("application:toggle-left-area")
        notebook.run(0)
        notebook.page.wait_for_selector(test_id("race-start"))
        return notebook

    return open_race


def status(page):
    return page.inner_text(test_id("race-status"))


def run_number(page):
    """Number of the timed run that is under way; 0: none."""
    found = re.search(r"run (\d+) of", status(page))
    return int(found[1]) if found else 0


def lane(page, way):
    return page.locator(test_id(f"lane-{way}"))


def table(page):
    """Every prompt and its ratio, as the page has them."""
    return [row.split("\n")[:2] for row in page.locator(test_id("race-prompt")).all_inner_texts()]


def raced(notebook):
    """The same of the prompts that are done, and the speedup, as the kernel has them."""
    rows = kernel_value(
        notebook, "__import__('json').dumps([[h.prompt.text, f'{h.speedup():.2f}×'] for h in track.result.heats])"
    )
    return json.loads(rows), kernel_value(notebook, "f'{track.result.interval().ratio:.2f}×'")


def test_a_race_to_its_end(race):
    notebook = race()
    page = notebook.page
    assert status(page) == "Ready"
    rows = page.locator(test_id("race-prompt"))
    assert [row.split("\n")[0] for row in rows.all_inner_texts()] == PROMPTS
    page.click(test_id("race-start"))
    wait_until(page, lambda: "Prompt 2 of 2" in status(page), seconds=180)
    wait_until(page, lambda: status(page) == "Finished: 2 prompts", seconds=60)
    for way in ("plain", "speculative"):
        wait_until(page, lambda way=way: lane(page, way).get_attribute("data-badge") == "")
        n = lane(page, way).locator(BLOCKS).count()
        assert f"{n} tokens" in lane(page, way).inner_text() and 1 < n <= 32
    kinds = page.eval_on_selector_all(f"{test_id('lane-plain')} {BLOCKS}", "all => all.map(e => e.dataset.kind)")
    assert set(kinds) == {"p"}
    kinds = page.eval_on_selector_all(f"{test_id('lane-speculative')} {BLOCKS}", "all => all.map(e => e.dataset.kind)")
    assert {"a", "c"} <= set(kinds)
    verdict = kernel_value(notebook, "track.result.verdict")
    assert page.inner_text(test_id("race-verdict")).lower().endswith(verdict.replace("`", "").lower())
    speedup = float(kernel_value(notebook, "str(track.result.interval().ratio)"))
    wait_until(page, lambda: page.inner_text(test_id("race-speedup")) == f"{speedup:.2f}×")
    assert page.locator(".sv-race-dot").count() == 2 and page.locator(test_id("race-mean")).count() == 1
    notebook.gallery("race")
    assert not page.locator(".specviz-static").is_visible()
    html = "".join(output.data.get("text/html", "") for output in notebook.save().cells[0].outputs)
    assert verdict.split(":")[0] in html and all(prompt in html for prompt in PROMPTS) and "<script" not in html
    assert not notebook.errors


def test_stop_in_the_middle_and_start_again(race):
    notebook = race(max_tokens=400, repeats=30, ignore_eos=True)
    page = notebook.page
    page.click(test_id("race-start"))
    wait_until(page, lambda: run_number(page) > 1, seconds=60)
    notebook.gallery("race-live")
    page.click(test_id("race-stop"))
    wait_until(page, lambda: status(page) == "Stopped after 0 of 2 prompts")
    wait_until(page, lambda: kernel_value(notebook, "track.phase") == "stopped")
    assert page.is_disabled(test_id("race-stop")) and page.is_enabled(test_id("race-start"))
    page.click(test_id("race-start"))
    wait_until(page, lambda: page.is_enabled(test_id("race-stop")), seconds=60)
    assert page.is_disabled(test_id("race-start"))
    page.keyboard.press("Control+.")
    wait_until(page, lambda: "Stopped" in status(page), seconds=60)
    assert not notebook.errors


def test_reload_in_the_middle_finds_the_race_again_and_its_end(race):
    notebook = race(max_tokens=64, repeats=16, ignore_eos=True)
    page = notebook.page
    page.click(test_id("race-start"))
    wait_until(page, lambda: run_number(page) > 1 and lane(page, "plain").locator(BLOCKS).count() > 20, seconds=60)
    before = run_number(page)
    notebook.save()
    notebook.reload()
    page.wait_for_selector(f"{test_id('lane-speculative')} {BLOCKS}", state="attached")
    wait_until(page, lambda: run_number(page) > before, seconds=60)
    assert page.inner_text(test_id("race-speedup")) != "—"
    assert lane(page, "plain").locator(BLOCKS).count() > 0
    wait_until(page, lambda: status(page) == "Finished: 2 prompts", seconds=300)
    rows, speedup = raced(notebook)
    assert table(page) == rows and [prompt for prompt, _ in rows] == PROMPTS
    wait_until(page, lambda: page.inner_text(test_id("race-speedup")) == speedup)
    verdict = kernel_value(notebook, "track.result.verdict")
    assert page.inner_text(test_id("race-verdict")).lower().endswith(verdict.replace("`", "").lower())
    for way in ("plain", "speculative"):
        assert lane(page, way).locator(BLOCKS).count() == 64
    assert not notebook.errors


def test_an_end_before_a_reloaded_page_listens_is_told(race):
    notebook = race(max_tokens=64, repeats=16, ignore_eos=True)
    page = notebook.page
    page.click(test_id("race-start"))
    wait_until(page, lambda: "Prompt 2 of 2" in status(page), seconds=180)
    kernel_value(notebook, f"str(exec({STOP_WHEN_ASKED!r}))")
    notebook.save()
    notebook.reload()
    wait_until(page, lambda: page.locator(test_id("race")).count() and "2 of 2" not in status(page))
    assert kernel_value(notebook, "str(phases)") in ("['warming', 'warming']", "['racing', 'racing']")
    assert status(page) == "Stopped after 1 of 2 prompts" and page.is_enabled(test_id("race-start"))
    rows, _ = raced(notebook)
    assert table(page) == [*rows, [PROMPTS[1], "—"]] and rows[0][0] == PROMPTS[0]
    assert not notebook.errors


def test_a_race_without_a_draft_says_so(race):
    notebook = race(draft=None)
    page = notebook.page
    page.click(test_id("race-start"))
    wait_until(page, lambda: page.locator(test_id("race-banner")).is_visible(), seconds=60)
    assert "A race needs a pair with a draft" in page.inner_text(test_id("race-banner"))
    assert status(page) == "Something went wrong" and page.is_enabled(test_id("race-start"))
    assert not notebook.errors

"""What a person sees in the quickstart, opened in JupyterLab; what holds for every engine is in test_engines.py."""

import os
import signal

import psutil

from tests.browser.dashboard import STREAM, TOKENS, generate, long_run, points, test_id, tokens, wait_until


def test_finished_with_rejected_tokens_shown_in_place(quickstart):
    page = quickstart.page
    generate(page, 160)
    dropped = page.locator(f"{STREAM} [data-fate]")
    assert dropped.count() > 10 and not dropped.first.is_visible()
    page.click(test_id("toggle-rejected"))
    page.wait_for_timeout(300)
    assert page.locator(f"{STREAM} [data-fate]:visible").count() > 10
    quickstart.gallery("finished")
    assert not quickstart.errors


def test_the_length_chosen_automatically(quickstart):
    page = quickstart.page
    page.click(test_id("auto-length"))
    assert page.is_disabled(test_id("num-draft-tokens")) and page.is_disabled(test_id("p-min-slider"))
    generate(page, 60)
    assert page.locator(TOKENS).count() == 60
    assert "draft length auto" in page.inner_text(test_id("run-info"))
    page.fill(test_id("temperature"), "0.8")
    page.select_option(test_id("rule"), "rejection")
    quickstart.gallery("auto")
    assert not quickstart.errors


def test_a_draft_without_a_model(quickstart):
    page = quickstart.page
    quickstart.choose("draft", "n-gram")
    page.fill(test_id("prompt"), "Repeat three times: The quick brown fox jumps over the lazy dog.")
    generate(page, 60)
    assert "n-gram lookup · draft length 4" in page.inner_text(test_id("run-info"))
    assert {"a", "p"} <= {kind for _, kind, _ in tokens(page)}
    quickstart.gallery("ngram")
    assert not quickstart.errors


def test_killing_the_kernel_leaves_no_host(quickstart):
    page = quickstart.page
    long_run(page)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 20)
    kernel = quickstart.kernel_pid()
    host = next(p for p in psutil.Process(kernel).children() if "specviz.engines.host" in p.cmdline())
    os.kill(kernel, signal.SIGKILL)
    host.wait(10)


def test_a_saved_notebook_shows_the_result_without_javascript(quickstart):
    page = quickstart.page
    generate(page, 40)
    page.wait_for_timeout(1000)
    assert page.locator(".specviz-static").count() == 1
    assert not page.locator(".specviz-static").is_visible(), "the live view stands there already"
    outputs = quickstart.save().cells[1].outputs
    html = "".join(output.data.get("text/html", "") for output in outputs)
    assert "Pythagorean" in html and "<u style=" in html and "data:image/svg+xml" in html and "<script" not in html


def test_parts_in_a_layout_of_ones_own(lab, open_notebook):
    name = lab.write(
        "parts.ipynb",
        "import ipywidgets, specviz as sv\n"
        "from specviz.models import demo_drafts\n"
        "feed = sv.Feed()\n"
        "plots = ipywidgets.HBox([sv.AcceptancePlot(feed), sv.SpeedupPlot(feed)])\n"
        "ipywidgets.VBox([sv.TokenStream(feed, show_rejected=True), plots])",
        "pair = sv.load('q4_1', '12m')\n"
        "_ = feed.follow(pair.stream('Plan a 1 day trip to DC', max_tokens=80, baseline_tokens=8))",
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    page.wait_for_selector(STREAM)
    notebook.run(1)
    wait_until(page, lambda: page.locator(TOKENS).count() == 80)
    wait_until(page, lambda: points(page, "acceptance") > 10 and points(page, "speedup") > 10)
    notebook.shot("parts-light-1400")
    assert page.locator(f"{STREAM} [data-fate]:visible").count() > 3
    assert not notebook.errors

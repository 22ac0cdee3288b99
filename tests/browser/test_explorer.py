"""What a person sees: the quickstart, opened in JupyterLab, generating, stopped, reloaded, crashed."""

import os
import re
import signal
import time

import psutil
import pytest

STREAM = "[data-testid=stream]"
TOKENS = f"{STREAM} [data-i]"


def test_id(name):
    return f"[data-testid={name}]"


test_id.__test__ = False


def tokens(page):
    """Index, kind and text of every output token that is drawn."""
    return page.eval_on_selector_all(
        TOKENS, "all => all.map(e => [Number(e.dataset.i), e.dataset.kind, e.textContent])"
    )


def wait_until(page, condition, seconds=30.0, step=25):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        page.wait_for_timeout(step)


def points(page, plot):
    return int(page.get_attribute(test_id(f"plot-{plot}"), "data-points"))


def long_run(page, max_tokens=1200):
    """Ask for a long answer in the dashboard's own controls."""
    page.fill(test_id("max-tokens"), str(max_tokens))
    page.press(test_id("max-tokens"), "Tab")
    box = page.locator(test_id("ignore-eos"))
    if not box.is_checked():
        box.click()


def generate(page, max_tokens):
    """Generate to the end in the dashboard as it is set."""
    page.fill(test_id("max-tokens"), str(max_tokens))
    page.press(test_id("max-tokens"), "Tab")
    page.click(test_id("generate"))
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")))


@pytest.fixture
def quickstart(open_notebook):
    """The quickstart, its first code cell run."""
    notebook = open_notebook("01-quickstart.ipynb")
    notebook.command("application:toggle-left-area") if notebook.page.locator(
        ".jp-FileBrowser:visible"
    ).count() else None
    notebook.run(1)
    notebook.page.wait_for_selector(test_id("generate"))
    return notebook


def test_generate_watch_stop(quickstart):
    page = quickstart.page
    long_run(page)
    quickstart.gallery("idle")
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 40)
    seen = [(page.locator(TOKENS).count(), points(page, "acceptance"), points(page, "speedup"))]
    while len(seen) < 4:
        page.wait_for_timeout(700)
        seen.append((page.locator(TOKENS).count(), points(page, "acceptance"), points(page, "speedup")))
    counts, acceptance, speedup = zip(*seen, strict=True)
    for column in (counts, acceptance, speedup):
        assert list(column) == sorted(set(column)), f"moves while tokens arrive: {column}"
    kinds = {kind for _, kind, _ in tokens(page)}
    assert {"a", "c"} <= kinds
    colours = page.evaluate(
        """() => ['a', 'c'].map(kind => getComputedStyle(
            document.querySelector(`[data-testid=stream] [data-i][data-kind=${kind}]`)).backgroundColor)"""
    )
    assert len(set(colours)) == 2 and "rgba(0, 0, 0, 0)" not in colours
    assert re.search(r"\d", page.inner_text(test_id("tile-speedup")))
    assert re.search(r"against [\d.]+ tok/s plain: 16 tokens", page.inner_text(test_id("baseline")))

    pressed = time.monotonic()
    page.click(test_id("stop"))
    page.wait_for_function("document.querySelector('[data-testid=generate]').disabled === false")
    stopped = time.monotonic() - pressed
    n = page.locator(TOKENS).count()
    page.wait_for_timeout(600)
    assert page.locator(TOKENS).count() == n < 1200
    assert stopped < 1.0, f"stopped after {stopped:.2f} s"
    assert "topped" in page.inner_text(test_id("status"))
    quickstart.gallery("stopped")
    assert not quickstart.errors


def test_while_it_generates_in_both_themes_and_widths(quickstart):
    page = quickstart.page
    long_run(page, 3000)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 60)
    quickstart.gallery("generating")
    assert page.locator(TOKENS).count() < 3000, "still at it"
    page.click(test_id("stop"))


def test_reload_in_mid_stream_finds_every_token_again_in_order(quickstart):
    page = quickstart.page
    long_run(page)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 150)
    before = tokens(page)
    quickstart.save()
    quickstart.reload()
    page.wait_for_selector(TOKENS)
    restored = tokens(page)
    assert len(restored) < 1200, "the reload was to be in mid-stream"
    assert restored[: len(before)] == before
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")), seconds=120, step=200)
    drawn = tokens(page)
    assert [index for index, _, _ in drawn] == list(range(1200))
    kernel_text = kernel_value(quickstart, "''.join(t.text for t in explorer.trace.tokens)")
    assert "".join(text for _, _, text in drawn).replace("\n", "") == kernel_text.replace("\n", "")
    assert points(page, "acceptance") > 50
    assert not quickstart.errors


def kernel_value(notebook, expression):
    """Evaluate an expression in the notebook's kernel."""
    notebook.page.evaluate(
        """async (code) => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code, store_history: false});
            window.specvizValue = '';
            future.onIOPub = (m) => { if (m.header.msg_type === 'stream') window.specvizValue += m.content.text; };
            await future.done;
        }""",
        f"import sys; _ = sys.stdout.write({expression})",
    )
    return notebook.page.evaluate("window.specvizValue")


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


def test_continue_adds_to_the_text(quickstart):
    page = quickstart.page
    generate(page, 24)
    first = tokens(page)
    page.click(test_id("continue"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 48 and "inish" in page.inner_text(test_id("status")))
    assert tokens(page)[:24] == first


def test_a_killed_host_is_told_the_kernel_lives_and_generate_works_again(quickstart):
    page = quickstart.page
    long_run(page)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 40)
    kernel = quickstart.kernel_pid()
    host = next(p for p in psutil.Process(kernel).children() if "specviz.engines.host" in p.cmdline())
    os.kill(host.pid, signal.SIGKILL)
    page.wait_for_selector(f"{test_id('banner')}:visible")
    assert "SIGKILL" in page.inner_text(test_id("banner"))
    quickstart.gallery("crashed")
    kept = page.locator(TOKENS).count()
    assert kept > 40
    assert quickstart.kernel_pid() == kernel
    page.fill(test_id("max-tokens"), "30")
    page.press(test_id("max-tokens"), "Tab")
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 30 and "inish" in page.inner_text(test_id("status")))
    assert not page.locator(test_id("banner")).is_visible()


def test_killing_the_kernel_leaves_no_host(quickstart):
    page = quickstart.page
    long_run(page)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 20)
    kernel = quickstart.kernel_pid()
    host = next(p for p in psutil.Process(kernel).children() if "specviz.engines.host" in p.cmdline())
    os.kill(kernel, signal.SIGKILL)
    host.wait(10)


def test_the_quickstart_runs_top_to_bottom(open_notebook):
    notebook = open_notebook("01-quickstart.ipynb")
    page = notebook.page
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_timeout(1500)
    waiting = "c => c.promptNode?.textContent.includes('*')"
    page.wait_for_function(f"!jupyterapp.shell.currentWidget.content.widgets.some({waiting})", timeout=120_000)
    saved = notebook.save()
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    errors = [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not errors
    printed = "".join(
        output.get("text", "") for cell in code for output in cell.outputs if output.output_type == "stream"
    )
    assert "same tokens: True" in printed


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

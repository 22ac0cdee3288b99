"""The dashboard on every engine: watched, stopped, reloaded, crashed, continued; and traces side by side."""

import os
import re
import signal
import time
from dataclasses import dataclass

import psutil
import pytest

from specviz.models import demo_drafts
from specviz.models.convert import convert
from tests.browser.dashboard import (
    STREAM,
    TOKENS,
    generate,
    kernel_value,
    long_run,
    points,
    test_id,
    tokens,
    wait_until,
)
from tests.browser.lab import Notebook


@dataclass
class Dashboard:
    """An Explorer in a notebook, as the variable `explorer`."""

    notebook: Notebook
    many: int
    """Tokens that take its engine half a minute or less, and more than a second."""
    shots: str = ""
    """What the names of its screenshots begin with."""


@pytest.fixture(scope="module")
def mlx_pair(lab):
    """MLX copies of the 22m and the 12m draft, among the user's models: a pair that MLX runs quickly."""
    pytest.importorskip("mlx_lm", reason="MLX is not made for this machine")
    copies = []
    for size in ("22m", "12m"):
        source = next(model for model in demo_drafts() if size in model.name)
        copies.append(lab.models / f"{source.name}-MLX")
        convert(source.path, copies[-1])
    return copies


@pytest.fixture(params=["llama.cpp", "MLX"])
def dashboard(request, lab, open_notebook):
    if request.param == "llama.cpp":
        return Dashboard(request.getfixturevalue("quickstart"), many=1200)
    main, draft = map(str, request.getfixturevalue("mlx_pair"))
    name = lab.write("mlx.ipynb", f"import specviz as sv\nexplorer = sv.explore({main!r}, {draft!r})\nexplorer")
    notebook = open_notebook(name)
    notebook.run(0)
    notebook.page.wait_for_selector(test_id("generate"))
    return Dashboard(notebook, many=300, shots="mlx-")


def test_generate_watch_stop(dashboard):
    notebook, page, many = dashboard.notebook, dashboard.notebook.page, dashboard.many
    long_run(page, many)
    notebook.gallery(f"{dashboard.shots}idle")
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > many // 30)
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
    assert page.locator(TOKENS).count() == n < many
    assert stopped < 1.0, f"stopped after {stopped:.2f} s"
    assert "topped" in page.inner_text(test_id("status"))
    notebook.gallery(f"{dashboard.shots}stopped")
    assert not notebook.errors


def test_while_it_generates_in_both_themes_and_widths(dashboard):
    notebook, page, many = dashboard.notebook, dashboard.notebook.page, dashboard.many
    long_run(page, 2 * many)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > many // 20)
    notebook.gallery(f"{dashboard.shots}generating")
    assert page.locator(TOKENS).count() < 2 * many, "still at it"
    page.click(test_id("stop"))


def test_reload_in_mid_stream_finds_every_token_again_in_order(dashboard):
    notebook, page, many = dashboard.notebook, dashboard.notebook.page, dashboard.many
    long_run(page, many)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > many // 8)
    before = tokens(page)
    notebook.save()
    notebook.reload()
    page.wait_for_selector(TOKENS)
    restored = tokens(page)
    assert len(restored) < many, "the reload was to be in mid-stream"
    assert restored[: len(before)] == before
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")), seconds=120, step=200)
    drawn = tokens(page)
    assert [index for index, _, _ in drawn] == list(range(many))
    kernel_text = kernel_value(notebook, "''.join(t.text for t in explorer.trace.tokens)")
    assert "".join(text for _, _, text in drawn).replace("\n", "") == kernel_text.replace("\n", "")
    assert points(page, "acceptance") > many // 24
    assert not notebook.errors


def test_continue_adds_to_the_text(dashboard):
    page = dashboard.notebook.page
    generate(page, 24)
    first = tokens(page)
    page.click(test_id("continue"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 48 and "inish" in page.inner_text(test_id("status")))
    assert tokens(page)[:24] == first


def test_a_killed_host_is_told_the_kernel_lives_and_generate_works_again(dashboard):
    notebook, page, many = dashboard.notebook, dashboard.notebook.page, dashboard.many
    long_run(page, many)
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > many // 30)
    kernel = notebook.kernel_pid()
    host = next(p for p in psutil.Process(kernel).children() if "specviz.engines.host" in p.cmdline())
    os.kill(host.pid, signal.SIGKILL)
    page.wait_for_selector(f"{test_id('banner')}:visible")
    assert "SIGKILL" in page.inner_text(test_id("banner"))
    notebook.gallery(f"{dashboard.shots}crashed")
    kept = page.locator(TOKENS).count()
    assert kept > many // 30
    assert notebook.kernel_pid() == kernel
    page.fill(test_id("max-tokens"), "30")
    page.press(test_id("max-tokens"), "Tab")
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 30 and "inish" in page.inner_text(test_id("status")))
    assert not page.locator(test_id("banner")).is_visible()


def test_the_demo_pair_of_mlx_is_made_when_it_is_first_used(lab, open_notebook):
    name = lab.write("mlx-demo.ipynb", "import specviz as sv\nexplorer = sv.explore(engine='mlx')\nexplorer")
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    page.wait_for_selector(test_id("generate"))
    assert "Q4_1-MLX" in page.input_value(test_id("main")) and "17m.Q4_0-MLX" in page.input_value(test_id("draft"))
    page.fill(test_id("max-tokens"), "12")
    page.press(test_id("max-tokens"), "Tab")
    page.click(test_id("generate"))
    making = "making SmolLM2-135M-Instruct.Q4_1-MLX and SmolLM2-135M-Instruct-draft-17m.Q4_0-MLX, which is done once"
    wait_until(page, lambda: making in page.inner_text(test_id("status")))
    notebook.shot("mlx-making")
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")), seconds=120)
    assert page.locator(TOKENS).count() == 12
    assert kernel_value(notebook, "explorer.trace.header.engine").startswith("MLX")
    notebook.shot("mlx-made")
    assert not notebook.errors


def test_traces_of_two_engines_side_by_side(lab, mlx_pair, open_notebook):
    """One pair in both engines: live in two feeds; then saved, read back and shown without JavaScript."""
    gguf_pair = [next(model for model in demo_drafts() if size in model.name).path for size in ("22m", "12m")]
    pairs = [[str(path) for path in pair] for pair in (gguf_pair, mlx_pair)]
    name = lab.write(
        "side-by-side.ipynb",
        "import ipywidgets, specviz as sv\n"
        "feeds = [sv.Feed(), sv.Feed()]\n"
        "ipywidgets.HBox([sv.TokenStream(feed) for feed in feeds])",
        f"for feed, pair in zip(feeds, {pairs!r}):\n"
        f"    feed.follow(sv.load(*pair).stream('Tell me a story', max_tokens=40, ignore_eos=True, baseline_tokens=4))",
        "for i, feed in enumerate(feeds):\n"
        "    feed.trace.save(f'{i}.jsonl')\n"
        "traces = [sv.read_trace(f'{i}.jsonl') for i in range(2)]\n"
        "ipywidgets.HBox([ipywidgets.HTML(trace._repr_html_()) for trace in traces])",
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    wait_until(page, lambda: page.locator(STREAM).count() == 2)
    notebook.run(1)
    wait_until(page, lambda: page.locator(TOKENS).count() == 80)
    wait_until(page, lambda: kernel_value(notebook, "str(all(feed.wait(0) for feed in feeds))") == "True")
    live = [
        page.locator(STREAM).nth(i).locator("[data-i]").evaluate_all("all => all.map(e => e.textContent).join('')")
        for i in range(2)
    ]
    notebook.run(2)
    wait_until(page, lambda: page.locator(".widget-html-content").count() == 2)
    records = page.locator(".widget-html-content")
    for i, text in enumerate(live):
        assert text.replace("\n", "") in records.nth(i).inner_text().replace("\n", "")
        assert records.nth(i).locator("u").count() > 3 and records.nth(i).locator("img").count() == 3
    left, right = (records.nth(i).bounding_box() for i in range(2))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    notebook.shot("side-by-side")
    assert not notebook.errors

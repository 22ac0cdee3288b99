"""Views of rounds share one selection, and statistics are told in whoever's names: in JupyterLab, without a model."""

import json

import pytest

from tests.browser.dashboard import STREAM, TOKENS, assert_accessible, points, test_id, wait_until
from tests.browser.test_replay import recorded

STRIP = f"{test_id('timeline')} .sv-strip"
N_ROUNDS = 80


@pytest.fixture
def replayed(lab, open_notebook):
    """A recorded answer, played to its end."""
    words = [" the", " sea", " is", " never", " quite", " still", ",", " and"]
    recorded(N_ROUNDS, words, seconds=0.05).save(lab.root / "linked.jsonl")
    source = "import specviz as sv\nreplay = sv.replay('linked.jsonl', autoplay=False, show_rejected=True)\nreplay"
    notebook = open_notebook(lab.write("linked.ipynb", source, "sv.RoundTimeline(replay)"))
    notebook.run(0)
    wait_until(notebook.page, lambda: points(notebook.page, "acceptance") == N_ROUNDS)
    return notebook


def selected(page):
    """The rounds that the line above the statistics names, the last one included; None: no rounds."""
    text = page.inner_text(test_id("selection"))
    if not text:
        return None
    first, _, last = text.partition(":")[0].split()[1].partition("–")
    return int(first), int(last or first)


def marked(page):
    """Indices of the output tokens that are marked."""
    return page.eval_on_selector_all(f"{STREAM} .sv-selected[data-i]", "all => all.map(e => Number(e.dataset.i))")


def drag(page, selector, start, end):
    """Drag over a view, from one share of its width to another."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y)
    page.mouse.move(box["x"] + end * box["width"], y)
    page.mouse.up()
    page.wait_for_timeout(100)


def tokens_of(first, last):
    """Indices of the tokens of these rounds: a round has one more than it accepted, 0 to 4 in turn."""
    starts = [sum(j % 5 + 1 for j in range(i)) for i in (first, last + 1)]
    return list(range(*starts))


def band(page, name):
    """Where the band lies, as shares of the axis."""
    return page.eval_on_selector(
        f"{test_id(name)} .sv-band", "e => e.hidden ? null : [e.style.left, e.style.width].map(parseFloat)"
    )


def test_a_drag_over_the_rounds_selects_in_every_view(replayed):
    page = replayed.page
    drag(page, STRIP, 0.255, 0.495)
    assert selected(page) == (20, 39)
    assert marked(page) == tokens_of(20, 39)
    assert band(page, "timeline") == band(page, "accepted") == pytest.approx([25, 25])
    total = len(tokens_of(0, N_ROUNDS - 1))
    start, length = tokens_of(20, 39)[0], len(tokens_of(20, 39))
    for plot in ("acceptance", "throughput"):
        assert band(page, f"plot-{plot}") == pytest.approx([100 * start / total, 100 * length / total], abs=0.1)
    assert f"{length} tokens, 40 of 80 drafted accepted, 60.0 tok/s" in page.inner_text(test_id("selection"))
    positions = page.locator(f"{test_id('positions')} table tr").all_text_contents()
    assert positions[1].startswith("116 of 20 (80.0 %)16 of 20 (80.0 %)64 of 80 (80.0 %)")
    assert page.locator(f"{STREAM} .sv-selected").first.evaluate(
        f"e => e.getBoundingClientRect().top >= document.querySelector('{STREAM}').getBoundingClientRect().top"
    ), "the text has scrolled to it"
    replayed.run(1)
    page.wait_for_selector(f"{STRIP} >> nth=1")
    bands = page.eval_on_selector_all(f"{STRIP} .sv-band", "all => all.map(e => e.style.left)")
    assert len(bands) == 2 and len(set(bands)) == 1, "its parts share it"
    page.click(test_id("clear-selection"))
    wait_until(page, lambda: selected(page) is None)
    assert marked(page) == [] and band(page, "timeline") is None
    assert not replayed.errors


def test_the_text_the_curves_and_the_keys_select_too(replayed):
    page = replayed.page
    page.evaluate(
        f"""() => {{
            const text = (i) => document.querySelector(`{STREAM} [data-i="${{i}}"]`).firstChild;
            getSelection().setBaseAndExtent(text(4), 0, text(15), 1);
        }}"""
    )
    wait_until(page, lambda: selected(page) == (2, 5))
    assert marked(page) == tokens_of(2, 5)
    assert band(page, "accepted") == pytest.approx([2.5, 5])
    page.locator(TOKENS).first.click()
    wait_until(page, lambda: selected(page) is None)
    page.keyboard.press("Escape")
    drag(page, f"{test_id('plot-acceptance')} .sv-plot-area", 0.5, 0.7)
    first, last = selected(page)
    assert 0 < first < last < N_ROUNDS
    page.focus(STRIP)
    page.keyboard.press("ArrowRight")
    wait_until(page, lambda: selected(page) == (first + 1, last + 1))
    page.keyboard.press("Shift+ArrowRight")
    wait_until(page, lambda: selected(page) == (first + 1, last + 2))
    page.keyboard.press("Escape")
    wait_until(page, lambda: selected(page) is None)
    assert not replayed.errors


def test_a_replay_keeps_what_is_selected(replayed):
    page = replayed.page
    drag(page, STRIP, 0.255, 0.495)
    page.focus(test_id("replay-scrubber"))
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("PageUp")
    wait_until(page, lambda: page.locator(TOKENS).count() == len(tokens_of(0, 29)))
    page.wait_for_timeout(200)
    assert marked(page) == tokens_of(20, 29)
    assert band(page, "replay-strip") == pytest.approx([25, 25])


def test_statistics_in_whoevers_names(replayed):
    page = replayed.page

    def rows():
        return dict(
            page.eval_on_selector_all(
                f"{test_id('stats')} tr",
                "all => all.map(r => [r.querySelector('.sv-term').textContent, r.querySelector('td').textContent])",
            )
        )

    own = rows()
    assert own["Accepted"] == "160"
    for names, row, value in (
        ("lmstudio", "accepted_draft_tokens_count", "160"),
        ("vllm", "Mean acceptance length", "3.00"),
        ("llamacpp", "draft acceptance", "0.50000 (160 accepted / 320 generated)"),
        ("textbook", "α", "0.714"),
    ):
        page.select_option(test_id("metrics"), names)
        wait_until(page, lambda row=row, value=value: rows().get(row) == value)
    page.locator(f"{test_id('stats')} .sv-term", has_text="E[tokens").hover()
    assert "(1 − α^(γ+1)) / (1 − α)" in page.inner_text(f"{test_id('stats')} .sv-tooltip")
    page.select_option(test_id("metrics"), "specviz")
    wait_until(page, lambda: rows() == own)


def test_twenty_thousand_rounds_stay_usable(lab, open_notebook):
    recorded(20_000, seconds=0.02).save(lab.root / "long.jsonl")
    notebook = open_notebook(lab.write("long.ipynb", "import specviz as sv\nsv.replay('long.jsonl', autoplay=False)"))
    notebook.run(0)
    page = notebook.page
    wait_until(page, lambda: points(page, "acceptance") > 500)
    times = page.evaluate(
        """async () => {
            const strip = document.querySelector('[data-testid=timeline] .sv-strip');
            const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            const { left, top, width } = strip.getBoundingClientRect();
            const at = (type, share) => strip.dispatchEvent(
                new PointerEvent(type, { clientX: left + share * width, clientY: top + 5, button: 0, bubbles: true }));
            strip.setPointerCapture = () => {};
            const times = [];
            at('pointerdown', 0.4);
            for (const share of [0.41, 0.5, 0.9, 0.1, 0.42]) {
                const start = performance.now();
                at('pointermove', share);
                await frame();
                times.push(Math.round(performance.now() - start));
            }
            at('pointerup', 0.42);
            return times;
        }"""
    )
    print("ms per drag", json.dumps(times))
    assert max(times) < 5000, "a guard against hanging"
    assert page.locator(f"{test_id('timeline')} path").first.evaluate("e => e.getAttribute('d').length") < 40_000
    assert not notebook.errors


def test_pictures_and_no_serious_violation_of_what_accessibility_asks(replayed):
    page = replayed.page
    page.locator(STREAM).evaluate("e => e.scrollIntoView({block: 'start'})")
    replayed.gallery("linked-whole")
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.wait_for_timeout(300)
    drag(page, STRIP, 0.255, 0.495)
    replayed.gallery("linked-selected")
    page.select_option(test_id("metrics"), "vllm")
    assert_accessible(replayed, ".sv-replay")

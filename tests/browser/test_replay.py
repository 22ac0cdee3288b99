"""A recorded generation plays: in JupyterLab, and as one file that no network can reach."""

import re

import pytest

import specviz as sv
from specviz.trace import Conversation, Header, ModelInfo, Pieces, Round, Summary, Trace, Turn
from specviz.trace.events import StopReason
from tests.browser.dashboard import STREAM, TOKENS, points, test_id, wait_until
from tests.browser.lab import SHOTS

HOSTILE = [
    "</script><script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "\0",
    "\u202eevil\u2067",
    "\n",
    "x" * 100_000,
]


def recorded(n_rounds=30, texts=(" one", " two", " three", " four"), seconds=0.1, **header):
    """A trace in which four are drafted a round, and 0, 1, 2, 3 or 4 of them accepted in turn."""
    models = {"main": ModelInfo(name="big"), "draft": ModelInfo(name="small"), "drafter": "model"} | header
    trace = Trace.of([Header(prompt="Count.", **models), Pieces(text=dict(enumerate(texts)))])
    for i in range(n_rounds):
        drafted = tuple((i + j) % len(texts) for j in range(4))
        trace.add(
            Round(
                index=i,
                start=len(trace),
                drafted=drafted,
                sent=4,
                accepted=i % 5,
                closing=(i + 1) % len(texts),
                q=(0.5,) * 4,
                time=i * seconds,
                draft_seconds=0.3 * seconds,
                verify_seconds=0.6 * seconds,
                other_seconds=0.1 * seconds,
            )
        )
    trace.add(Summary(stop_reason=StopReason.MAX_TOKENS))
    return trace


def round_shown(page):
    """How many rounds the player says are over."""
    return int(re.match(r"([\d,]+) of", page.inner_text(test_id("replay-live"))).group(1).replace(",", ""))


def quiet(page):
    """Nothing went wrong, and nothing was asked of anybody."""
    assert not page.errors
    assert all(url.startswith(("file:", "blob:", "data:")) for url in page.requests)


def test_the_page_shows_all_of_it_offline(open_page):
    trace = recorded()
    page = open_page(trace)
    page.wait_for_selector(test_id("player"))
    assert page.inner_text("h1") == "big with small"
    assert page.locator(TOKENS).count() == len(trace)
    assert page.inner_text("[data-key=output_tokens] td") == str(len(trace))
    wait_until(page, lambda: points(page, "acceptance") == 30)
    assert not page.locator(".specviz-static").is_visible()
    page.locator(TOKENS).first.click()
    assert "Correction" in page.inner_text(test_id("inspector"))
    page.keyboard.press("Escape")
    quiet(page)


def test_the_page_plays_steps_and_searches(open_page):
    page = open_page(recorded(60))
    page.click(test_id("replay-restart"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 0)
    page.select_option(test_id("replay-speed"), "8")
    page.click(test_id("replay-play"))
    wait_until(page, lambda: round_shown(page) > 4)
    page.click(test_id("replay-play"))
    page.wait_for_timeout(100)  # the words are drawn in the next frame
    paused = round_shown(page)
    page.wait_for_timeout(300)
    assert round_shown(page) == paused and page.locator(TOKENS).count() > 4
    page.focus(test_id("replay-scrubber"))
    page.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    wait_until(page, lambda: round_shown(page) == page.locator(TOKENS).count() == 1)
    box = page.locator(test_id("replay-scrubber")).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(page, lambda: 28 <= round_shown(page) <= 31)
    box = page.locator(test_id("replay-strip")).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 9.5 / 60, box["y"] + 5)
    wait_until(page, lambda: round_shown(page) == 10)
    page.select_option(test_id("replay-pace"), "constant")
    page.click(test_id("replay-play"))
    wait_until(page, lambda: round_shown(page) == 60)
    assert page.inner_text("[data-key=stop_reason] td") == "token limit"
    quiet(page)


def test_the_page_without_javascript_is_a_record(open_page):
    page = open_page(recorded(), javascript=False)
    assert page.locator(".specviz-static").is_visible()
    assert "one" in page.inner_text(".specviz-static") and page.locator(".specviz-static u").count() > 10


def test_hostile_text_does_nothing(open_page):
    main, draft = (ModelInfo(name=text) for text in HOSTILE[:2])
    page = open_page(recorded(12, HOSTILE, main=main, draft=draft))
    page.wait_for_selector(test_id("player"))
    page.check(test_id("toggle-rejected"))
    page.check(test_id("toggle-workshop"))
    page.click(test_id("replay-restart"))
    for _ in range(6):
        page.click(test_id("replay-play"))
        page.wait_for_selector(test_id("answer-1"))
        page.click(test_id("answer-1"))
    assert page.evaluate("window.owned") is None
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    quiet(page)


def test_twenty_thousand_tokens_stay_usable(open_page):
    page = open_page(recorded(6700, seconds=0.02))
    page.wait_for_selector(test_id("player"))
    assert page.locator(TOKENS).count() == 20_100
    times = page.evaluate(
        """async () => {
            const scrubber = document.querySelector('[data-testid=replay-scrubber]');
            const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            const times = [];
            for (const share of [0.9, 0.5, 0.95, 0.1, 0.6]) {
                const start = performance.now();
                scrubber.value = String(share * scrubber.max);
                scrubber.dispatchEvent(new Event('input'));
                await frame();
                times.push(Math.round(performance.now() - start));
            }
            return times;
        }"""
    )
    print("ms per seek", times)
    assert max(times) < 5000, "a guard against hanging"
    wait_until(page, lambda: 4000 <= round_shown(page) <= 4040)
    quiet(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_page(open_page, quick_trace, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for width in (1160, 520):
        page = open_page(quick_trace, scheme, width)
        wait_until(page, lambda page=page: points(page, "acceptance") > 10)
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"page-{scheme}-{width}.png", full_page=True)
        page.check(test_id("toggle-workshop"))
        page.click(test_id("replay-play"))
        page.wait_for_selector(test_id("ghosts"))
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"page-question-{scheme}-{width}.png", full_page=True)
        quiet(page)


@pytest.fixture(scope="module")
def quick_trace():
    """What the demo pair says."""
    with sv.load() as pair:
        return pair.generate("Explain the Pythagorean theorem", max_tokens=120, baseline_tokens=8)


def test_a_replay_in_jupyterlab(lab, open_notebook):
    recorded(80, seconds=0.05).save(lab.root / "run.jsonl")
    name = lab.write(
        "replay.ipynb",
        "import specviz as sv\nreplay = sv.replay('run.jsonl', show_rejected=True)\nreplay",
        "sv.TokenStream(replay)",
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    page.wait_for_selector(test_id("player"))
    wait_until(page, lambda: round_shown(page) > 2)
    page.click(test_id("replay-play"))
    page.wait_for_timeout(100)  # the words are drawn in the next frame
    paused = round_shown(page)
    assert 2 < paused < 80
    page.wait_for_timeout(300)
    assert round_shown(page) == paused
    page.keyboard.press("ArrowLeft")
    wait_until(page, lambda: round_shown(page) in (paused, paused - 1))
    box = page.locator(test_id("replay-scrubber")).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(page, lambda: 39 <= round_shown(page) <= 41)
    page.locator(TOKENS).first.click()
    wait_until(page, lambda: "Round 0" in page.inner_text(test_id("inspector")))
    page.keyboard.press("Escape")

    page.click(test_id("replay-restart"))
    page.check(test_id("toggle-workshop"))
    page.focus(test_id("replay-scrubber"))
    page.keyboard.press("Space")
    for number, (agreed, answer) in enumerate(((0, 0), (1, 3), (2, 2), (3, 3)), 1):
        page.wait_for_selector(test_id("ghosts"))
        assert page.inner_text(test_id("workshop-words")) == "How many of these 4 will be accepted?"
        if number == 3:
            notebook.gallery("replay-question")
            page.focus(test_id("workshop"))
        page.keyboard.press(str(answer))
        page.wait_for_selector(test_id("workshop-next"))
        words = page.inner_text(test_id("workshop-words"))
        assert words.startswith("Right." if agreed == answer else "Not quite.")
        if number == 4:
            notebook.gallery("replay-verdict")
            page.focus(test_id("workshop-next"))
        page.keyboard.press("Enter")
    assert page.inner_text(test_id("workshop-score")) == "3 of 4 right, 2 in a row"

    notebook.run(1)
    page.wait_for_selector(f"{STREAM} >> nth=1")
    counts = page.eval_on_selector_all(STREAM, "all => all.map(one => one.querySelectorAll('[data-i]').length)")
    assert counts[0] == counts[1] > 0, "its parts follow the playhead"
    html = "".join(output.data.get("text/html", "") for output in notebook.save().cells[0].outputs)
    assert "one" in html and "<script" not in html
    assert not notebook.errors


def test_the_page_of_a_conversation_plays_every_turn(open_page):
    turns = (
        Turn("What comes after one?", (recorded(texts=(" one", " and", " two", ","), n_rounds=8),)),
        Turn("And then? " + "Go on, please. " * 12, (recorded(n_rounds=12), recorded(n_rounds=4))),
    )
    page = open_page(Conversation(name="Counting", turns=turns))
    choices = page.locator(test_id("turn-choice"))
    assert page.inner_text("h1") == "Counting" and choices.count() == 2
    assert page.inner_text(STREAM).count(" three") > 5
    assert page.inner_text(".sv-runinfo").startswith("big · draft small")
    page.wait_for_selector(f"{test_id('turn-choice')}[aria-current=true]:has-text('Go on')")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "conversation-page.png", full_page=True)
    choices.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{STREAM}:has-text(' and two,')")
    assert page.locator(test_id("player")).count() == 1 and " three" not in page.inner_text(STREAM)
    page.click(test_id("replay-restart"))
    page.click(test_id("replay-on"))
    wait_until(page, lambda: round_shown(page) == 1)
    page.click(f"{STREAM} [data-i='0']")
    page.wait_for_selector(test_id("inspector"))
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    quiet(page)

"""What a person finds out about one token: pointed at, held fast, gone to with the keys; and the dashboard's keys."""

import re
from itertools import product

import pytest

from tests.browser.dashboard import STREAM, TOKENS, assert_accessible, generate, test_id, wait_until

CARD = test_id("inspector")
LOOKS = list(product(("light", "dark"), (700, 1400)))
"""The theme, and the window's width."""


@pytest.fixture
def generated(quickstart):
    """The quickstart with an answer that has every fate, rejected tokens shown."""
    page = quickstart.page
    page.fill(test_id("p-min"), "0.3")
    page.press(test_id("p-min"), "Tab")
    generate(page, 120)
    page.click(test_id("toggle-rejected"))
    return quickstart


def look(notebook, theme, width):
    notebook.theme(theme)
    notebook.page.set_viewport_size({"width": width, "height": 1000})
    notebook.page.wait_for_timeout(400)


def fate(page, code, n=0):
    return page.locator(f"{STREAM} [data-fate={code}]:visible").nth(n)


def card(page):
    """Text of the card once the kernel has answered."""
    page.wait_for_selector(f"{CARD} .sv-in-round")
    return page.inner_text(CARD).replace("\u00a0", " ")


def assert_beside(page, token):
    """The card covers no part of its token and lies within the window."""
    box, lines = page.locator(CARD).bounding_box(), token.evaluate("e => [...e.getClientRects()].map(r => r.toJSON())")
    size = page.viewport_size
    assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"]
    assert all(line["bottom"] <= box["y"] or line["top"] >= box["y"] + box["height"] for line in lines)


def test_a_rejected_tokens_cause(generated):
    page = generated.page
    refused = fate(page, "r", 1)
    refused.hover()
    text = card(page)
    assert re.match(r"Refused\n.+\n→\n.+\nRound \d+ · draft token \d of \d\n", text)
    assert re.search(r"The draft said “.+” \(q [\d.]+ %\), the main model wanted “.+” \(p [\d.]+ %\)", text)
    assert re.search(r"the draft had it at rank \d+\.", text)
    assert page.locator(f"{CARD} section li").count() >= 10
    assert_beside(page, refused)
    fate(page, "d").hover()
    assert "so it was never compared" in card(page)
    fate(page, "u").hover()
    assert re.search(
        r"The probability cutoff stopped the draft here: its favourite had q [\d.]+ %, below 30 %", card(page)
    )
    page.mouse.move(5, 5)
    assert not page.locator(CARD).is_visible()
    assert not generated.errors


def test_held_fast_in_both_themes_and_widths(generated):
    page = generated.page
    for theme, width in LOOKS:
        look(generated, theme, width)
        for code in ("r", "u"):
            token = fate(page, code, 1)
            token.scroll_into_view_if_needed()
            token.click()
            card(page)
            generated.shot(f"inspector-{code}-{theme}-{width}")
            assert_beside(page, token)
            page.keyboard.press("Escape")
            assert not page.locator(CARD).is_visible()
    assert not generated.errors


def test_the_keys_go_on_from_a_held_token(generated):
    page = generated.page
    page.locator(f"{TOKENS}").nth(2).click()
    seen = []
    for _ in range(12):
        seen.append(page.locator(f"{STREAM} .sv-held").inner_text())
        page.keyboard.press("ArrowRight")
    card(page)
    order = page.eval_on_selector_all(f"{STREAM} [data-i], {STREAM} .x", "all => all.map(e => e.innerText)")
    start = order.index(seen[0], 2)
    assert order[start : start + 12] == seen
    page.locator(f"{CARD} .sv-in-step").first.click()
    page.keyboard.press("ArrowLeft")
    assert page.locator(f"{STREAM} .sv-held").count() == 1
    assert page.inner_text(test_id("announcer")).strip().endswith(".")
    page.keyboard.press("Escape")
    assert page.locator(f"{STREAM} .sv-held, {STREAM} .sv-cursor").count() == 0


def test_colours_by_what_is_asked_for(generated):
    page = generated.page
    for colour, (theme, width) in zip(("round", "p", "q", "surprise"), LOOKS, strict=True):
        look(generated, theme, width)
        page.select_option(test_id("colour"), colour)
        shown = page.eval_on_selector_all(
            f"{STREAM} .sv-shade",
            "all => all.map(e => [Number(e.style.getPropertyValue('--sv-v')), getComputedStyle(e).backgroundColor])",
        )
        weakest, strongest = min(shown), max(shown)
        assert weakest[0] < strongest[0] and weakest[1] != strongest[1]
        generated.shot(f"colour-{colour}-{theme}-{width}")
    assert not generated.errors


def test_the_dashboards_keys_act_in_it_and_nowhere_else(generated):
    page = generated.page
    look(generated, "light", 1400)
    executed = "jupyterapp.shell.currentWidget.content.widgets[1].model.executionCount"
    before = page.evaluate(executed)
    page.focus(test_id("generate"))
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{test_id('stop')}:enabled")
    wait_until(page, lambda: page.locator(TOKENS).count() > 10)
    page.keyboard.press("Control+.")
    wait_until(page, lambda: "topped" in page.inner_text(test_id("status")))
    assert page.evaluate(executed) == before, "JupyterLab ran the cell"
    draft = page.input_value(test_id("draft"))
    page.focus(STREAM)
    page.keyboard.press("Control+d")
    wait_until(page, lambda: page.input_value(test_id("draft")) == "No draft")
    page.keyboard.press("Control+d")
    wait_until(page, lambda: page.input_value(test_id("draft")) == draft)
    page.keyboard.press("Control+e")
    assert not page.locator(test_id("main")).is_visible()
    generated.shot("full-width-light-1400")
    page.keyboard.press("Control+l")
    assert page.evaluate("document.activeElement.dataset.testid") == "main"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Control+d")
    page.wait_for_timeout(300)
    assert page.input_value(test_id("draft")) == draft
    assert not generated.errors


def test_no_serious_violation_of_what_accessibility_asks(generated):
    page = generated.page
    for width in (700, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        fate(page, "r").click()
        card(page)
        assert_accessible(generated, test_id("explorer"))
        generated.shot(f"contrast-{width}")
        page.keyboard.press("Escape")

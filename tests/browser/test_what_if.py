"""The what-if view in JupyterLab: sliders by keyboard, and figures, text and heatmap that agree with the kernel."""

import json

import pytest

from tests.browser.dashboard import assert_accessible, kernel_value, test_id, wait_until

SETUP = """
import json
import pandas as pd
import specviz as sv
from specviz.models import demo_drafts
paths = {model.name.rpartition("-")[2][:3]: model.path for model in demo_drafts()}
prompts = ["Why is the sky blue?", "Write a Python function that adds two numbers."]
audit = sv.audit(paths["22m"], [paths["17m"], paths["12m"]], prompts, max_tokens=48, thorough=True)
costs = {}
for name, draft in zip(audit.drafts, ("17m", "12m")):
    with sv.load(paths["22m"], paths[draft]) as pair:
        costs[name] = sv.measure_costs(pair, longest=8, turns=2)
measured = pd.DataFrame({"draft": [audit.drafts[1]], "num_draft_tokens": [4], "p_min": [0.0], "speedup": [1.23]})
def replays(answers=range(2)):
    setting = what_if.num_draft_tokens, what_if.p_min
    found = [audit.replay(what_if.draft, i, *setting) for i in answers]
    return [[one.accepted, one.sent, one.n_tokens] for one in found]
def row():
    surface = audit.surface([what_if.num_draft_tokens], [what_if.p_min], costs=costs)
    return surface.set_index("draft").loc[what_if.draft].to_dict()
"""
SHOW = "what_if = sv.WhatIf(audit, costs, measured=measured)\nwhat_if"


@pytest.fixture
def what_if(lab, open_notebook):
    """A notebook with a what-if view of two answers by two drafts of the quick main model."""
    notebook = open_notebook(lab.write("what-if.ipynb", SETUP, SHOW))
    notebook.run(0)
    notebook.run(1)
    notebook.page.wait_for_selector(test_id("what-if"))
    return notebook


def told(notebook, expression):
    return json.loads(kernel_value(notebook, f"json.dumps({expression})"))


def kinds(page):
    return page.eval_on_selector_all(
        f"{test_id('what-if-text')} section:not([hidden]) [data-i]", "all => all.map(e => e.dataset.kind).join('')"
    )


def expected_kinds(replays):
    """Letters of tokens from accepted and sent tokens of each round."""
    found = ""
    for accepted, sent, n_tokens in replays:
        text = ""
        for taken, tried in zip(accepted, sent, strict=True):
            text += "a" * taken + ("p" if tried == 0 else "c" if taken < tried else "b")
        found += text[:n_tokens]
    return found


def agrees(notebook):
    """Text, tiles and heatmap are what the kernel says of the setting that the kernel knows."""
    page = notebook.page
    replays = told(notebook, "replays()")
    assert kinds(page) == expected_kinds(replays)
    row = told(notebook, "row()")
    assert page.inner_text(f"{test_id('what-if-rounds')} .sv-value") == str(row["rounds"])
    assert page.inner_text(f"{test_id('what-if-per-round')} .sv-value") == f"{row['tokens_per_round']:.2f}"
    assert f"{row['accepted']} of {row['drafted']} drafted" in page.inner_text(test_id("what-if-acceptance"))
    speedup = page.inner_text(f"{test_id('what-if-speedup')} .sv-value")
    assert float(speedup[:-1]) == pytest.approx(row["speedup"], abs=0.006)
    band = page.inner_text(f"{test_id('what-if-speedup')} .sv-caption >> nth=0")
    low, high = (float(part.rstrip("×")) for part in band.removeprefix("95 % band ").split(" to "))
    assert (low, high) == (pytest.approx(row["low"], abs=0.01), pytest.approx(row["high"], abs=0.01))
    selected = page.locator(f"{test_id('heatmap')} [aria-selected=true]")
    assert selected.count() == 1 and selected.inner_text() == speedup[:-1]


def settled(notebook, name, value):
    wait_until(notebook.page, lambda: told(notebook, f"what_if.{name}") == value)


def test_everything_follows_the_keyboard_and_agrees_with_the_kernel(what_if):
    page = what_if.page
    agrees(what_if)
    cells = page.locator(test_id("what-if")).locator("td")
    before = kinds(page)
    slider = page.locator(test_id("what-if-length-slider"))
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    settled(what_if, "num_draft_tokens", 7)
    assert kinds(page) != before
    agrees(what_if)
    heat = cells.all_inner_texts()
    cutoff = page.locator(test_id("what-if-p-min-slider"))
    cutoff.focus()
    for _ in range(29):
        cutoff.press("ArrowRight")
    settled(what_if, "p_min", 0.29)
    agrees(what_if)
    assert cells.all_inner_texts() != heat
    surface = told(what_if, "audit.surface(range(9), [0.29], costs=costs).speedup.tolist()")
    shown = cells.all_inner_texts()
    assert [float(one) for one in shown[:9] + shown[17:26]] == pytest.approx(surface, abs=0.006)
    assert set(shown[9:17] + shown[26:]) == {"—"}, "costs were measured for drafts of up to 8 tokens"
    page.select_option(test_id("what-if-answer"), "1")
    settled(what_if, "answer", 1)
    only = told(what_if, "replays([1])")
    wait_until(page, lambda: kinds(page) == expected_kinds(only))
    assert page.locator(".jp-Cell").count() == 2, "no key reached the notebook"
    assert not what_if.errors


def test_the_heatmap_chooses_and_python_can_too(what_if):
    page = what_if.page
    measured = page.locator(f"{test_id('heatmap')} .sv-measured")
    assert measured.count() == 1
    measured.hover()
    assert "Measured 1.23×." in page.inner_text(".sv-tooltip")
    page.locator(f"{test_id('heatmap')} [aria-selected=true]").focus()
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    settled(what_if, "num_draft_tokens", 2)
    assert told(what_if, "what_if.draft == audit.drafts[1]")
    agrees(what_if)
    what_if.page.click(test_id("what-if-rejected"))
    corrections = kinds(page).count("c")
    wait_until(page, lambda: page.locator(f"{test_id('what-if-text')} .x:visible").count() == corrections)
    kernel_value(what_if, "setattr(what_if, 'num_draft_tokens', 6) or setattr(what_if, 'draft', '17m') or ''")
    wait_until(page, lambda: page.input_value(test_id("what-if-length")) == "6")
    agrees(what_if)
    assert "17m" in page.input_value(test_id("what-if-draft"))
    assert page.locator(test_id("textbook")).inner_text().startswith("textbook formula: ")
    page.hover(test_id("textbook"))
    assert "clusters" in page.inner_text(".sv-tooltip")
    page.mouse.move(0, 0)
    what_if.page.eval_on_selector(test_id("what-if"), "one => one.scrollIntoView({block: 'start'})")
    what_if.gallery("what-if")
    assert_accessible(what_if, test_id("what-if"))
    assert not what_if.errors


def test_a_saved_notebook_has_the_heatmap_as_a_table(what_if):
    page = what_if.page
    page.fill(test_id("what-if-length"), "3")
    settled(what_if, "num_draft_tokens", 3)
    html = "".join(output.data.get("text/html", "") for output in what_if.save().cells[1].outputs)
    rounds = sum(len(accepted) for accepted, _, _ in told(what_if, "replays()"))
    assert f"tokens accepted in {rounds} rounds" in html and html.count("<td>") == 34
    assert not page.locator(".specviz-static").is_visible()

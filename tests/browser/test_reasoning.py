"""Reasoning folds in the text: by itself when it has ended, by the reader, and in the record that a notebook keeps."""

from specviz.trace import Header, ModelInfo, Pieces, Round, StopReason, Summary, Trace
from tests.browser.dashboard import STREAM, TOKENS, assert_accessible, test_id, wait_until

FOLD = test_id("reasoning")
THOUGHTS = [" Let", " us", " see", ":", " the", " squares", " on", " both", " legs", ".\n"]
ANSWER = [" The", " square", " on", " the", " long", " side", " is", " the", " sum", "."]


def reasoned():
    """A trace whose tags are split over tokens; a round brings two, and in reasoning drafts one in vain."""
    texts = ["<", "think", ">\n", *4 * THOUGHTS, "</", "think", ">", "\n\n", *4 * ANSWER, " It", " is", " old."]
    ids = {text: id for id, text in enumerate(dict.fromkeys(texts))}
    models = {"main": ModelInfo(name="big"), "draft": ModelInfo(name="small"), "drafter": "model"}
    trace = Trace.of([Header(prompt="Why?", **models), Pieces(text={id: text for text, id in ids.items()})])
    for index in range(len(texts) // 2):
        kept, closing = (ids[text] for text in texts[2 * index : 2 * index + 2])
        drafted = (kept, 0) if index < 23 else (kept,)
        trace.add(
            Round(
                index=index,
                start=len(trace),
                drafted=drafted,
                sent=len(drafted),
                accepted=1,
                closing=closing,
                time=index * 0.1,
                draft_seconds=0.03,
                verify_seconds=0.07,
            )
        )
    trace.add(Summary(stop_reason=StopReason.MAX_TOKENS))
    return trace


def test_reasoning_folds(lab, open_notebook):
    trace = reasoned()
    thinking, answer = trace.reasoning()
    trace.save(lab.root / "reasoned.jsonl")
    name = lab.write("reasoning.ipynb", "import specviz as sv\nsv.replay('reasoned.jsonl', autoplay=False)")
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    fold = page.locator(FOLD)
    fold.wait_for()
    assert fold.inner_text() == str(thinking) == "Reasoning: 46 tokens, 50 % of drafted accepted · 20 tok/s"
    assert str(answer) in page.inner_text(STREAM) and answer.acceptance_rate == 1
    assert page.locator(TOKENS).count() == len(trace)
    assert fold.get_attribute("aria-expanded") == "false" and page.locator(f"{TOKENS}:visible").count() == 44
    notebook.gallery("reasoning-folded")

    fold.focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("aria-expanded") == "true" and page.locator(f"{TOKENS}:visible").count() == len(trace)
    notebook.gallery("reasoning-open")
    assert_accessible(notebook, test_id("stream"))
    fold.click()

    page.click(test_id("replay-restart"))
    page.focus(test_id("replay-scrubber"))
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    wait_until(page, lambda: page.locator(TOKENS).count() == 8)
    assert fold.inner_text() == "Reasoning" and fold.get_attribute("aria-expanded") == "true"
    page.keyboard.press("End")
    wait_until(page, lambda: page.locator(TOKENS).count() == len(trace))
    assert fold.inner_text() == str(thinking) and fold.get_attribute("aria-expanded") == "false"

    html = "".join(output.data.get("text/html", "") for output in notebook.save().cells[0].outputs)
    assert f"<summary><small>{thinking}" in html and html.index("</details>") < html.index(str(answer))
    assert not notebook.errors

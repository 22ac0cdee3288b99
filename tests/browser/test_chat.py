"""A conversation in the dashboard: asked, edited, answered anew, named, saved, reloaded."""

import pytest

import specviz as sv
from tests.browser.dashboard import TOKENS, assert_accessible, generate, kernel_value, test_id, tokens, wait_until

SAID = ".sv-user"
HOSTILE = '<img src=x onerror="window.hacked=1"> \u202egnp.txt \u2067</script><script>window.hacked=1</script>'


def finished(page):
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")) and page.locator(TOKENS).count() > 0)


def follow_up(page, text):
    n = page.locator(f"{test_id('turns')} li").count() or 1
    page.fill(test_id("follow-up"), text)
    page.press(test_id("follow-up"), "Enter")
    wait_until(page, lambda: page.locator(f"{test_id('turns')} li").count() == n + 1)
    finished(page)


def said(page):
    return [text.removeprefix("You: ") for text in page.locator(f"{test_id('turns')} {SAID}").all_text_contents()]


def answers(page):
    return page.eval_on_selector_all(
        f"{test_id('turns')} .sv-answer",
        "all => all.map(a => [...a.querySelectorAll('.t')].map(t => t.textContent).join(''))",
    )


@pytest.fixture
def chat(quickstart):
    """The quickstart after a first answer of 24 tokens."""
    page = quickstart.page
    page.fill(test_id("prompt"), "My favourite colour is purple. Please remember it.")
    generate(page, 24)
    return quickstart


def test_two_turns_and_the_second_knows_the_first(chat):
    page = chat.page
    first = "".join(text for _, kind, text in tokens(page) if kind.islower()).replace("\n", "")
    follow_up(page, "What is my favourite colour?")
    assert said(page) == ["My favourite colour is purple. Please remember it.", "What is my favourite colour?"]
    assert [text.replace("\n", "") for text in answers(page)] == [first]
    knows = (
        "(lambda ids, part: str(any(ids[i:i + len(part)] == part for i in range(len(ids)))))"
        "(list(explorer.trace.header.prompt_ids), explorer._pair.tokenize('My favourite colour is purple'))"
    )
    assert kernel_value(chat, knows) == "True"
    assert "accepted" in page.inner_text(f"{test_id('turns')} .sv-caption")
    assert page.input_value(test_id("follow-up")) == ""
    chat.gallery("chat")
    assert_accessible(chat, test_id("explorer"))
    assert not chat.errors


def test_edit_undo_regenerate_and_continue(chat):
    page = chat.page
    follow_up(page, "What is my favourite colour?")
    before = tokens(page)
    page.click(test_id("continue"))
    wait_until(page, lambda: page.locator(TOKENS).count() > len(before))
    finished(page)
    assert tokens(page)[: len(before)] == before
    page.locator(test_id("edit")).first.click()
    page.mouse.move(5, 5)
    chat.shot("chat-edit")
    page.fill(test_id("edit-box"), "My favourite colour is green.")
    page.press(test_id("edit-box"), "Enter")
    wait_until(page, lambda: not page.is_visible(test_id("turns")))
    finished(page)
    assert page.input_value(test_id("prompt")) == "My favourite colour is green."
    page.click(test_id("undo"))
    wait_until(page, lambda: page.is_visible(test_id("turns")))
    assert said(page)[0].startswith("My favourite colour is purple") and tokens(page)[: len(before)] == before
    run = kernel_value(chat, "str(explorer._run)")
    page.click(test_id("regenerate"))
    wait_until(page, lambda: kernel_value(chat, "str(explorer._run)") != run)
    finished(page)
    assert [text for *_, text in tokens(page)] == [text for *_, text in before], "greedily the same answer again"
    page.click(test_id("new"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 0)
    assert not page.is_visible(test_id("turns")) and page.is_visible(test_id("undo"))
    assert not chat.errors


def test_name_and_turns_survive_saving_and_a_reload(chat, tmp_path):
    page = chat.page
    follow_up(page, "What is my favourite colour?")
    follow_up(page, "Thank you.")
    page.fill(test_id("name"), "Colours")
    page.press(test_id("name"), "Tab")
    before = said(page), answers(page), tokens(page)
    with page.expect_download() as download:
        page.click(test_id("save"))
    assert download.value.suggested_filename == "Colours.jsonl"
    download.value.save_as(tmp_path / "Colours.jsonl")
    saved = sv.read_conversation(tmp_path / "Colours.jsonl")
    assert saved.name == "Colours" and [turn.user for turn in saved.turns] == before[0]

    chat.save()
    chat.reload()
    page.wait_for_selector(TOKENS)
    wait_until(page, lambda: page.locator(f"{test_id('turns')} li").count() == 3)
    assert (said(page), answers(page), tokens(page)) == before and page.input_value(test_id("name")) == "Colours"
    assert not chat.errors


def test_a_saved_conversation_is_opened_and_gone_on_with(lab, open_notebook):
    name = lab.write(
        "open.ipynb",
        "import specviz as sv\n"
        "first = sv.explore(name='Colours', prompt='My favourite colour is purple.', max_tokens=24)\n"
        "first.generate(), first.wait(60), first.follow_up('Which is it?'), first.wait(60)\n"
        "_ = first.save('Colours.jsonl')",
        "explorer = sv.explore(conversation='Colours.jsonl', max_tokens=24)\nexplorer",
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    notebook.run(1)
    page.wait_for_selector(TOKENS)
    questions = ["My favourite colour is purple.", "Which is it?"]
    assert said(page) == questions and page.input_value(test_id("name")) == "Colours"
    assert page.input_value(test_id("prompt")) == questions[0]
    html = "".join(output.data.get("text/html", "") for output in notebook.save().cells[1].outputs)
    assert all(text in html for text in (*questions, "Colours"))
    follow_up(page, "And yours?")
    assert said(page) == [*questions, "And yours?"]
    assert not notebook.errors


def test_what_a_user_says_executes_nothing(chat):
    page = chat.page
    follow_up(page, HOSTILE)
    follow_up(page, "Well?")
    page.fill(test_id("name"), HOSTILE)
    page.press(test_id("name"), "Tab")
    assert said(page)[1] == HOSTILE
    chat.shot("chat-hostile")
    chat.save()
    chat.reload()
    page.wait_for_selector(TOKENS)
    assert page.evaluate("window.hacked") is None and page.locator(f"{test_id('explorer')} img").count() == 0
    assert not chat.errors


def test_a_wrong_schema_is_told_and_the_answer_stays(chat):
    page = chat.page
    before = tokens(page)
    page.fill(test_id("json_schema"), '{"type": ')
    page.fill(test_id("follow-up"), "As JSON, please.")
    page.press(test_id("follow-up"), "Enter")
    page.wait_for_selector(f"{test_id('banner')}:visible")
    assert "The JSON schema is not JSON" in page.inner_text(test_id("banner"))
    assert tokens(page) == before and page.input_value(test_id("follow-up")) == "As JSON, please."
    chat.shot("chat-schema")
    page.fill(test_id("json_schema"), '{"enum": ["purple", "green"]}')
    page.press(test_id("follow-up"), "Enter")
    wait_until(page, lambda: page.is_visible(test_id("turns")))
    finished(page)
    assert "".join(text for _, kind, text in tokens(page) if kind.islower()) in ('"purple"', '"green"')
    assert not chat.errors

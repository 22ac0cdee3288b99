"""The card in JupyterLab's launcher, and the command behind it in Notebook 7."""

from tests.browser.dashboard import test_id
from tests.browser.lab import KERNEL_IDLE, SHOTS
from tests.browser.test_hosts import notebook7  # noqa: F401

CARD = ".jp-LauncherCard[data-category=Notebook]:has-text('Speculative decoding')"


def test_the_card_opens_the_explorer_in_a_new_notebook(lab, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{lab.port}/lab?reset&token={lab.token}")
    page.wait_for_selector(CARD, timeout=60_000)
    assert page.get_attribute(f"{CARD} img", "src").startswith("data:image/svg+xml")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "launcher.png")
    page.click(CARD)
    page.wait_for_selector(test_id("generate"), timeout=60_000)
    page.wait_for_function(KERNEL_IDLE)
    assert page.evaluate("jupyterapp.shell.currentWidget.context.path").startswith("Untitled")
    assert page.locator(".jp-LauncherCard").count() == 0, "the notebook took the launcher's place"
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    assert not errors


def test_notebook_7_opens_it_in_a_page_of_its_own(notebook7, page):  # noqa: F811
    page.goto(f"http://127.0.0.1:{notebook7.port}/tree?token={notebook7.token}")
    for command in ("specviz:explore", "docmanager:open"):
        page.wait_for_function(f"window.jupyterapp?.commands.hasCommand('{command}')", timeout=60_000)
    with page.expect_popup() as opened:
        page.evaluate("void jupyterapp.commands.execute('specviz:explore')")
    notebook = opened.value
    notebook.wait_for_function(KERNEL_IDLE, timeout=60_000)
    assert "sv.explore()" in notebook.inner_text(".jp-CodeCell")
    notebook.click(".jp-CodeCell .cm-content")
    notebook.keyboard.press("Shift+Enter")
    notebook.wait_for_selector(test_id("generate"), timeout=60_000)
    notebook.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")

"""A dashboard attached to a running server by the URL that is typed into it."""

import re

from specviz.models import demo_drafts
from tests.browser.dashboard import generate, kernel_value, test_id, wait_until


def test_a_server_is_typed_in_and_says_what_it_tells(lab, open_notebook):
    main, draft = (str(m.path) for size in ("22m", "12m") for m in demo_drafts() if size in m.name)
    name = lab.write(
        "server.ipynb",
        f"import specviz as sv\nserver = sv.serve({main!r}, {draft!r}, port=0)",
        "explorer = sv.explore()\nexplorer",
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    notebook.run(1)
    page.wait_for_selector(test_id("generate"))
    url = kernel_value(notebook, "server.url")
    field = page.locator(test_id("main"))
    field.click()
    field.fill(url)
    option = page.locator(test_id("option"))
    wait_until(page, lambda: option.count() == 1 and "A running llama-server" in option.inner_text())
    field.press("Enter")
    wait_until(page, lambda: page.input_value(test_id("main")) == url)
    wait_until(page, lambda: page.input_value(test_id("draft")) == "The server’s own draft")
    assert page.locator(test_id("told")).is_hidden()
    generate(page, 24)
    assert "does not tell who proposed which token" in page.inner_text(test_id("status"))
    told = page.locator(f"{test_id('told')} tr")
    wait_until(page, lambda: told.count() == 7)
    rows = dict(row.split("\t") for row in told.all_inner_texts())
    assert rows["how many were drafted and accepted"] == "yes" and rows["p and q"] == "no"
    wait_until(page, lambda: re.fullmatch(r"Acceptance rate\s+[\d.]+ %", page.inner_text(test_id("tile-acceptance"))))
    notebook.gallery("server-url")
    page.locator(test_id("told")).scroll_into_view_if_needed()
    notebook.shot("server-url-told")
    page.press(test_id("explorer"), "Control+d")
    assert page.input_value(test_id("draft")) == "The server’s own draft"
    assert not notebook.errors

"""One JupyterLab and one Chromium for all browser tests."""

import os

import pytest

from tests.browser.dashboard import test_id
from tests.browser.lab import CHROMIUM_ARGS, Lab, Notebook, find_chromium


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium():
    path = find_chromium()
    if path is None:
        sentence = "the browser tests need Chromium: apt-get install chromium fonts-dejavu-core"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return path


@pytest.fixture(scope="session")
def lab(chromium, tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


@pytest.fixture
def open_notebook(lab, page):
    """Open a notebook by name; its kernel is shut down at the end."""
    opened = []

    def open_one(name):
        notebook = Notebook(lab, page, name)
        opened.append(notebook)
        return notebook

    yield open_one
    for notebook in opened:
        notebook.page.evaluate("jupyterapp.shell.currentWidget?.sessionContext?.shutdown()")


@pytest.fixture
def open_page(browser, tmp_path):
    """Open the page of a trace or a comparison from disk, offline; what it says and asks for is collected."""
    contexts = []

    def open_one(recorded, scheme="light", width=1160, javascript=True):
        path = recorded.to_html(tmp_path / "run.html")
        context = browser.new_context(
            offline=True,
            color_scheme=scheme,
            viewport={"width": width, "height": 1000},
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("console", lambda message: page.errors.append(message.text))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()


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

"""Other places than JupyterLab that show notebooks: Notebook 7, Voila, marimo."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser.dashboard import STREAM, TOKENS, generate, test_id, wait_until
from tests.browser.lab import Lab, Notebook
from tests.browser.test_replay import recorded, round_shown

START_SECONDS = 90
OF_ITS_OWN = "Cannot read properties of undefined (reading 'schema')"
"""Of Notebook 7.6 while it starts, whatever is in the notebook: its keyboard shortcuts read settings not yet there."""
MARIMO = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import specviz as sv

    replay = mo.ui.anywidget(sv.replay("run.jsonl", autoplay=False))
    replay
    return
"""


class Notebook7(Lab):
    """Notebook 7, in place of JupyterLab."""

    app = ("notebook", "--JupyterNotebookApp.expose_app_in_browser=True")
    pages = "notebooks"


@contextmanager
def served(command, folder):
    """Run a server in a folder, `{port}` in its command a free one, until it answers; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    env |= {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
    address = f"http://127.0.0.1:{port}/"
    arguments = [argument.format(port=port) for argument in command[1:]]
    with (folder / "server.log").open("w+") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(command[0]), *arguments],
            cwd=folder,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + START_SECONDS
            while not answers(address):
                assert process.poll() is None and time.monotonic() < end, (folder / "server.log").read_text()[-3000:]
                time.sleep(0.2)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(15)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=30):
            return True
    except (urllib.error.URLError, OSError):
        return False


def plays(page):
    """The replay in the page steps and plays, and the kernel answers what is asked about a token."""
    page.wait_for_selector(test_id("player"), timeout=90_000)
    page.click(test_id("replay-restart"))
    wait_until(page, lambda: page.locator(TOKENS).count() == 0)
    page.click(test_id("replay-play"))
    wait_until(page, lambda: round_shown(page) > 3)
    page.click(test_id("replay-play"))
    assert page.locator(TOKENS).count() > 3
    page.locator(TOKENS).first.click()
    wait_until(page, lambda: "Draft model" in page.inner_text(test_id("inspector")))
    page.keyboard.press("Escape")
    assert page.eval_on_selector(f"{STREAM} .t", "one => getComputedStyle(one).textDecorationLine") == "underline"


@pytest.fixture
def notebook7(chromium, tmp_path):
    server = Notebook7(tmp_path)
    yield server
    server.close()


def test_the_quickstart_in_notebook_7(notebook7, page):
    notebook = Notebook(notebook7, page, "01-quickstart.ipynb")
    notebook.run(1)
    page.wait_for_selector(test_id("generate"))
    generate(page, 40)
    assert page.locator(TOKENS).count() == 40
    assert page.locator(f"{TOKENS}[data-kind=a]").count() > 3
    assert {*notebook.errors} <= {OF_ITS_OWN}
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def test_a_replay_in_voila(page, lab, tmp_path):
    recorded(60).save(tmp_path / "run.jsonl")
    name = lab.write("voila.ipynb", "import specviz as sv\nsv.replay('run.jsonl', autoplay=False)")
    (lab.root / name).rename(tmp_path / name)
    with served(["voila", "--no-browser", "--Voila.ip=127.0.0.1", "--port={port}", name], tmp_path) as address:
        page.goto(address)
        plays(page)


def test_a_replay_in_marimo(page, tmp_path):
    recorded(60).save(tmp_path / "run.jsonl")
    (tmp_path / "app.py").write_text(MARIMO)
    command = ["marimo", "run", "app.py", "--headless", "--no-token", "--host=127.0.0.1", "--port={port}"]
    with served(command, tmp_path) as address:
        page.goto(address)
        plays(page)

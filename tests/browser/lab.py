"""A real JupyterLab, and a notebook in it, for tests that look at what people see."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-results" / "screenshots"
START_SECONDS = 60
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark", "contrast": "JupyterLab Dark High Contrast"}
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KERNEL_IDLE = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Lab:
    """A JupyterLab server with settings, data and notebooks of its own, on loopback."""

    app = (
        "lab",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    )
    pages = "lab/tree"
    """Where notebooks are, below its address."""

    def __init__(self, home: Path) -> None:
        self.root = home / "notebooks"
        shutil.copytree(ROOT / "notebooks", self.root, ignore=shutil.ignore_patterns(".*"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.models = home / "models"
        self.models.mkdir()
        env = os.environ | {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        env |= {"SPECVIZ_MODELS": str(self.models), "XDG_CONFIG_HOME": str(home / "user-config"), "HF_HUB_OFFLINE": "1"}
        env |= {name: str(home / name) for name in ("HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE", "XDG_CACHE_HOME")}
        trust = "import pathlib, specviz.jupyter as j; j.trust(pathlib.Path.cwd().glob('*.ipynb'))"
        subprocess.run([sys.executable, "-c", trust], cwd=self.root, env=env, check=True)
        command = [
            Path(sys.executable).with_name("jupyter"),
            *self.app,
            "--no-browser",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
            *(["--allow-root"] if os.geteuid() == 0 else []),
        ]
        self.log = (home / "jupyter.log").open("w+")
        self.process = subprocess.Popen(
            command,
            env=env | {"JUPYTER_TOKEN": self.token},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait()

    def api(self, path: str) -> object:
        """Ask the server's REST API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.api("status")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.close()
        self.log.seek(0)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read()[-3000:]}")

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook with these code cells; return its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, self.root / name)
        return name

    def close(self) -> None:
        """End the server and every kernel it started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.flush()


class Notebook:
    """One notebook in one browser page."""

    def __init__(self, lab: Lab, page: object, name: str) -> None:
        self.lab, self.page, self.name = lab, page, name
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{lab.port}/{lab.pages}/{name}?reset&token={lab.token}")
        self._ready()

    def _ready(self) -> None:
        self.page.wait_for_function(KERNEL_IDLE, timeout=60_000)

    def reload(self) -> None:
        """Load the page anew and wait until the notebook is back."""
        self.page.goto(f"http://127.0.0.1:{self.lab.port}/{self.lab.pages}/{self.name}?token={self.lab.token}")
        self.page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 0", timeout=60_000
        )

    def command(self, name: str, **arguments: object) -> object:
        """Execute a command of JupyterLab."""
        return self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)", [name, arguments]
        )

    def run(self, index: int) -> None:
        """Run a cell, from 0, and wait until it has run."""
        self.page.evaluate(
            """async (index) => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                await jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def run_all(self) -> None:
        """Run all cells and wait until they have run."""
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        self._ready()

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and return what is in the file."""
        self.command("docmanager:save")
        return nbformat.read(self.lab.root / self.name, as_version=4)

    def outputs(self, index: int) -> str:
        """Text of a cell's output."""
        return self.page.evaluate(
            "(i) => jupyterapp.shell.currentWidget.content.widgets[i].outputArea.node.innerText", index
        )

    def choose(self, role: str, words: str) -> None:
        """Choose the first model that has all these words, as the main model or the draft."""
        field = self.page.locator(f"[data-testid={role}]")
        field.click()
        field.fill(words)
        field.press("Enter")

    def kernel_pid(self) -> int:
        """Process id of the notebook's kernel."""
        self.page.evaluate(
            """async () => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({code: 'import os; print(os.getpid())', store_history: false});
                window.specvizPid = '';
                future.onIOPub = (m) => { if (m.header.msg_type === 'stream') window.specvizPid += m.content.text; };
                await future.done;
            }"""
        )
        return int(self.page.evaluate("window.specvizPid"))

    def theme(self, name: str) -> None:
        """Switch JupyterLab's theme to one of `THEMES`."""
        self.command("apputils:change-theme", theme=THEMES[name])
        self.page.wait_for_function(f"document.body.dataset.jpThemeName === '{THEMES[name]}'")
        self.page.wait_for_timeout(400)

    def shot(self, name: str) -> Path:
        """Take a screenshot into test-results/screenshots, the dashboard (if any) at the top."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.evaluate("document.querySelector('[data-testid=explorer]')?.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(200)
        self.page.screenshot(path=path)
        return path

    def gallery(self, name: str) -> None:
        """Take the screenshot in both themes and in two widths."""
        for theme in ("dark", "light"):
            self.theme(theme)
            for width in (700, 1400):
                self.page.set_viewport_size({"width": width, "height": 1000})
                self.page.wait_for_timeout(400)
                self.shot(f"{name}-{theme}-{width}")

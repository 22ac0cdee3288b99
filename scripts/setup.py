"""Set up a checkout: virtual environment, Python packages, JavaScript bundle; with --chromium the browser for tests.

Standard library only. What was done is remembered by the content of its inputs, so that a second run does nothing, and
only after it was done, so that a run that was broken off is taken up again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
JS = ROOT / "js"
STAMPS = VENV / "specviz-setup.json"
LAUNCHER = JS / "launcher"
STATIC = ROOT / "specviz" / "static"
BUNDLE = [STATIC / "widgets.js", STATIC / "widgets.css", LAUNCHER / "static" / "launcher.js"]
EXTRAS = "llamacpp,demo,lab,dev"
CMAKE_ARGS = "-DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF"
"""Parts of llama.cpp that specviz has no use for, and that take long to compile."""
MIN_PYTHON, MIN_NODE = (3, 11), 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing(which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Say in one sentence what this machine lacks and how to get it; None if nothing."""
    if sys.version_info < MIN_PYTHON:
        have = ".".join(map(str, sys.version_info[:2]))
        return f"specviz needs Python 3.11 or newer, this is {have}: call make with PYTHON=/path/to/python3.11"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "specviz needs Python's venv module to make its environment: apt-get install python3-venv"
    if not any(map(which, ("c++", "g++", "clang++"))):
        return "specviz needs a C++ compiler to build llama.cpp: apt-get install g++ (macOS: xcode-select --install)"
    node = which("node")
    if node is None or which("npm") is None:
        return "specviz needs Node.js 20 or newer with npm to build its widgets: apt-get install nodejs npm"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    if found is None or int(found[1]) < MIN_NODE:
        return f"specviz needs Node.js 20 or newer to build its widgets, this is {said.strip() or 'broken'}: upgrade it"
    return None


def digest(paths: Iterable[Path], *more: str) -> str:
    """Hash the content of files, and what else the result depends on."""
    hashed = hashlib.sha256()
    for path in sorted(paths):
        hashed.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    for text in more:
        hashed.update(text.encode() + b"\0")
    return hashed.hexdigest()


def stamps() -> dict[str, str]:
    """Return what was done, by the digests of its inputs."""
    try:
        return dict(json.loads(STAMPS.read_text()))
    except (OSError, ValueError):
        return {}


def stamp(name: str, value: str) -> None:
    """Remember that a step was done."""
    STAMPS.write_text(json.dumps(stamps() | {name: value}, indent=1))


def call(*command: str | Path, cwd: Path = ROOT, **env: str) -> None:
    """Run a command, show it, and end with its status if it fails."""
    print("+", *command, flush=True)
    status = subprocess.run([str(part) for part in command], cwd=cwd, env=os.environ | env, check=False).returncode
    if status != 0:
        sys.exit(f"specviz set-up: `{command[0]}` failed with status {status}; what it said stands above")


def python_packages() -> None:
    """Make the environment and install everything into it."""
    if not (VENV / "bin" / "python").exists():
        call(sys.executable, "-m", "venv", VENV)
    pip = VENV / "bin" / "pip"
    probe = [VENV / "bin" / "python", "-c", "import llama_cpp.llama_cpp"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        print("Building llama.cpp takes some five minutes, once; pip keeps the result for other checkouts.", flush=True)
    constraints = ROOT / "constraints.txt"
    call(
        pip,
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        f".[{EXTRAS}]",
        CMAKE_ARGS=os.environ.get("CMAKE_ARGS", CMAKE_ARGS),
        PIP_CONSTRAINT=str(constraints),
    )


def lab_settings() -> None:
    """Keep the environment's JupyterLab from asking about news and updates: nothing here uses a network."""
    folder = VENV / "share" / "jupyter" / "lab" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (folder / "overrides.json").write_text(json.dumps({"@jupyterlab/apputils-extension:notification": quiet}))


def launcher() -> None:
    """Link the card for JupyterLab's launcher into the environment: an editable installation leaves it out."""
    link = VENV / "share" / "jupyter" / "labextensions" / "specviz-lab"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(LAUNCHER)


def setup() -> None:
    """Do what has not been done."""
    js_sources = [path for path in (JS / "src").rglob("*") if path.is_file()]
    js_config = [path for path in JS.iterdir() if path.is_file()]
    python_inputs = digest([ROOT / "pyproject.toml", ROOT / "constraints.txt"], sys.version, str(VENV))
    npm_inputs = digest([JS / "package.json", JS / "package-lock.json"])
    bundle_inputs = digest([*js_sources, *js_config])
    done = stamps()
    todo_python = done.get("python") != python_inputs
    todo_npm = done.get("npm") != npm_inputs or not (JS / "node_modules").is_dir()
    todo_bundle = todo_npm or done.get("bundle") != bundle_inputs or not all(path.is_file() for path in BUNDLE)
    if not (todo_python or todo_bundle):
        return
    lacks = missing()
    if lacks is not None:
        sys.exit(lacks)
    if todo_python:
        python_packages()
        lab_settings()
        launcher()
        stamp("python", python_inputs)
    if todo_npm:
        call("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=JS)
        stamp("npm", npm_inputs)
    if todo_bundle:
        call("npm", "run", "--silent", "build", cwd=JS)
        stamp("bundle", bundle_inputs)


def chromium() -> None:
    """Install Chromium for the browser tests where it is missing and we may."""
    if any(map(shutil.which, CHROMIUM_NAMES)):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("The browser tests need Chromium: apt-get install chromium fonts-dejavu-core", flush=True)
        return
    call("apt-get", "update", "-q")
    packages = ("chromium", "fonts-dejavu-core")
    call("apt-get", "install", "-yq", "--no-install-recommends", *packages, DEBIAN_FRONTEND="noninteractive")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", action="store_true", help="only see to the browser for the tests")
    if parser.parse_args().chromium:
        chromium()
    else:
        setup()

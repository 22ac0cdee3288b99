"""Open JupyterLab on the quickstart; on a machine without a screen print the address and keep serving."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def arguments() -> list[str]:
    """Return JupyterLab's command line: on loopback, silent towards the network."""
    options = [
        "--ip=127.0.0.1",
        f"--ServerApp.root_dir={ROOT / 'notebooks'}",
        "--LabApp.default_url=/lab/tree/01-quickstart.ipynb",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    screen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not screen or os.environ.get("SSH_CONNECTION"):
        options.append("--no-browser")
    if os.geteuid() == 0:
        options.append("--allow-root")
    return ["lab", *options, *sys.argv[1:]]


if __name__ == "__main__":
    jupyter = Path(sys.executable).with_name("jupyter")
    os.execv(jupyter, [str(jupyter), *arguments()])

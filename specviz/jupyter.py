"""`specviz lab`: JupyterLab on a copy of the tutorials."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FIRST = "01-quickstart.ipynb"


def add_jupyter_command(commands: Any) -> None:
    """Add the command to those of an `argparse` parser; it sets `run`, which does not return."""
    parser = commands.add_parser(
        "lab",
        help="JupyterLab on a copy of the tutorials",
        description="Open JupyterLab in a folder with the tutorials. Those that it lacks are copied into it; what is "
        "there stays as it is.",
    )
    parser.set_defaults(run=_lab)
    add = parser.add_argument
    add("folder", nargs="?", default="specviz-notebooks", metavar="FOLDER", help="made if missing (%(default)s)")
    add("--port", type=int, metavar="N", help="0: a free one (default: JupyterLab's, the first free one from 8888)")
    add("--no-browser", action="store_true", help="print the address only, as on a machine without a screen")


def copy_tutorials(folder: Path) -> list[Path]:
    """Copy what a folder lacks of the tutorials and the traces that they show; nothing that is there is changed.

    Returns
    -------
    list of Path
        The new files.

    Raises
    ------
    OSError
        The folder cannot be made or written to.
    """
    home, new = _home(), []
    for name in tutorials():
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            new.append(shutil.copyfile(home / name, folder / name))
    return new


def trust(notebooks: Iterable[Path]) -> None:
    """Sign notebooks: JupyterLab takes saved outputs that nobody signed for foreign, and then restores no widget."""
    import nbformat
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    for path in notebooks:
        notary.sign(nbformat.read(path, as_version=4))


def tutorials() -> list[Path]:
    """Return the names of the tutorials' files, relative to their folder."""
    home = _home()
    return sorted(path.relative_to(home) for pattern in ("*.ipynb", "traces/*.jsonl") for path in home.glob(pattern))


def _home() -> Path:
    """Return the tutorials' folder: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    return next(home for home in (package / "notebooks", package.parent / "notebooks") if home.is_dir())


def _lab(arguments: argparse.Namespace) -> int:
    """Become JupyterLab: on loopback, and silent towards the network."""
    if find_spec("jupyterlab") is None:
        raise RuntimeError('JupyterLab is not installed: pip install "specviz-lab[lab]"')
    folder = Path(arguments.folder).resolve()
    new = copy_tutorials(folder)
    trust(path for path in new if path.suffix == ".ipynb")
    print(f"{folder}: {len(new)} files copied, {len(tutorials()) - len(new)} were there", flush=True)
    options = [
        "--ip=127.0.0.1",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if arguments.port is not None:
        options.append(f"--port={arguments.port}")
    if arguments.no_browser or not _has_screen():
        options.append("--no-browser")
    if os.geteuid() == 0:
        options.append("--allow-root")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])


def _has_screen() -> bool:
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

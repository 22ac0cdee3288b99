"""Run the tutorial notebooks and keep their saved outputs fresh.

    python scripts/notebooks.py [--check] [NOTEBOOK ...]

Each notebook runs top to bottom in a fresh kernel, in a folder that holds nothing but the recorded traces, and as on a
machine without a network and without other models than the demo's; a look-alike on loopback stands for the Hugging Face
hub. The solutions of its exercises (Python blocks within `<details>`) run where they stand; what they print is not
kept. Without `--check` the outputs are written back, clean: no live widgets (a saved notebook shows their static
record), no paths of this machine, no times of execution, no ids.

With `--check` nothing is written; outputs are compared with the saved ones. They must be equal, of HTML the words; of
images it is enough that they are there, since fonts differ. Of cells tagged `timed` only the shape must be equal: the
kinds of their outputs, and the columns of tables. That tag is for whatever depends on the machine: on its speed, or on
how its processor rounds, which moves probabilities a little and, at a near tie, a word of an answer. So what a model
says is `timed`, what is claimed of it (the same tokens, a rate that falls) and all arithmetic is not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from specviz.models import demo_mains  # noqa: E402
from tests.models.hub import Hub  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
TRACES = "traces"
TIMED = "timed"
WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_SECONDS = 300
"""A guard against hanging."""
ELSEWHERE = ("HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE", "XDG_CONFIG_HOME", "HOME")
"""Variables that say where a user keeps models and settings."""
ON_THE_HUB = ("bartowski/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct-Q8_0.gguf")
"""Repository and file under which the look-alike of the hub has the demo's main model."""


def notebooks() -> list[Path]:
    """Return the tutorials, in their order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def solutions(markdown: str) -> list[str]:
    """Return the Python code that a markdown cell hides."""
    hidden = re.findall(r"<details>.*?</details>", markdown, re.DOTALL)
    return [code for one in hidden for code in re.findall(r"^```python\n(.*?)^```", one, re.DOTALL | re.MULTILINE)]


def execute(path: Path) -> NotebookNode:
    """Run a notebook and return it with clean outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell or a solution fails; the message holds its code.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    notebook.cells = [one for cell in cells for one in (cell, *_solution_cells(cell))]
    with TemporaryDirectory() as home, _hub() as hub:
        folder = Path(home) / "notebooks"
        shutil.copytree(NOTEBOOKS / TRACES, folder / TRACES)
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        env = os.environ | dict.fromkeys(ELSEWHERE, home) | {"XDG_CACHE_HOME": cache, "HF_ENDPOINT": hub}
        client = NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name="python3", record_timing=False, store_widget_state=False
        )
        client.execute(cwd=str(folder), env=env)
        notebook.cells = cells
        _clean(notebook, [f"{folder}/", f"{home}/", f"{ROOT}/", f"{Path.home()}/"])
    return notebook


def differences(saved: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Say, cell by cell, where saved outputs are no longer what the notebook gives."""
    found = []
    for i, (before, now) in enumerate(zip(saved.cells, fresh.cells, strict=True)):
        if before.cell_type != "code":
            continue
        view = _shape if TIMED in now.metadata.get("tags", ()) else _content
        if view(before) != view(now):
            found.append(f"cell {i}:\n  saved {view(before)}\n  now   {view(now)}")
    return found


@contextmanager
def _hub() -> Iterator[str]:
    hub = Hub()
    hub.files[ON_THE_HUB] = demo_mains()[0].path.read_bytes()
    try:
        yield hub.url
    finally:
        hub.close()


def _solution_cells(cell: NotebookNode) -> list[NotebookNode]:
    if cell.cell_type != "markdown":
        return []
    return [nbformat.v4.new_code_cell(code) for code in solutions(cell.source)]


def _clean(notebook: NotebookNode, folders: list[str]) -> None:
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.execution_count = count
        cell.outputs = [_cleaned(output, count, folders) for output in _joined(cell.outputs)]


def _joined(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Yield outputs without live widgets, and pieces of one stream as one."""
    last = None
    for output in outputs:
        if WIDGET in output.get("data", ()):
            continue
        if last is not None and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
            continue
        if last is not None:
            yield last
        last = output
    if last is not None:
        yield last


def _cleaned(output: NotebookNode, count: int, folders: list[str]) -> NotebookNode:
    def clean(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        for folder in folders:
            text = text.replace(folder, "")
        return re.sub(r' data-feed="\w*"', "", text)

    if "text" in output:
        output.text = clean(output.text)
    if "data" in output:
        output.data = nbformat.from_dict({kind: clean(value) for kind, value in output.data.items()})
        output.metadata = nbformat.from_dict({})
    if "execution_count" in output:
        output.execution_count = count
    return output


def _content(cell: NotebookNode) -> list[Any]:
    return [
        output.get("text") or {kind: _words(kind, value) for kind, value in output.get("data", {}).items()}
        for output in cell.outputs
    ]


def _words(kind: str, value: Any) -> Any:
    if kind.startswith("image/"):
        return None
    return re.sub(r"<[^>]*>", "", value) if kind == "text/html" else value


def _shape(cell: NotebookNode) -> list[Any]:
    shape: list[Any] = []
    for output in cell.outputs:
        kinds = sorted(output.get("data", ()))
        head = re.search(r"<thead>.*?</thead>", output.get("data", {}).get("text/html", ""), re.DOTALL)
        shape.append((output.output_type, kinds, re.findall(r"<th.*?>(.*?)</th>", head[0]) if head else []))
    return shape


def main() -> int:
    """Run notebooks; return the number of those whose saved outputs are not fresh."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all, if none is named")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    stale = 0
    for path in arguments.notebooks or notebooks():
        print(path.name, flush=True)
        fresh = execute(path)
        if not arguments.check:
            nbformat.write(fresh, path)
        elif found := differences(nbformat.read(path, as_version=4), fresh):
            stale += 1
            print(*found, sep="\n")
    return stale


if __name__ == "__main__":
    sys.exit(main())

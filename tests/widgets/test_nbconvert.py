"""A notebook that was run, exported by nbconvert: what the widgets showed stands in it, without a kernel."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from specviz.models import demo_drafts
from tests.trace.test_comparison import answer


def nbconvert(*arguments):
    command = [Path(sys.executable).with_name("jupyter"), "nbconvert", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=240)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook with an Explorer, a Replay and a comparison, run to its end."""
    folder = tmp_path_factory.mktemp("notebook")
    drafts = {model.name.rpartition("-")[2][:3]: str(model.path) for model in demo_drafts()}
    answer("Played", " well").save(folder / "a.jsonl")
    answer("Played", " badly").save(folder / "b.jsonl")
    cells = [
        f"import specviz as sv\nexplorer = sv.explore({drafts['22m']!r}, {drafts['12m']!r}, max_tokens=24)\nexplorer",
        "explorer.generate()\nassert explorer.wait(120)",
        "print(explorer.text)",
        "sv.replay('a.jsonl')",
        "sv.compare('a.jsonl', 'b.jsonl')",
    ]
    path = folder / "all.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    nbconvert("--to", "notebook", "--execute", "--inplace", str(path))
    return path


@pytest.mark.parametrize("with_state", [True, False], ids=["with widget state", "as JupyterLab saves it"])
def test_the_page_shows_the_coloured_text(executed, tmp_path, with_state):
    notebook = nbformat.read(executed, as_version=4)
    said = notebook.cells[2].outputs[0].text.strip()
    if not with_state:
        notebook.metadata.pop("widgets", None)
    path = tmp_path / "all.ipynb"
    nbformat.write(notebook, path)
    nbconvert("--to", "html", str(path))
    html = path.with_suffix(".html").read_text("utf-8")
    explorer, replay, compared = re.findall(r'<div class="specviz-static".*?</div>\s*</div>', html, re.DOTALL)
    assert said.split()[0] in re.sub(r"<[^>]+>", "", explorer) and "<u style=" in explorer
    assert "Played" in replay and "well" in replay
    assert "They part at token 1" in compared and "badly" in compared

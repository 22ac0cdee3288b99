"""The tutorials run, and what is saved in them is what they give."""

import getpass
import importlib.util
import re
import tempfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
MAX_BYTES = 500_000
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")


def load_script():
    spec = importlib.util.spec_from_file_location("specviz_notebooks", ROOT / "scripts" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()
tutorials = pytest.mark.parametrize("path", script.notebooks(), ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def machine_paths():
    user = getpass.getuser()
    homes = [Path.home(), tempfile.gettempdir(), ROOT, "/home/", "/Users/", "/tmp/", "\\Users\\"]
    return [*map(str, homes), *([user] if user != "root" else [])]


def test_there_are_seven():
    assert [path.name[:2] for path in script.notebooks()] == [f"0{n}" for n in range(1, 8)]


@tutorials
def test_it_runs_and_its_saved_outputs_are_fresh(path):
    saved = read(path)
    assert any(script.solutions(cell.source) for cell in saved.cells) or path.name.startswith("01")
    assert not script.differences(saved, script.execute(path))


@tutorials
def test_what_is_saved_shows_on_github_and_tells_nothing_of_the_machine(path):
    assert path.stat().st_size < MAX_BYTES
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    for output in (output for cell in code for output in cell.outputs):
        texts = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
        assert set(output.get("data", ())) <= {"text/plain", "text/html", "text/markdown", "image/png"}
        assert "<script" not in texts.get("text/html", "")
        shown = "".join((*texts.values(), output.get("text", "")))
        assert not [machine for machine in machine_paths() if machine in shown]


@tutorials
def test_its_links_lead_somewhere(path):
    markdown = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert not [link for link in LINK.findall(markdown) if not (path.parent / link).exists()]


def notebook_of(*outputs, timed=False):
    metadata = {"tags": [script.TIMED]} if timed else {}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=list(outputs), metadata=metadata)])


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def table(*columns, value):
    head = "".join(f"<th>{column}</th>" for column in columns)
    return nbformat.v4.new_output("display_data", {"text/html": f"<thead>{head}</thead><td>{value}</td>"})


@pytest.mark.parametrize(
    ("saved", "fresh", "timed", "stale"),
    [
        (printed("12 ms"), printed("12 ms"), False, False),
        (printed("12 ms"), printed("13 ms"), False, True),
        (printed("12 ms"), printed("13 ms"), True, False),
        (table("p", "q", value=1), table("p", "q", value=2), False, True),
        (table("p", "q", value=1), table("p", "q", value=2), True, False),
        (table("p", "q", value=1), table("p", value=1), True, True),
        (printed("12 ms"), table("p", value=1), True, True),
    ],
)
def test_what_counts_as_stale(saved, fresh, timed, stale):
    assert bool(script.differences(notebook_of(saved, timed=timed), notebook_of(fresh, timed=timed))) == stale


def test_a_failing_solution_is_found(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("<details>\n\n```python\nraise ValueError('wrong')\n```\n</details>")]
    path = tmp_path / "wrong.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(Exception, match=r"ValueError\('wrong'\)"):
        script.execute(path)

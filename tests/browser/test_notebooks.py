"""The tutorials in a real JupyterLab: every cell runs, and nothing goes wrong in the page."""

import pytest

from tests.browser.dashboard import test_id
from tests.browser.lab import ROOT

NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_top_to_bottom(open_notebook, name):
    notebook = open_notebook(name)
    notebook.run_all()
    code = [cell for cell in notebook.save().cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert all(cell.execution_count for cell in code)
    notebook.page.wait_for_selector(test_id("explorer" if name.startswith("01") else "player"), state="attached")
    assert not notebook.errors

"""A fast stream in a real JupyterLab: every token in order, in few messages, also after a reload in its middle."""

from benchmarks import stage
from tests.browser.dashboard import TOKENS, points

N_TOKENS, PER_SECOND = 5000, 2000
SLOWLY = 500
"""Tokens per second of the run in whose middle the page is loaded anew."""


def test_a_fast_stream_arrives_whole_and_in_order(lab, open_notebook):
    show, follow = stage.cells(N_TOKENS, PER_SECOND)
    _, slowly = stage.cells(N_TOKENS, SLOWLY)
    notebook = open_notebook(lab.write("load.ipynb", show, follow, slowly))
    page = notebook.page
    notebook.run(0)
    stage.watch(page)
    notebook.run(1)
    stage.finish(notebook, N_TOKENS, 60)
    n, told, seq = stage.in_kernel(notebook, "[len(source.trace), list(source.told), feed._seq]")
    assert stage.right(page) == len(told) == n >= N_TOKENS
    assert seq <= 40 * (told[-1] - told[0]) + 4
    assert points(page, "acceptance") > 500

    page.evaluate("stage.shown.length = 0")
    notebook.run(2)
    page.wait_for_function("stage.shown.length > 500")
    notebook.save()
    notebook.reload()
    page.wait_for_selector(TOKENS)
    assert page.locator(TOKENS).count() < N_TOKENS, "the reload was to be in mid-stream"
    stage.finish(notebook, n, 60)
    assert stage.right(page) == n
    assert not notebook.errors

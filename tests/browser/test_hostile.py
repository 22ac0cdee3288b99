"""Text that wants to be more than text, in every view: nothing runs, nothing grows, and neighbours keep their order."""

import pytest

from specviz.trace import Header, ModelInfo, Pieces, Round, StopReason, Summary, Trace
from tests.browser.dashboard import STREAM, TOKENS, test_id, wait_until

IMAGE = "<img src=x onerror=window.pwned=1>"
PIECES = [
    IMAGE.encode(),
    b"</script><script>window.pwned=1</script>",
    b"</details></div><style>*{display:none}</style>",
    "\u202eevil\u2066\u2067".encode(),
    b"\0",
    b"\xed\xa0\x80",  # a surrogate on its own
    b"\x1b[31mred\x1b[0m\x1b]8;;javascript:window.pwned=1\x07",
    b"javascript:window.pwned=1",
    b"x" * 100_000,
    b"\n",
]
FIRST, LAST = b"first ", b" last"


FEED = """
from specviz.trace import Header, Trace
class Told:
    trace = None
    def __init__(self, trace):
        self.events = trace.events()
    def next_event(self, timeout=None):
        event = next(self.events, None)
        if isinstance(event, Header):
            self.trace = Trace(event)
        elif event is not None:
            self.trace.add(event)
        return event
feed = sv.Feed(show_rejected=True).follow(Told(trace))
feed"""
SHOWN = f"{TOKENS}, {STREAM} .x"
VIEWS = {
    "feed": (FEED, SHOWN),
    "replay": ("sv.replay(trace, autoplay=False, show_rejected=True)", SHOWN),
    "compare": ("sv.compare(trace, trace)", f"{test_id('compare-text')} [data-i]"),
    "record": ("trace", ".jp-OutputArea-output em"),
}
"""What a cell says, and what in its output are tokens."""


def hostile():
    """A trace in which every text is hostile, reasoned and dropped ones too."""
    pieces = [FIRST, b"<think>", *PIECES, b"</think>", *PIECES, LAST]
    ids = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
    evil = ModelInfo(name=IMAGE)
    header = Header(main=evil, draft=evil, drafter="model", prompt=f"{IMAGE}\u202e")
    trace = Trace.of([header, Pieces.of({id: piece for piece, id in ids.items()})])
    for index, piece in enumerate(pieces):
        drafted = (ids[pieces[index - 1]], ids[PIECES[0]])
        trace.add(Round(index=index, start=index, drafted=drafted, sent=2, closing=ids[piece], verify_seconds=0.1))
    trace.add(Summary(stop_reason=StopReason.MAX_TOKENS, notes=(IMAGE,)))
    return trace


def harmless(page, root):
    """Assert that nothing ran, nothing became markup, and nothing is wider than the page."""
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert page.locator(f"{root} :is(img[src=x], script, style)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def turned(page, tokens):
    """Neighbours that stand on one line, but not from left to right."""
    return page.eval_on_selector_all(
        tokens,
        """all => {
            const seen = all
                .map((one) => [one.textContent.slice(0, 20), [...one.getClientRects()]])
                .filter(([, boxes]) => boxes.length);
            const line = (boxes, top) => boxes.filter((box) => Math.abs(box.top - top) < 4);
            return seen.slice(1).flatMap(([text, boxes], i) => {
                const [before, theirs] = seen[i];
                const last = line(theirs, Math.max(...theirs.map((box) => box.top)));
                const first = line(boxes, Math.min(...boxes.map((box) => box.top)));
                const beside = Math.abs(first[0].top - last[0].top) < 4;
                const end = Math.max(...last.map((box) => box.right));
                const start = Math.min(...first.map((box) => box.left));
                return beside && start < end - 1 ? [[before, end, text, start]] : [];
            });
        }""",
    )


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_text_in_a_notebook(lab, open_notebook, view):
    trace, (code, tokens) = hostile(), VIEWS[view]
    trace.save(lab.root / "hostile.jsonl")
    source = f"import specviz as sv\ntrace = sv.read_trace('hostile.jsonl')\n{code}"
    notebook = open_notebook(lab.write("hostile.ipynb", source))
    page = notebook.page
    notebook.run(0)
    wait_until(page, lambda: page.locator(tokens).count() >= len(trace))
    fold = page.locator(f"{test_id('reasoning')}:visible, .jp-OutputArea-output details:has(em) > summary:visible")
    if fold.count():
        fold.first.click()  # in a comparison there is one of each answer, and they open together
    assert turned(page, tokens) == []
    if view != "record":
        page.locator(tokens).nth(2).click()
        page.wait_for_selector(f"{test_id('inspector')} .sv-in-round")
    harmless(page, ".jp-OutputArea-output")
    assert not notebook.errors


@pytest.mark.parametrize("javascript", [True, False])
def test_hostile_text_in_a_page(browser, tmp_path, javascript):
    path = hostile().to_html(tmp_path / "run.html", show_rejected=True)
    context = browser.new_context(offline=True, java_script_enabled=javascript)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    if javascript:
        page.click(test_id("reasoning"))
        assert turned(page, SHOWN) == []
        harmless(page, "main")
    else:
        page.click("summary")
        assert turned(page, ".specviz-static em") == []
    context.close()
    assert not errors

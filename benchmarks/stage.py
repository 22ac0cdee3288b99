"""The stage under load: generations of a known speed through a real feed into a real JupyterLab and Chromium."""

from __future__ import annotations

import gzip
import json
import queue
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from benchmarks.measure import table
from specviz.trace import Event, Header, ModelInfo, Pieces, Round, StopReason, Summary, Trace
from specviz.widgets.bundle import STATIC

ROOT = Path(__file__).parents[1]
N_WORDS = 997
LINE = 24
"""Every so many words of the vocabulary one ends a line."""
MIB = 2**20
STREAM = "[data-testid=stream]"
TOKENS = f"{STREAM} [data-i]"
PROBE = Path(__file__).with_name("stage.js")


class Source:
    """A generation as a feed takes it: real rounds of four drafted tokens, made by the clock instead of an engine.

    Parameters
    ----------
    n_tokens
        How long; the last round may pass it by up to four.
    per_second
        Output tokens per second.
    """

    def __init__(self, n_tokens: int, per_second: float) -> None:
        self.trace: Trace | None = None
        self.told = array("d")
        """When each token was handed over, in seconds since the epoch."""
        self._per_second = per_second
        self._events = self._make(n_tokens)
        self._next: Event | None = next(self._events)
        self._due = self._start = time.monotonic()

    def cancel(self) -> None:
        """End after the next event, as stopped by the user."""
        self._events = iter((Summary(stop_reason=StopReason.USER_STOPPED),))

    def next_event(self, timeout: float | None = None) -> Event | None:
        """Return the next event when it is due, None at the end; as `Generation.next_event`."""
        wait = self._due - time.monotonic()
        if timeout is not None and wait > timeout:
            time.sleep(timeout)
            raise queue.Empty
        if wait > 0:
            time.sleep(wait)
        event, self._next = self._next, next(self._events, None)
        if isinstance(event, Header):
            self.trace = Trace(event)
        elif event is not None and self.trace is not None:
            self.trace.add(event)
            self._due = self._start + len(self.trace) / self._per_second
            self.told.extend([time.time()] * (len(self.trace) - len(self.told)))
        return event

    def _make(self, n_tokens: int) -> Iterator[Event]:
        yield Header(main=ModelInfo(name="main"), draft=ModelInfo(name="draft"), drafter="model", prompt="Count.")
        yield Pieces(text={id: word(id) for id in range(N_WORDS)})
        top = tuple((id, 0.2) for id in range(5))
        start = index = 0
        seconds = 1 / self._per_second
        while start < n_tokens:
            accepted = index % 5
            right = [token(start + j) for j in range(5)]
            drafted = (*right[:accepted], *((id + 1) % N_WORDS for id in right[accepted:4]))
            yield Round(
                index=index,
                start=start,
                drafted=drafted,
                sent=4,
                accepted=accepted,
                closing=right[accepted],
                q=(0.5,) * 4,
                p=(0.6,) * 4,
                rank=(*(1,) * accepted, *(None,) * (4 - accepted)),
                closing_p=0.7,
                main_top=(top,) * 5,
                draft_top=(top,) * 4,
                time=start * seconds,
                draft_seconds=0.3 * seconds * (accepted + 1),
                verify_seconds=0.6 * seconds * (accepted + 1),
                other_seconds=0.1 * seconds * (accepted + 1),
            )
            start += accepted + 1
            index += 1
        yield Summary(stop_reason=StopReason.MAX_TOKENS)


def token(i: int) -> int:
    """Return the id of the i-th output token: one that is lost or out of place shifts all that follow."""
    return i * i % N_WORDS


def word(id: int) -> str:
    """Return the text of a token."""
    return f" {id}\n" if id % LINE == 0 else f" {id}"


@contextmanager
def stage() -> Iterator[Any]:
    """Start a JupyterLab and a browser; gives a function that opens a notebook with some cells in it."""
    from playwright.sync_api import sync_playwright

    from tests.browser.lab import CHROMIUM_ARGS, Lab, Notebook, find_chromium

    with TemporaryDirectory() as home, sync_playwright() as playwright:
        lab = Lab(Path(home))
        try:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGS)

            def open_notebook(name: str, *cells: str) -> Notebook:
                page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
                return Notebook(lab, page, lab.write(name, *cells))

            yield open_notebook
        finally:
            lab.close()


def cells(n_tokens: int, per_second: float) -> tuple[str, str]:
    """Return a notebook's cells: one that shows a feed, and one that lets it follow a source."""
    return (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport specviz as sv\nfrom benchmarks.stage import Source\n"
        "feed = sv.Feed()\nfeed",
        f"source = Source({n_tokens}, {per_second})\nfeed.follow(source)\nNone",
    )


def watch(page: Any) -> None:
    """Note from here on when tokens are on the screen, what their drawing took, and when plots are redrawn."""
    page.wait_for_selector(STREAM)
    page.wait_for_selector("[data-testid=plot-speedup] .main-svg")
    page.evaluate(PROBE.read_text())


def finish(notebook: Any, n_tokens: int, seconds: float) -> None:
    """Wait until all tokens are drawn."""
    end = time.monotonic() + seconds
    while not notebook.page.query_selector(f"{TOKENS}[data-i='{n_tokens - 1}']"):
        if time.monotonic() > end:
            n = notebook.page.locator(TOKENS).count()
            raise TimeoutError(f"{n} of {n_tokens} tokens drawn after {seconds} s; errors: {notebook.errors}")
        notebook.page.wait_for_timeout(250)
    notebook.page.wait_for_timeout(500)


def right(page: Any) -> int:
    """Return how many tokens the page shows.

    Raises
    ------
    AssertionError
        If one of them is lost, doubled or out of place.
    """
    read = "all => JSON.stringify(all.map(e => [Number(e.dataset.i), e.textContent]))"
    shown = json.loads(page.eval_on_selector_all(TOKENS, read))
    for i, (at, text) in enumerate(shown):
        assert (at, text) == (i, word(token(i)).rstrip("\n")), f"token {i} is {text!r}, shown as number {at}"
    return len(shown)


def in_kernel(notebook: Any, expression: str) -> Any:
    """Return the value of an expression in the kernel, through JSON."""
    from tests.browser.dashboard import kernel_value

    return json.loads(kernel_value(notebook, f"__import__('json').dumps({expression})"))


def live(n_tokens: int, per_second: float) -> list[tuple[str, str]]:
    """Measure a stream from its first token to its last, and one whose page is reloaded in the middle."""
    with stage() as open_notebook:
        notebook = open_notebook("live.ipynb", *cells(n_tokens, per_second))
        page, kernel = notebook.page, psutil.Process(notebook.kernel_pid())
        notebook.run(0)
        watch(page)
        before = kernel.cpu_times()
        notebook.run(1)
        finish(notebook, n_tokens, 10 + 3 * n_tokens / per_second)
        after = kernel.cpu_times()
        n = right(page)
        told, seq = in_kernel(notebook, "[list(source.told), feed._seq]")
        probe = page.evaluate("stage")
        seconds = told[-1] - told[0]
        late = 1e3 * (np.array(probe["shown"]) / 1e3 - np.array(told))
        frames = [ms for upto, ms in probe["appends"] if upto > 0.9 * n]
        busy = (after.user + after.system - before.user - before.system) / seconds
        alone = in_kernel(notebook, f"__import__('benchmarks.stage').stage.bare({n_tokens}, {per_second})")

        page.evaluate("stage.shown.length = 0")
        notebook.run(1)
        page.wait_for_function(f"stage.shown.length > {n_tokens / 4}")
        notebook.save()
        notebook.reload()
        page.wait_for_selector(TOKENS)
        restored = page.locator(TOKENS).count()
        finish(notebook, n, 20 + 3 * n_tokens / per_second)
        assert right(page) == n and not notebook.errors
    redraws = {name: len(at) / (at[-1] - at[0]) * 1e3 for name, at in probe["redraws"].items()}
    return [
        ("tokens shown, none lost, doubled or out of place", f"{n:,} of {len(told):,}"),
        ("speed of the source", f"{n / seconds:,.0f} tokens/s"),
        ("from the kernel to the screen, p50 / p95", percentiles(late, 0)),
        ("messages of the feed", f"{seq / seconds:.1f} a second"),
        ("drawing a batch of tokens, over the last tenth, p50 / p95", percentiles(frames, 1)),
        ("redraws of a plot, the slowest", f"{min(redraws.values()):.1f} a second"),
        ("CPU of the kernel, and of the source without a feed", f"{busy:.1%} and {alone:.1%} of a core"),
        ("reloaded in mid-stream", f"{restored:,} tokens restored at once, all {n:,} in the end"),
    ]


def percentiles(ms: Sequence[float], digits: int) -> str:
    """Return p50 and p95 of some times."""
    middle, most = np.percentile(ms, [50, 95])
    return f"{middle:.{digits}f} / {most:.{digits}f} ms"


def bare(n_tokens: int, per_second: float) -> float:
    """Return the share of a core that a source takes which nobody looks at."""
    source, before, start = Source(n_tokens, per_second), time.process_time(), time.monotonic()
    while source.next_event() is not None:
        pass
    return (time.process_time() - before) / (time.monotonic() - start)


def long(n_tokens: int, per_second: float) -> list[tuple[str, str]]:
    """Measure a page that holds very many tokens."""
    with stage() as open_notebook:
        notebook = open_notebook("long.ipynb", *cells(n_tokens, per_second))
        page, kernel = notebook.page, psutil.Process(notebook.kernel_pid())
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")

        def memory() -> tuple[float, float]:
            devtools.send("HeapProfiler.collectGarbage")
            metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
            return kernel.memory_info().rss / MIB, metrics["JSHeapUsedSize"] / MIB

        notebook.run(0)
        watch(page)
        before = memory()
        notebook.run(1)
        finish(notebook, n_tokens, 60 + 4 * n_tokens / per_second)
        n, after = right(page), memory()
        frames = [ms for upto, ms in page.evaluate("stage.appends") if upto > 0.9 * n]
        spans = page.evaluate(f"document.querySelector('{STREAM}').querySelectorAll('span').length")
        up = page.evaluate("stage.scroll(0)")
        down = page.evaluate("stage.scroll(1e9)")
        page.mouse.move(*page.evaluate("stage.aim()"))
        card, detail = page.evaluate("stage.card")
        assert not notebook.errors
    return [
        ("tokens shown, none lost, doubled or out of place", f"{n:,} ({spans:,} elements, dropped tokens included)"),
        ("drawing a batch of tokens, over the last tenth, p50 / p95", percentiles(frames, 1)),
        ("scrolling to the top, and back to the end", f"{up:.0f} and {down:.0f} ms"),
        ("a token's card, and what the kernel tells of it", f"after {card:.0f} and {detail:.0f} ms"),
        ("memory of the kernel", f"{after[0]:.0f} MiB, {before[0]:.0f} before"),
        ("JavaScript heap of the page", f"{after[1]:.0f} MiB, {before[1]:.0f} before"),
    ]


def opening(repeats: int) -> list[tuple[str, str]]:
    """Measure how soon the dashboard is there, in fresh kernels and pages."""
    times = []
    with stage() as open_notebook:
        for i in range(repeats):
            notebook = open_notebook(f"open-{i}.ipynb", "import specviz as sv", "sv.explore()")
            notebook.run(0)
            times.append(notebook.page.evaluate(f"({OPEN})(1)"))
            notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            notebook.page.context.close()
    sizes = {name: (STATIC / name).read_bytes() for name in ("widgets.js", "widgets.css")}
    packed = sum(len(gzip.compress(data)) for data in sizes.values())
    return [
        ("the dashboard on the screen after its cell was run", " / ".join(f"{ms / 1e3:.2f}" for ms in times) + " s"),
        ("the bundle", f"{sum(map(len, sizes.values())) / 1e6:.2f} MB, {packed / 1e6:.2f} MB compressed"),
    ]


OPEN = """async (index) => {
  jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  const start = performance.now();
  void jupyterapp.commands.execute("notebook:run-cell");
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  while (!document.querySelector("[data-testid=generate]")?.getClientRects().length) await frame();
  await frame();
  return performance.now() - start;
}"""


def run(n_tokens: int = 20_000, many: int = 200_000, repeats: int = 3) -> str:
    """Return all of it as Markdown."""
    per_second = 2000
    about = (
        "A source makes real rounds by the clock; `Feed.follow` shows them in JupyterLab and Chromium on the same "
        "machine. Kernel to screen: from the moment (`time.time()`) at which the source hands over a token to the "
        "first task of the page after the frame that drew it (`performance.timeOrigin + performance.now()`, the same "
        "clock). Drawing: the animation frame that appends a batch, with the layout it needs. What a widget costs the "
        "engine stands under `widget`."
    )
    head = ("what", "measured")
    return "\n\n".join(
        (
            about,
            f"### {n_tokens:,} tokens at {per_second:,} tokens/s",
            table(head, live(n_tokens, per_second)),
            f"### {many:,} tokens",
            table(head, long(many, 5 * per_second)),
            "### Opening the dashboard",
            table(head, opening(repeats)),
        )
    )

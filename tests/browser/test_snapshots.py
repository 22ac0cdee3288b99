"""The main states look as they did when somebody last looked at them: `--update-snapshots` takes their pictures anew.

The built bundle is driven by `js/dev/harness.html`, which plays a kernel whose rounds are always the same.
"""

import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image, ImageChops
from pixelmatch.contrib.PIL import pixelmatch

from tests.browser.lab import ROOT, SHOTS

SNAPSHOTS = ROOT / "tests" / "browser" / "snapshots"
THRESHOLD = 0.15
"""Of pixelmatch: how unlike two colours are, from 0 to 1, before a pixel counts; smoothed edges never do."""
MOST = 0.002
"""Share of the pixels that may differ."""
STATES = [
    *((scene, theme, 1000) for scene in ("idle", "pinned", "crashed") for theme in ("light", "dark")),
    *((scene, "light", 1000) for scene in ("loading", "indexing", "failed", "stopped", "slower", "chat")),
    *(("unfolded", theme, 450) for theme in ("light", "dark")),
    ("rejected", "contrast", 1000),
    ("unfolded", "contrast", 700),
    ("rejected", "light", 320),
    ("ngram", "none", 700),
    ("chat", "dark", 450),
    ("hostile", "dark", 700),
    ("race", "light", 1000),
    ("what_if", "light", 1000),
    ("what_if", "dark", 620),
]


class Quiet(SimpleHTTPRequestHandler):
    """Serves the checkout without a line for each request."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def harness(browser):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context(reduced_motion="reduce", locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    page.errors = []
    page.on("console", lambda one: page.errors.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{server.server_port}/js/dev/harness.html")
    page.wait_for_function("window.harness")
    yield page
    context.close()
    server.shutdown()
    server.server_close()


def take(page, scene, theme, width):
    """Bring a state about and take its picture."""
    page.set_viewport_size({"width": width + 40, "height": 900})
    page.evaluate(
        """async ([scene, theme, width]) => {
            harness.theme(theme);
            await harness.start({ width });
            await harness.settled();
            await harness.scenes[scene]();
            await document.fonts.ready;
            await harness.settled();
        }""",
        [scene, theme, width],
    )
    page.mouse.move(0, 0)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width + 40, "height": height})  # what is out of sight need not be drawn
    page.evaluate("harness.settled()")
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{scene}-{theme}-{width}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    return Image.open(path).convert("RGB")


def unlike(before, now, difference=None):
    """Return the share of pixels in which two pictures of one size differ; they are drawn into `difference`."""
    box = ImageChops.difference(before, now).getbbox()
    if box is None:
        return 0.0
    drawn = Image.new("RGBA", (box[2] - box[0], box[3] - box[1]))
    n = pixelmatch(before.crop(box).convert("RGBA"), now.crop(box).convert("RGBA"), drawn, threshold=THRESHOLD)
    if difference is not None:
        drawn.save(difference)
    return n / (before.width * before.height)


@pytest.mark.skipif(sys.platform != "linux", reason="the pictures are of Linux' fonts")
@pytest.mark.parametrize(("scene", "theme", "width"), STATES, ids=str)
def test_it_looks_as_it_did(harness, request, scene, theme, width):
    now = take(harness, scene, theme, width)
    assert not harness.errors
    assert harness.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the page"
    path = SNAPSHOTS / f"{scene}-{theme}-{width}.webp"
    if request.config.getoption("--update-snapshots"):
        now.save(path, lossless=True, quality=100, method=6)
        return
    before = Image.open(path).convert("RGB")
    assert now.size == before.size, f"it was {before.size}, and is {now.size}: see {SHOTS}"
    difference = SHOTS / f"{scene}-{theme}-{width}-difference.png"
    share = unlike(before, now, difference)
    assert share <= MOST, f"{share:.2%} of it differ: see {difference}, and {path.name} for what it was"


def test_every_picture_is_of_a_state():
    assert {path.stem for path in SNAPSHOTS.glob("*.webp")} == {"-".join(map(str, state)) for state in STATES}


def test_another_colour_of_one_word_is_seen(harness):
    before = take(harness, "idle", "light", 700)
    harness.add_style_tag(content=".specviz [data-testid=generate] { background: #a33 !important; }")
    now = Image.open(BytesIO(harness.screenshot())).convert("RGB")
    assert unlike(before, now) > MOST

"""Drive the built bundle with a fake kernel in Chromium: pictures to look at, and the cost of an append.

Usage: python js/dev/shots.py [--only SUBSTRING] [--measure] [--out FOLDER]
"""

import argparse
import functools
import json
import statistics
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCENES = ("idle", "generating", "auto", "rejected", "stopped", "crashed")


class Quiet(SimpleHTTPRequestHandler):
    """Serve the checkout without a log line per request."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def shoot(page: Page, out: Path, only: str) -> None:
    """Take one picture per scene, theme and width."""
    wanted = [(scene, theme, width) for scene in SCENES for theme in ("light", "dark") for width in (1000, 450)]
    wanted += [("rejected", "contrast", 1000), ("finished", "none", 1000), ("finished", "light", 320)]
    wanted += [("hover", "light", 1000), ("hover", "dark", 1000), ("feed", "light", 1000), ("parts", "dark", 700)]
    wanted += [("unfolded", theme, width) for theme in ("light", "dark") for width in (700, 450)]
    wanted += [("ngram", "light", 1000), ("hostile", "light", 1000), ("continued", "light", 1000)]
    wanted += [("what_if", theme, width) for theme in ("light", "dark") for width in (1300, 620)]
    for scene, theme, width in wanted:
        name = f"{scene}-{theme}-{width}"
        if only not in name:
            continue
        page.set_viewport_size({"width": width + 40, "height": 900})
        page.evaluate(
            """async ([scene, theme, width]) => {
                harness.theme(theme);
                await harness.start({ width, traits: { view: scene === "feed" ? "feed" : "explorer" } });
                await harness.settled();
                await harness.scenes[scene]();
                await harness.settled();
            }""",
            [scene, theme, width],
        )
        page.screenshot(path=out / f"{name}.png", full_page=True)
        print(name)


def measure(page: Page) -> None:
    """Append 20,000 tokens in batches of 66 with everything on, and say what an append costs."""
    page.set_viewport_size({"width": 1040, "height": 900})
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")

    def busy() -> dict[str, float]:
        return {metric["name"]: metric["value"] for metric in cdp.send("Performance.getMetrics")["metrics"]}

    for rejected in (False, True):
        result = page.evaluate(
            """async (rejected) => {
                harness.theme("light");
                await harness.start({ width: 1000, traits: { show_rejected: rejected } });
                await harness.settled();
                return harness.measure();
            }""",
            rejected,
        )
        times = result.pop("times")
        last = times[-50:]
        print(json.dumps(result | {"rejected shown": rejected}))
        print(f"  first 50: median {statistics.median(times[:50]):.2f} ms")
        print(f"  last 50: median {statistics.median(last):.2f} ms, highest {max(last):.2f} ms")
        before = busy()
        page.evaluate("harness.stream(5)")
        after = busy()
        for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"):
            print(f"  {name} of 5 s of streaming at that length: {after[name] - before[name]:.2f} s")
        points = page.eval_on_selector_all(".sv-plot", "all => all.map(plot => plot.dataset.points)")
        toggle = page.evaluate(
            """async () => {
                const t = performance.now();
                harness.open.model.set("show_rejected", !harness.open.model.get("show_rejected"));
                document.querySelector(".sv-stream").scrollHeight;
                return performance.now() - t;
            }"""
        )
        print(f"  points {points}; toggling the rejected tokens {toggle:.1f} ms")


def main() -> None:
    """Serve, open one browser, do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("/tmp/specviz-shots"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        page = browser.new_page()
        page.on(
            "console", lambda message: print("console:", message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: print("error:", error))
        page.goto(f"http://127.0.0.1:{server.server_port}/js/dev/harness.html")
        page.wait_for_function("window.harness")
        if options.measure:
            measure(page)
        else:
            shoot(page, options.out, options.only)
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()

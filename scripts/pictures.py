"""Make the pictures of README.md and docs/ from the real thing: JupyterLab in Chromium, on the demo pair.

Usage: python scripts/pictures.py [NAME ...]    # explorer, generation, chat, race, what_if, replay, server; none: all
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.lab import CHROMIUM_ARGS, Lab, Notebook, find_chromium  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WINDOW = {"width": 1400, "height": 1000}
FRAME_SECONDS = 0.15
LAST_FRAME_SECONDS = 4.0
MOVING_WIDTH = 900
MOST_BYTES = 1_500_000
ANSWERED = 6
"""Questions before the picture of the workshop mode."""
PAIR = "import specviz as sv\npair = sv.load('f16')"
EXPLORER = 'import specviz as sv\n\nsv.explore("f16", p_min=0.5, max_tokens=200, show_rejected=True)'


def shown(name: str) -> str:
    """Return the selector of an element by its test id."""
    return f"[data-testid={name}]"


def opened(lab: Lab, page: Page, *cells: str) -> Notebook:
    """Open a notebook with these cells, without the side bar, and run them."""
    notebook = Notebook(lab, page, lab.write("picture.ipynb", *cells))
    if page.locator(".jp-FileBrowser:visible").count():
        notebook.command("application:toggle-left-area")
    for index in range(len(cells)):
        notebook.run(index)
    return notebook


def settled(page: Page, words: str, seconds: float = 90.0) -> None:
    """Wait until the page says something, and for its last animation."""
    page.get_by_text(words).first.wait_for(timeout=1000 * seconds)
    page.wait_for_timeout(1500)


def answered(page: Page) -> None:
    """Generate in a dashboard, to the end."""
    page.click(shown("generate"))
    page.wait_for_function(f"!document.querySelector(`{shown('status')}`).innerText.includes('Finished')")
    settled(page, "Finished")


def keep(part: Page | Locator, name: str) -> None:
    """Take a picture."""
    part.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


def explorer(lab: Lab, page: Page) -> None:
    """The dashboard after a run, in both themes."""
    notebook = opened(lab, page, EXPLORER)
    answered(page)  # once before: what is made and read on first use is there
    answered(page)
    for theme, name in (("dark", "explorer-dark"), ("light", "explorer")):
        notebook.theme(theme)
        page.locator(shown("explorer")).evaluate("one => one.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(1000)
        keep(page, name)


def generation(lab: Lab, page: Page) -> None:
    """A run of the dashboard, moving, at the pace at which it went."""
    opened(lab, page, EXPLORER)
    page.locator(shown("explorer")).evaluate("one => one.scrollIntoView({block: 'start'})")
    answered(page)  # once before: what is made and read on first use is there
    shots: list[tuple[float, bytes]] = []
    camera = page.context.new_cdp_session(page)

    def take(shot: dict[str, Any]) -> None:
        camera.send("Page.screencastFrameAck", {"sessionId": shot["sessionId"]})
        now = shot["metadata"]["timestamp"]
        if not shots or now - shots[-1][0] >= FRAME_SECONDS:
            shots.append((now, base64.b64decode(shot["data"])))

    camera.on("Page.screencastFrame", take)
    camera.send("Page.startScreencast", {"format": "jpeg", "quality": 95})
    answered(page)
    camera.send("Page.stopScreencast")
    frames = [smaller(shot) for _, shot in shots]
    frames.append(smaller(page.screenshot()))
    lasted = [round(1000 * (after - before)) for (before, _), (after, _) in pairwise(shots)] + [500]
    path = IMAGES / "generation.webp"
    for quality in range(80, 0, -10):
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=[*lasted, round(1000 * LAST_FRAME_SECONDS)],
            loop=0,
            quality=quality,
            method=6,
        )
        if path.stat().st_size <= MOST_BYTES:
            break
    print(path, f"{len(frames)} frames, {path.stat().st_size:,} bytes, quality {quality}")


def smaller(shot: bytes) -> Image.Image:
    """Return a picture of the window in the size of the moving one."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    return image.resize((MOVING_WIDTH, round(image.height * MOVING_WIDTH / image.width)), Image.Resampling.LANCZOS)


def chat(lab: Lab, page: Page) -> None:
    """A conversation of two turns."""
    opened(
        lab,
        page,
        PAIR,
        "explorer = sv.Explorer('f16', p_min=0.5, max_tokens=64, name='Triangles')\nexplorer.generate()\n"
        "explorer.wait()\nexplorer.follow_up('Say the same in one sentence.')\nexplorer.wait()\nexplorer",
    )
    settled(page, "Finished")
    page.locator(shown("explorer")).evaluate("one => one.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(500)
    keep(page, "chat")


def race(lab: Lab, page: Page) -> None:
    """A race that has ended."""
    opened(lab, page, "import specviz as sv\nsv.RaceTrack('f16', p_min=0.5, max_tokens=64)")
    page.click(shown("race-start"))
    settled(page, "Finished: 3 prompts", 240)
    keep(page.locator(shown("race")), "race")


def what_if(lab: Lab, page: Page) -> None:
    """The what-if view with measured costs."""
    notebook = opened(
        lab,
        page,
        PAIR,
        "prompts = ['Why is the sky blue?', 'Write a Python function that adds two numbers.']\n"
        "audit = sv.audit('f16', ['17m', '12m'], prompts, max_tokens=96, thorough=True)",
        "costs = {}\nfor draft in audit.drafts:\n    with sv.load('f16', draft) as pair:\n"
        "        costs[draft] = sv.measure_costs(pair)",
        "sv.WhatIf(audit, costs, p_min=0.5, show_rejected=True)",
    )
    notebook.page.wait_for_selector(shown("heatmap"))
    page.wait_for_timeout(1500)
    keep(page.locator(shown("what-if")), "what-if")


def replay(lab: Lab, page: Page) -> None:
    """A replay in workshop mode, after some questions."""
    opened(
        lab,
        page,
        f"{PAIR}\ntrace = pair.generate('Explain the Pythagorean theorem', max_tokens=96)",
        "sv.replay(trace, workshop=True, autoplay=False)",
    )
    page.click(shown("replay-play"))
    for _ in range(ANSWERED):
        page.click(shown("answer-2"))
        page.click(shown("workshop-next"))
    page.wait_for_selector(shown("workshop-chips"))
    page.locator(".jp-OutputArea").last.evaluate("one => one.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(1000)
    keep(page, "replay")


def server(lab: Lab, page: Page) -> None:
    """A server's panel after some requests."""
    opened(
        lab,
        page,
        "import specviz as sv\nserver = sv.serve(port=0)\nserver",
        "import openai\n"
        "client = openai.OpenAI(base_url=f'{server.url}/v1', api_key='none')\n"
        "for question in ('Why is the sky blue?', 'Count to ten.', 'Name three rivers.'):\n"
        "    client.chat.completions.create(model='SmolLM2-135M-Instruct.Q4_1', max_tokens=48,\n"
        "                                   messages=[{'role': 'user', 'content': question}])",
    )
    settled(page, "3 answered")
    keep(page.locator(".jp-OutputArea").first, "server")


PICTURES: dict[str, Callable[[Lab, Page], None]] = {
    made.__name__: made for made in (explorer, generation, chat, race, what_if, replay, server)
}


def main() -> None:
    """Make the pictures that are named, or all."""
    chosen = sys.argv[1:] or list(PICTURES)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        lab = Lab(Path(home))
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGS)
        try:
            for name in chosen:
                page = browser.new_page(viewport=WINDOW)
                page.set_default_timeout(120_000)
                PICTURES[name](lab, page)
                page.evaluate("jupyterapp.shell.currentWidget?.sessionContext?.shutdown()")
                page.close()
        finally:
            browser.close()
            lab.close()


if __name__ == "__main__":
    main()

"""Draw docs/images/house.svg: the three processes, what is in them, and the road of one token through them."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "house.svg"
WIDTH, HEIGHT = 1000, 690
STYLE = """
  .ground { fill: #ffffff } .panel { fill: #f3f6f9; stroke: #b9c5d0 } .box { fill: #ffffff; stroke: #7b8a99 }
  .name { fill: #14202b; font-weight: 600 } .words, .legend { fill: #3f4f5e } .title { fill: #14202b; font-weight: 600 }
  .road { stroke: #0072B2; fill: none; stroke-width: 2 } .head, .step { fill: #0072B2 } .number { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14181c } .panel { fill: #1c2229; stroke: #3d4a57 } .box { fill: #262e37; stroke: #6d7b89 }
    .name, .title { fill: #eef3f7 } .words, .legend { fill: #bcc8d3 }
    .road { stroke: #56B4E9 } .head, .step { fill: #56B4E9 } .number { fill: #10161b }
  }
  text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px }
  .words { font-size: 11.5px } .title { font-size: 15px } .number { font-size: 12px; font-weight: 700 }
"""
PANELS = (
    (16, 220, "Page", "TypeScript, in the browser"),
    (284, 400, "Notebook kernel", "imports point downwards only"),
    (732, 252, "Engine host", "a process of its own"),
)
BOXES = (
    (32, 96, 188, "Explorer", "prompt, sliders, Generate"),
    (32, 232, 188, "store", "one a feed, fed by batches"),
    (32, 368, 188, "views", "tokens, plots, inspector"),
    (300, 96, 176, "widgets/", "Explorer, Feed, Replay"),
    (484, 96, 88, "server/", "HTTP"),
    (580, 96, 88, "cli.py", "terminal"),
    (300, 164, 368, "lab/", "race, audit, costs, sweep"),
    (300, 232, 368, "pair.py", "load, Pair.stream, Generation"),
    (300, 300, 180, "engines/", "client, remote servers"),
    (488, 300, 180, "models/", "library, compatibility"),
    (300, 368, 368, "decoding/", "settings, rules, policies"),
    (300, 436, 368, "trace/", "Header, Round, Summary; Stats"),
    (748, 96, 220, "engines/", "host, service: template, tokens"),
    (748, 232, 220, "decoding/", "policy, draft, verify, rule"),
    (748, 334, 106, "Drafter", "its KV cache"),
    (862, 334, 106, "MainModel", "its KV cache"),
    (748, 436, 220, "trace/", "the round, as an event"),
)
BOX_HEIGHT = 52
ROADS = (
    "M220 122 H300",
    "M388 148 V164 M388 216 V232",
    "M668 250 H700 V122 H748",
    "M858 148 V232",
    "M801 284 V334",
    "M915 284 V334",
    "M858 284 V436",
    "M748 462 H668",
    "M300 462 H260 V258 H220",
    "M126 284 V368",
)
STEPS = (
    (260, 122, "Generate is pressed: Explorer hands the prompt to Pair.stream, which sends a request down a pipe."),
    (858, 190, "The service renders the chat template, tokenises, and starts the draft-verify loop."),
    (858, 310, "A round: the drafter proposes, the main model checks all in one pass, the rule keeps what agrees."),
    (708, 462, "The round comes back as an event, joins the trace, and is projected into columns every 33 ms."),
    (260, 350, "The store applies the batch, and the token becomes one span of text in the page."),
)


def draw() -> str:
    """Return the picture as SVG."""
    parts = [f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="10"/>']
    for x, width, title, words in PANELS:
        parts.append(f'<rect class="panel" x="{x}" y="16" width="{width}" height="496" rx="8"/>')
        parts.append(_text(x + 16, 44, title, "title") + _text(x + 16, 64, words, "words"))
    parts += [f'<path class="road" d="{path}" marker-end="url(#head)"/>' for path in ROADS]
    for x, y, width, name, words in BOXES:
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="5"/>')
        parts.append(_text(x + 12, y + 22, name, "name") + _text(x + 12, y + 40, words, "words"))
    for number, (x, y, words) in enumerate(STEPS, 1):
        line = 512 + 32 * number
        parts += [_step(x, y, number), _step(36, line, number), _text(60, line + 5, words, "legend")]
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">\n'
        f'<title id="title">The house, and the road of one token through it</title>\n<style>{STYLE}</style>\n'
        f'<defs>{head}<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: int, y: int, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>'


def _step(x: int, y: int, number: int) -> str:
    circle = f'<circle class="step" cx="{x}" cy="{y}" r="11"/>'
    return f'{circle}<text class="number" x="{x}" y="{y + 4}" text-anchor="middle">{number}</text>'


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
    print(TARGET)

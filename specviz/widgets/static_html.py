"""A trace as HTML without JavaScript: what a saved notebook shows on GitHub, nbviewer and paper.

Provenance has two cues that survive sanitisers which drop styles: the tag (`u` accepted, `em` correction, `strong`
bonus, `s` dropped) as well as the colour. All text is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

from specviz.trace import Conversation, Trace
from specviz.trace.projection import Projection, draft_name, run_info
from specviz.trace.reasoning import TAGS as REASONING_TAGS
from specviz.widgets.turn_columns import turn_columns

TAGS = {"a": "u", "c": "em", "b": "strong", "p": "span"}
STYLES = {
    "a": "text-decoration:underline solid #0072B2 2px;background:rgba(0,114,178,.22)",
    "c": "font-style:normal;text-decoration:underline dashed #D55E00 2px;background:rgba(213,94,0,.25)",
    "b": "font-weight:inherit;text-decoration:underline dotted #009E73 2px;background:rgba(0,158,115,.25)",
    "p": "",
}
LEGEND = {"a": "accepted", "c": "correction", "b": "bonus"}
DROPPED_STYLE = "opacity:.55;color:#D55E00"
SHOWN = {0: "\ufffd"} | {code: f"⟨{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
MAX_TOKENS = 20_000
"""Longer texts are cut in the record, with a sentence that says so."""


def trace_html(trace: Trace) -> str:
    """Return one trace as a fragment of HTML."""
    return traces_html([trace])


def traces_html(
    traces: Sequence[Trace], show_rejected: bool = False, reasoning_tags: Sequence[str] = REASONING_TAGS
) -> str:
    """Return an answer and its continuations as a fragment of HTML."""
    projection = Projection(reasoning_tags)
    for trace in traces:
        for event in trace.events():
            projection.add(event)
    content = projection.take()
    header = traces[0].header
    info = run_info(header)
    title = f"{info['main']} with {draft_name(header, 'no draft')}"
    legend = " ".join(f'<{TAGS[kind]} style="{STYLES[kind]}">{name}</{TAGS[kind]}>' for kind, name in LEGEND.items())
    return (
        '<div style="font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;max-width:70em">'
        f"<p><b>{_text(title)}</b> <small>{escape(_details(info))}</small><br>"
        f"<small>{_text(_short(info['prompt']))}</small></p>"
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{_tokens(content, show_rejected)}</div>'
        f"<p><small>{legend}</small></p>{_table(content['stats'])}{_plots(content.get('curves'))}</div>"
    )


def conversation_html(
    conversation: Conversation, show_rejected: bool = False, reasoning_tags: Sequence[str] = REASONING_TAGS
) -> str:
    """Return a conversation as a fragment of HTML: the last answer in full, above it what was said before."""
    name = f"<p><b>{_text(conversation.name)}</b></p>" if conversation.name else ""
    answered = [turn for turn in conversation.turns if turn.traces]
    if not answered:
        return ""
    earlier = "".join(_earlier(turn_columns(turn, reasoning_tags)) for turn in answered[:-1])
    return f"{name}{earlier}{traces_html(answered[-1].traces, show_rejected, reasoning_tags)}"


def _earlier(turn: dict[str, Any]) -> str:
    block = "white-space:pre-wrap;overflow-wrap:anywhere;max-width:70em"
    return (
        '<div style="font-family:system-ui,sans-serif;font-size:13px;line-height:1.5">'
        f'<blockquote style="{block}">{_text(turn["user"])}</blockquote>'
        f'<div style="{block}">{_tokens({"tokens": turn}, False)}</div>'
        f"<p><small>{escape(turn['caption'])}</small></p></div>"
    )


def _details(info: dict[str, Any]) -> str:
    """What the answer was asked for with, as far as it mattered."""
    details = [f"temperature {info['temperature']:g}"]
    if info["draft"]:
        details.insert(0, f"draft length {info['num_draft_tokens']}")
        if info["num_draft_tokens"] != "auto":
            details.insert(1, f"p_min {info['p_min']:g}")
        if info["temperature"] > 0:
            details.append(f"rule {info['rule']}")
    return ", ".join(details)


def _tokens(content: dict[str, Any], show_rejected: bool) -> str:
    tokens = content.get("tokens", {"text": [], "kind": ""})
    dropped: dict[int, list[str]] = {}
    if show_rejected and "dropped" in content:
        for at, text in zip(content["dropped"]["at"], content["dropped"]["text"], strict=True):
            dropped.setdefault(at, []).append(text)
    reasoning = content.get("reasoning", {"start": [], "kind": "", "caption": []})
    heads = dict(zip(reasoning["start"], zip(reasoning["kind"], reasoning["caption"], strict=True), strict=True))
    folded = ""
    parts = []
    for i, (text, kind) in enumerate(zip(tokens["text"][:MAX_TOKENS], tokens["kind"], strict=False)):
        if i in heads:
            parts.append(folded)
            head, folded = _head(*heads[i])
            parts.append(head)
        parts += [f'<s style="{DROPPED_STYLE}">{_text(gone.replace(chr(10), "↵"))}</s>' for gone in dropped.get(i, ())]
        if kind.isupper():
            parts.append(f'<small style="opacity:.5">{_text(text)}</small>')
        elif kind == "p":
            parts.append(_text(text))
        else:
            parts.append(f'<{TAGS[kind]} style="{STYLES[kind]}">{_text(text)}</{TAGS[kind]}>')
    if len(tokens["text"]) > MAX_TOKENS:
        parts.append(f"<br><small>… and {len(tokens['text']) - MAX_TOKENS:,} more tokens</small>")
    return "".join(parts) + folded


def _head(kind: str, caption: str) -> tuple[str, str]:
    """Return what a stretch of tokens begins and ends with: reasoning is folded, unless it never ended."""
    if kind == "a":
        return f"<div><small>{escape(caption)}</small></div>", ""
    opened = " open" if kind == "o" else ""
    return f"<details{opened}><summary><small>{escape(caption)}</small></summary>", "</details>"


def _text(text: str) -> str:
    """Escape a token; characters that would turn its neighbours round are shown by their code."""
    return escape(text).translate(SHOWN)


def _table(rows: list[dict[str, str]]) -> str:
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(row["label"])}</td>'
        f'<td style="text-align:right;font-variant-numeric:tabular-nums">{escape(row["value"])}</td></tr>'
        for row in rows
    )
    return f"<details><summary>Statistics</summary><table>{cells}</table></details>"


def _short(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _plots(curves: dict[str, list[Any]] | None) -> str:
    """Three small line charts, each an SVG image."""
    if not curves or len(curves["x"]) < 2:
        return ""
    charts = (
        ("Acceptance rate", ("acceptance_rolling", "acceptance_cumulative"), 1.0, "{:.0%}", None),
        ("Tokens per second", ("tps_rolling", "baseline_tps"), None, "{:.0f}", None),
        ("Speedup over plain decoding", ("speedup_rolling", "speedup_cumulative"), None, "{:.2f}×", 1.0),
    )
    images = []
    for title, columns, top, form, reference in charts:
        values = [value for column in columns for value in curves[column] if value is not None]
        if values:
            svg = _svg(
                title,
                curves["x"],
                [curves[column] for column in columns],
                top or 1.05 * max(values) or 1.0,
                form,
                reference,
            )
            data = b64encode(svg.encode()).decode()
            images.append(
                f'<img alt="{escape(title)}" width="320" height="170" src="data:image/svg+xml;base64,{data}">'
            )
    return f"<p>{''.join(images)}</p>"


def _svg(
    title: str, x: list[int], series: list[list[float | None]], top: float, form: str, reference: float | None
) -> str:
    width, height, left, right, head, foot = 320, 170, 44, 10, 26, 24

    def at(token: float, value: float) -> str:
        across = left + (width - left - right) * token / max(x[-1], 1)
        return f"{across:.1f},{head + (height - head - foot) * (1 - min(value, top) / top):.1f}"

    colors = ("#56B4E9", "#D55E00")
    lines = "".join(
        f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="'
        + " ".join(at(token, value) for token, value in zip(x, column, strict=True) if value is not None)
        + '"/>'
        for column, color in zip(series, colors, strict=True)
    )
    ticks = "".join(
        f'<text x="{left - 5}" y="{at(0, value).split(",")[1]}" text-anchor="end" dy="3">{form.format(value)}</text>'
        for value in (0.0, top / 2, top)
    )
    rule = ""
    if reference is not None and reference <= top:
        rule = f'<path d="M{at(0, reference)} L{at(x[-1], reference)}" stroke="#888" stroke-dasharray="3 3"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui,sans-serif" '
        f'font-size="10" fill="#777"><text x="{left}" y="14" font-size="12" fill="#555">{title}</text>'
        f'<path d="M{at(0, 0)} L{at(x[-1], 0)}" stroke="#bbb"/>{rule}{ticks}{lines}'
        f'<text x="{width - right}" y="{height - 8}" text-anchor="end">{x[-1]:,} tokens</text></svg>'
    )

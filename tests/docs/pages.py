"""The project's Markdown, read as Markdown: code blocks and links."""

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)]
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
TARGET = re.compile(r'(?:href|src|srcset)="([^"]+)"')


class Block(NamedTuple):
    """A block of code."""

    language: str
    """Empty where none is given, as with indented code."""
    source: str
    line: int
    """Of its first line of code, from 1."""
    reason: str
    """Why it is not run, from the comment before it; empty where there is none."""


def tokens(path):
    parser = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
    return parser.parse(path.read_text("utf-8"))


def blocks(path):
    """Return a page's code blocks; directives of the site are none."""
    found, before = [], ""
    for token in tokens(path):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            reason = NOT_RUN.fullmatch(before)
            first = token.map[0] + 1 + (token.type == "fence")
            found.append(Block(token.info.strip(), token.content, first, reason[1] if reason else ""))
        before = token.content.strip() if token.type == "html_block" else ""
    return found


def links(path):
    """Return what a page links to or shows."""
    found = []
    for token in tokens(path):
        for one in [token, *(token.children or [])]:
            if one.type in ("html_block", "html_inline"):
                found += TARGET.findall(one.content)
            found += [str(one.attrs[name]) for name in ("href", "src") if name in one.attrs]
    return found


def anchors(path):
    """Return the anchors of a page's headings."""
    return {token.attrs["id"] for token in tokens(path) if token.type == "heading_open"}

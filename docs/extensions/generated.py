"""What the site takes from elsewhere in the repository: the command line, the statistics, the tutorials."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from msgspec import Struct
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

LINKS = {"../benchmarks/RESULTS-GPU.md": "results.md", "../benchmarks/RESULTS.md": "results.md", "../docs/": ""}
"""Paths in the repository, as its pages and notebooks link to them, and in the site."""
COLUMNS = 92
"""Width of the help, in characters."""


class Commands(SphinxDirective):
    """A section for each command of `specviz`, with the help that the parser itself prints."""

    def run(self) -> list[nodes.Node]:
        """Ask the parser, and the parsers of its commands."""
        from specviz.cli import _parser

        os.environ["COLUMNS"] = str(COLUMNS)
        return [_section(parser) for parser in _parsers(_parser())]


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _parsers(command)


def _section(parser: argparse.ArgumentParser) -> nodes.section:
    help = parser.format_help()
    return nodes.section(
        "",
        nodes.title("", "", nodes.literal(parser.prog, parser.prog)),
        nodes.literal_block(help, help, language="text"),
        ids=[nodes.make_id(parser.prog)],
        names=[parser.prog],
    )


class Metrics(SphinxDirective):
    """A definition list of the fields of a class, in the words of their docstrings.

    Raises
    ------
    ExtensionError
        If a field has none.
    """

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Read the module's source."""
        module, name = self.arguments
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        found = nodes.definition_list(classes=["simple"])
        for (owner, field), lines in analyzer.attr_docs.items():
            if owner == name:
                words = nodes.definition()
                self.state.nested_parse(StringList(list(lines), source=f"{module}.{name}.{field}"), 0, words)
                item = nodes.definition_list_item("", nodes.term("", "", nodes.literal(field, field)), words)
                item["ids"] = [nodes.make_id(f"metric-{field}")]
                found += item
        return [found]


def _copy_notebooks(app: Sphinx, config: Config) -> None:
    """Have the tutorials stand among the pages: Sphinx reads nothing outside its folder."""
    copy = app.srcdir / "notebooks"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(app.srcdir.parent / "notebooks", copy, ignore=shutil.ignore_patterns(".*", "*.jsonl"))


def _link_within(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to what stands elsewhere in the repository lead to its page in the site."""
    up = "../" * docname.count("/")
    for there, here in LINKS.items():
        source[0] = source[0].replace(f"]({there}", f"]({up}{here}")


def _without_fields(
    app: Sphinx, what: str, name: str, subject: object, options: object, signature: str | None, returned: str | None
) -> tuple[str, None] | None:
    """Leave the signature of a record out: its fields stand below it."""
    is_record = isinstance(subject, type) and issubclass(subject, Struct)
    return ("", None) if is_record else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.connect("autodoc-process-signature", _without_fields)
    app.connect("config-inited", _copy_notebooks)
    app.connect("source-read", _link_within)
    app.add_directive("commands", Commands)
    app.add_directive("metrics", Metrics)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What a reader copies from README.md or docs/ works."""

import re
import shlex
import tomllib

import pytest

import specviz as sv
from specviz import cli
from tests.docs.pages import PAGES, ROOT, blocks

DATA = ("json", "text")
RUN = ("generate", "race", "engines")
"""Commands that are run; of the others the arguments are read."""


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_block_says_what_it_is_or_why_it_is_not_run(path):
    unknown = [block for block in blocks(path) if not block.reason and block.language not in ("python", "bash", *DATA)]
    assert not unknown, "\n".join(f"{relative(path)}:{block.line}: {block.language!r}" for block in unknown)


def of(language):
    found = {path: [one for one in blocks(path) if one.language == language and not one.reason] for path in PAGES}
    return [pytest.param(path, some, id=relative(path)) for path, some in found.items() if some]


@pytest.mark.parametrize(("path", "code"), of("python"))
def test_python_runs(path, code, quick):
    """The blocks of a page follow each other in one namespace, as in a notebook."""
    names = {"sv": sv}
    for block in code:
        exec(compile("\n" * (block.line - 1) + block.source, path, "exec"), names)


@pytest.mark.parametrize(("path", "code"), of("bash"))
def test_commands_run_or_can_be_read(path, code, quick, capsys):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in "".join(block.source for block in code).replace("\\\n", "").splitlines():
        match shlex.split(line, comments=True):
            case []:
                pass
            case ["make", target]:
                assert target in targets
            case [program, *arguments] if program.rpartition("/")[2] == "specviz":
                asked = cli._parser().parse_args(arguments)
                if arguments[0] in RUN:
                    assert asked.run(asked) in (0, 3, 4), "3 and 4 are verdicts of a race"
            case other:
                pytest.fail(f"{relative(path)}: `{other[0]}` cannot be tried: say why it is not run")


def test_every_extra_that_is_named_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        extra
        for path in PAGES
        for several in re.findall(r"specviz-lab\[([\w,-]+)\]", path.read_text("utf-8"))
        for extra in several.split(",")
    }
    assert named and named <= project["optional-dependencies"].keys()

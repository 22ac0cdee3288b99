"""What is missing on a machine is said in one sentence with its fix, before anything is built."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setup():
    spec = importlib.util.spec_from_file_location("specviz_setup", ROOT / "scripts" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_missing_here(setup):
    assert setup.missing() is None


@pytest.mark.parametrize(
    ("hidden", "sentence"),
    [
        ({"c++", "g++", "clang++"}, "specviz needs a C++ compiler to build llama.cpp: apt-get install g++"),
        ({"node"}, "specviz needs Node.js 20 or newer with npm"),
        ({"npm"}, "specviz needs Node.js 20 or newer with npm"),
    ],
)
def test_a_missing_tool_is_one_sentence(setup, hidden, sentence):
    said = setup.missing(lambda name: None if name in hidden else shutil.which(name))
    assert said.startswith(sentence) and "\n" not in said


def test_an_old_node_is_named(setup, tmp_path):
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.19.0\n")
    old.chmod(0o755)
    said = setup.missing(lambda name: str(old) if name == "node" else shutil.which(name))
    assert said == "specviz needs Node.js 20 or newer to build its widgets, this is v18.19.0: upgrade it"


def test_make_setup_says_it_before_building_and_leaves_nothing_behind(tmp_path):
    """A checkout on a machine whose PATH has Python, but neither compiler nor Node."""
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    (checkout / "js" / "src").mkdir(parents=True)
    tools.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "scripts/setup.py", "js/package.json"):
        (checkout / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    shutil.copy(ROOT / "js" / "package-lock.json", checkout / "js")
    (tools / "python3").symlink_to(Path(sys._base_executable).resolve())
    for name in ("make", "sh"):
        (tools / name).symlink_to(Path(shutil.which(name)).resolve())
    done = subprocess.run(
        [tools / "make", "setup"], cwd=checkout, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("specviz needs a C++ compiler")
    assert not (checkout / ".venv").exists()


def test_pins_hold_no_addresses():
    for name in ("constraints.txt", "js/package-lock.json"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|@ file|\bresolved\b", text), f"{name} holds an address"
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.+!]+", pin) for pin in pins)

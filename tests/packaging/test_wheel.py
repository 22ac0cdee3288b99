"""The distributions hold all that they need and nothing else; the wheel works in an environment of its own."""

import email
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEM = f"specviz_lab-{PROJECT['version']}"
BUNDLE = {"specviz/static/widgets.js", "specviz/static/widgets.css"}
TUTORIALS = ("notebooks/*.ipynb", "notebooks/traces/*.jsonl")
CARD = {"js/launcher/package.json", "js/launcher/install.json", "js/launcher/static/launcher.js"}
pytestmark = pytest.mark.timeout(600)


def checkout(*patterns):
    """Names of the files that a clean clone of this checkout holds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{STEM}.tar.gz", out / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheel(distributions):
    return distributions[1]


@pytest.fixture(scope="module")
def files(distributions):
    """Contents of both, by name."""
    with tarfile.open(distributions[0]) as archive:
        members = [member for member in archive if member.isfile()]
        source = {member.name.removeprefix(f"{STEM}/"): archive.extractfile(member).read() for member in members}
    with zipfile.ZipFile(distributions[1]) as archive:
        return source, {name: archive.read(name) for name in archive.namelist()}


def test_the_source_distribution_holds_what_a_wheel_is_built_from(files):
    expected = checkout("specviz", *TUTORIALS, "js/src", "js/*.mjs", "js/.npmrc", "js/package*.json")
    expected |= {"js/tsconfig.json", "CHANGELOG.md", "CITATION.cff", "README.md", "LICENSE", "hatch_build.py"}
    assert files[0].keys() == expected | BUNDLE | CARD | {"pyproject.toml", "PKG-INFO", ".gitignore"}


def test_the_wheel_holds_the_package_the_tutorials_and_the_card(files):
    tutorials = {f"specviz/{name}" for name in checkout(*TUTORIALS)}
    extension = f"{STEM}.data/data/share/jupyter/labextensions/specviz-lab"
    card = {name.replace("js/launcher", extension) for name in CARD}
    about = {f"{STEM}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    expected = checkout("specviz") | BUNDLE | tutorials | card | about | {f"{STEM}.dist-info/licenses/LICENSE"}
    assert files[1].keys() == expected
    assert {"specviz/py.typed", "specviz/models/drafts/README.md", "specviz/notebooks/01-quickstart.ipynb"} <= expected
    assert sum(name.endswith(".gguf") for name in expected) == 3
    assert sum(len(files[1][name]) for name in BUNDLE) < 1.6e6
    assert sum(len(files[1][name]) for name in tutorials) < 4e6


def test_no_file_names_a_folder_of_this_machine(files):
    folders = [f"{folder}/".encode() for folder in (ROOT, Path.home(), sys.prefix)]
    for archive in files:
        assert not [name for name, content in archive.items() if any(folder in content for folder in folders)]


def test_the_metadata_is_complete(files):
    metadata = email.message_from_bytes(files[1][f"{STEM}.dist-info/METADATA"])
    assert metadata["Name"] == "specviz-lab" and metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0" and metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Description-Content-Type"] == "text/markdown" and metadata["Summary"]
    assert set(metadata.get_all("Provides-Extra")) == PROJECT["optional-dependencies"].keys()


def test_every_file_that_names_the_version_names_the_same():
    for name in ("js/package.json", "js/launcher/package.json"):
        assert json.loads((ROOT / name).read_text())["version"] == PROJECT["version"]
    assert re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M) == [PROJECT["version"]]
    assert re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[0] == PROJECT["version"]


def test_uninstalling_leaves_nothing(wheel, tmp_path_factory):
    home = tmp_path_factory.mktemp("removed")
    venv.create(home, with_pip=True)
    pip = [home / "bin" / "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True)
    assert (home / "share" / "jupyter" / "labextensions" / "specviz-lab" / "static" / "launcher.js").is_file()
    subprocess.run([*pip, "uninstall", "--yes", "specviz-lab"], check=True)
    assert not [path for path in home.rglob("*") if "specviz" in path.name]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a new environment with the wheel and its own dependencies only."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(home, with_pip=True)
    command = [home / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["-c", ROOT / "constraints.txt", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "bin" / "python"


def run(python, code, cwd):
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_imports_quickly_and_brings_in_no_engine_plotly_or_pandas(python, tmp_path):
    code = """
import time
start = time.perf_counter()
import specviz
seconds = time.perf_counter() - start
import sys
heavy = {"llama_cpp", "mlx", "plotly", "pandas", "numpy", "ipywidgets", "anywidget"} & sys.modules.keys()
print(seconds, *heavy)
"""
    seconds, heavy = [], []
    for _ in range(5):
        first, *rest = run(python, code, tmp_path).split()
        seconds.append(float(first))
        heavy += rest
    assert not heavy
    assert min(seconds) < 0.3


def test_everything_public_can_be_had(python, tmp_path):
    code = """
import specviz
for name in specviz.__all__:
    try:
        getattr(specviz, name)
    except ModuleNotFoundError as error:
        assert name in ("serve", "Server") and 'pip install "specviz-lab[server]"' in str(error), (name, error)
"""
    run(python, code, tmp_path)
    assert run(python, "import specviz; print(specviz.__version__)", tmp_path)


def test_the_dashboard_opens_without_engine_or_demo_model_and_says_what_is_missing(python, tmp_path):
    code = "import specviz as sv; e = sv.explore(); print(e._state['phase'], e._state['message'])"
    said = run(python, code, tmp_path)
    assert said.startswith("failed") and 'pip install "specviz-lab[demo]"' in said


def test_without_the_engine_the_error_says_how_to_install_it(python, tmp_path):
    code = """
import specviz as sv
from specviz.models import demo_drafts
try: sv.load(demo_drafts()[0].path, None)
except sv.EngineMissingError as error: print(error)
"""
    assert 'pip install "specviz-lab[llamacpp]"' in run(python, code, tmp_path)


def test_the_command_is_there(python, tmp_path):
    for command in ([python.with_name("specviz")], [python, "-m", "specviz"]):
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
        assert said == f"specviz {PROJECT['version']}\n"


def test_every_extra_resolves_to_versions_that_are_pinned(python, wheel, tmp_path):
    """All but `dev`, which is what `make setup` installs."""
    extras = ",".join(sorted(PROJECT["optional-dependencies"].keys() - {"dev"}))
    command = [python.with_name("pip"), "install", "-q", "--disable-pip-version-check", "--dry-run"]
    command += ["--report", tmp_path / "report.json", "-c", ROOT / "constraints.txt"]
    done = subprocess.run(
        [*command, f"specviz-lab[{extras}] @ {wheel.as_uri()}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [one["metadata"] for one in json.loads((tmp_path / "report.json").read_text())["install"]]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {same(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    assert {same(one["name"]) for one in found} - {"specviz-lab"} <= pinned


def same(name):
    """A distribution's name, however it is spelt."""
    return re.sub(r"[-_.]+", "-", name).lower()

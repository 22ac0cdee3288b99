"""The wheel holds all that it needs, and works in an environment of its own."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_it_contains_the_bundle_the_drafts_and_their_card(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for name in ("static/widgets.js", "static/widgets.css", "widgets/part.js", "py.typed", "models/drafts/README.md"):
        assert sizes.get(f"specviz/{name}", -1) >= (0 if name == "py.typed" else 100), f"{name} is missing or empty"
    drafts = [name for name in sizes if name.startswith("specviz/models/drafts/") and name.endswith(".gguf")]
    assert len(drafts) == 3 and all(sizes[name] > 8e6 for name in drafts)
    assert not [name for name in sizes if name.startswith(("tests/", "js/", "benchmarks/"))]
    assert sizes["specviz/static/widgets.js"] + sizes["specviz/static/widgets.css"] < 1.6e6


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
    done = subprocess.run(
        [python.with_name("specviz"), "--help"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0 and "generate" in done.stdout

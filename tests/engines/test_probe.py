"""Engines are found ready, missing, too old or broken, each by what really happens when it is tried."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from specviz.cli import main as command
from specviz.engines import probe as probing
from specviz.engines.errors import EngineMissingError
from specviz.engines.llamacpp import library
from specviz.engines.probe import probe, probe_all
from specviz.engines.registry import ENGINES

HERE = Path(library.__file__).parent
TOP = HERE.parents[2]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a package before the installed one of that name, for child processes."""

    def package(name: str, **modules: str) -> None:
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        for module, source in modules.items():
            (folder / f"{module.strip('_')}.py").write_text(textwrap.dedent(source))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))

    return package


def test_llama_cpp_is_ready_and_what_it_can_do_was_tried():
    report = probe("llama.cpp")
    assert (report.name, report.state, report.reason) == ("llama.cpp", "ready", "")
    assert re.match(r"llama-cpp-python [\d.]+ \(ggml [\d.]+, commit \w+", report.version)
    assert {"evaluation", "flash attention", "KV cache in q8_0"} <= set(report.can)
    assert any(re.fullmatch(r"CPU: .+, [\d,]+ GiB memory", backend) for backend in report.backends)
    assert ("GPU offload" in report.can) == (len(report.backends) > 1)


def test_all_engines_are_reported_in_order():
    assert [report.name for report in probe_all()] == list(ENGINES)


def test_an_engine_that_there_is_not():
    with pytest.raises(EngineMissingError, match=r"there is no engine 'vLLM'; there are llama.cpp, MLX"):
        probe("vLLM")


def test_not_installed(package):
    package("llama_cpp", llama_cpp="raise ModuleNotFoundError('No module named llama_cpp', name='llama_cpp')")
    report = probe("llama.cpp")
    assert (report.state, report.version) == ("not installed", "")
    assert 'needs llama-cpp-python: pip install "specviz-lab[llamacpp]"' in report.reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "does not load: libcudart.so.12: cannot"),
        ("import nothing_of_that_name", "does not load: No module named 'nothing_of_that_name'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV (a memory error"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "was ended by SIGILL (the engine was built for an"),
        ("import os; os.write(2, b'ggml: no\\n'); os._exit(3)", "ended with status 3: ggml: no"),
        ("import os; os._exit(0)", "its check gave no report"),
        ("1 / 0", "ended with status 1: ZeroDivisionError: division by zero"),
    ],
)
def test_broken(package, source, reason):
    package("llama_cpp", llama_cpp=source)
    report = probe("llama.cpp")
    assert report.state == "broken" and reason in report.reason


def test_broken_by_hanging(package):
    package("llama_cpp", llama_cpp="import time; time.sleep(60)")
    report = probe("llama.cpp", seconds=1)
    assert (report.state, report.reason) == ("broken", "its check did not end within 1 seconds")


def test_too_old_is_what_lacks_something(package):
    functions = [name for name in library.NEEDED if name != "llama_memory_seq_rm"]
    package("llama_cpp", llama_cpp="".join(f"{name} = None\n" for name in functions))
    report = probe("llama.cpp")
    assert report.state == "too old" and report.version.startswith("llama-cpp-python ")
    n_fields = sum(map(len, library.NEEDED_FIELDS.values()))
    assert (
        f"specviz needs {library.MIN_VERSION} or newer because llama_memory_seq_rm and {n_fields} more are missing"
        in report.reason
    )


def test_what_a_library_prints_does_not_land_in_the_report(package):
    package("llama_cpp", llama_cpp="import os; print('hello'); os.write(1, b'hello'); raise OSError('no')")
    assert probe("llama.cpp").state == "broken"


def test_mlx_is_ready_and_what_it_can_do_was_tried():
    pytest.importorskip("mlx_lm", reason="MLX is not made for this machine")
    report = probe("MLX")
    assert (report.state, report.reason) == ("ready", "")
    assert re.match(r"mlx [\d.]+, mlx-lm [\d.]+", report.version)
    assert {"evaluation", "rewinding", "KV cache in q8_0", "KV cache in q4_0"} <= set(report.can)
    assert ("GPU" in report.can) == report.backends[0].startswith("GPU: ")


def test_mlx_that_is_not_installed_or_too_old(package):
    package("mlx", core="")
    package("mlx_lm", utils="raise ModuleNotFoundError('No module named mlx_lm', name='mlx_lm')")
    report = probe("MLX")
    assert report.state == "not installed"
    assert re.search(r"the MLX engine needs mlx-lm: pip install .*specviz-lab\[mlx", report.reason)
    package("tokenizers")
    package("mlx_lm", utils="")
    package("mlx_lm/models", cache="")
    report = probe("MLX")
    assert report.state == "too old" and "or newer because mlx.core.argmax and" in report.reason


def test_mlx_that_does_not_load(package):
    package("mlx", core="raise ImportError('libmlx.so: undefined symbol')")
    report = probe("MLX")
    assert report.state == "broken" and "mlx is installed, but does not load: libmlx.so" in report.reason


def test_needed_is_what_is_used():
    used = set()
    for file in HERE.glob("*.py"):
        source = file.read_text()
        used |= set(re.findall(r"\b_?lib(?:rary\(\))?\.((?:llama|ggml|LLAMA|GGML)_\w+)", source))
    used |= {f"llama_vocab_{name}" for name in ("bos", "eos")}
    used |= {f"GGML_TYPE_{name}" for name in ("F16", "Q8_0", "Q4_0")}
    assert used - set(library.NEEDED) == set()
    assert set(library.NEEDED) - used == set()


def test_fields_needed_are_those_that_are_set():
    of = {"llama_model_params": "model.py", "llama_context_params": "context.py"}
    for structure, file in of.items():
        lines = re.findall(r"^ +((?:params\.\w+ = )+)", (HERE / file).read_text(), re.MULTILINE)
        assert set(re.findall(r"params\.(\w+)", "".join(lines))) == set(library.NEEDED_FIELDS[structure])


def test_the_oldest_version_is_that_of_the_package():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    (needed,) = project["optional-dependencies"]["llamacpp"]
    assert f">={library.MIN_VERSION}," in needed


def test_the_command_says_it_in_words_and_as_json(capsys, monkeypatch):
    assert command(["engines"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^llama.cpp: ready, llama-cpp-python [\d.]+", text, re.MULTILINE)
    assert re.search(r"^  can: evaluation, ", text, re.MULTILINE)
    assert re.search(r"^MLX: ", text, re.MULTILINE)
    assert command(["engines", "llama.cpp", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["state"] == "ready" and "evaluation" in report["can"]


def test_the_command_fails_where_no_engine_is_ready(package, capsys):
    package("llama_cpp", llama_cpp="raise OSError('no \\x1b[2J')")
    assert command(["engines", "llama.cpp"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("llama.cpp: broken") and "\x1b" not in text
    assert command(["engines", "vLLM"]) == 1


def test_the_check_is_a_process_of_its_own(monkeypatch):
    commands = []
    real = subprocess.run
    monkeypatch.setattr(
        probing.subprocess, "run", lambda command, **options: commands.append(command) or real(command, **options)
    )
    probe("MLX")
    probe("MLX")
    assert commands == [[sys.executable, "-m", "specviz.engines.probe", "MLX"]] * 2

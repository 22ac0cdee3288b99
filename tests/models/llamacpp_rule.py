"""llama.cpp's own rule for pairs of models, compiled from its sources.

The function is `static` in `common/speculative.cpp`, and building the program around it takes four minutes. So that
function alone is taken, word for word, from the source distribution of the installed llama-cpp-python, and linked to
the `libllama` that is installed with it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import files, version
from importlib.util import find_spec
from pathlib import Path

import platformdirs

PACKAGE = "llama-cpp-python"
SOURCE = "vendor/llama.cpp/common/speculative.cpp"
RULE = re.compile(
    r"^#define SPEC_VOCAB_MAX_SIZE_DIFFERENCE .*\n|^#define SPEC_VOCAB_CHECK_START_TOKEN_ID .*\n"
    r"|^static bool common_speculative_are_compatible\([\s\S]*?\n}\n",
    re.MULTILINE,
)
PROGRAM = r"""
#include "llama.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#define SPC_DBG(...)
#define SPC_WRN(...)
%s
int main(int, char ** argv) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model * main_model = llama_model_load_from_file(argv[1], params);
    llama_model * draft_model = llama_model_load_from_file(argv[2], params);
    if (main_model == nullptr || draft_model == nullptr) {
        return 1;
    }
    puts(common_speculative_are_compatible(main_model, draft_model) ? "accepts" : "refuses");
}
"""


class LlamaCppRule:
    """A program that loads two vocabularies and says what `common_speculative_are_compatible` says.

    Raises
    ------
    RuntimeError
        If the sources cannot be had, or the program cannot be compiled.
    """

    def __init__(self, folder: Path) -> None:
        spec = find_spec("llama_cpp")
        assert spec is not None and spec.origin is not None
        libraries = Path(spec.origin).parent / "lib"
        header = next(Path(str(file.locate())) for file in files(PACKAGE) or [] if file.name == "llama.h")
        source, self._program = folder / "rule.cpp", folder / "rule"
        source.write_text(PROGRAM % "".join(parts := RULE.findall(_source())))
        assert len(parts) == 3, f"{SOURCE} of {PACKAGE} {version(PACKAGE)} has no such rule any more"
        compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
        if compiler is None:
            raise RuntimeError("this test needs a C++ compiler: apt-get install g++ (macOS: xcode-select --install)")
        _call(
            *(compiler, "-std=c++17", "-I", header.parent, source, "-o", self._program),
            *("-L", libraries, "-lllama", f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}"),
        )

    def accepts(self, main: Path | str, draft: Path | str) -> bool:
        """Whether llama.cpp takes a pair."""
        said = _call(self._program, main, draft).strip()
        assert said in ("accepts", "refuses")
        return said == "accepts"


def _source() -> str:
    """Return llama.cpp's source file, kept after the first time (a download of 77 MB)."""
    kept = platformdirs.user_cache_path("specviz") / "tests" / f"speculative-{version(PACKAGE)}.cpp"
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as folder:
            pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
            _call(*pip, "--no-binary", PACKAGE, "--dest", folder, f"{PACKAGE}=={version(PACKAGE)}")
            with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
                member = next(name for name in archive.getnames() if name.endswith(SOURCE))
                file = archive.extractfile(member)
                assert file is not None
                text = file.read()
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        part.write_bytes(text)
        os.replace(part, kept)
    return kept.read_text()


def _call(*command: str | Path) -> str:
    """Run a command; return what it printed."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed ({ran.returncode}):\n{ran.stdout}{ran.stderr}")
    return ran.stdout

"""Fill a folder with wheels, from which specviz is installed without a network on machines like this one.

llama.cpp comes compiled for this machine's processor, from pip's cache if it is there. For older processors:

    PIP_NO_CACHE_DIR=1 CMAKE_ARGS="-DGGML_NATIVE=OFF" make wheelhouse
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from setup import CMAKE_ARGS, ROOT

EXTRAS = "llamacpp,demo,lab"
README = """specviz and all that it needs, for {system} on {machine} with Python {python}: no network, no compiler.
llama.cpp is compiled for the processor of the machine that made this folder, and those that have its instructions.

In this folder, in an environment of its own (python -m venv):

    python -m pip install --no-index --find-links . "specviz-lab[{extras}]"
    specviz lab
"""


def wheelhouse(folder: Path) -> None:
    """Build or fetch the wheels of specviz and of all that it needs, in the versions that it is tested with."""
    for wheel in folder.glob("*.whl"):
        wheel.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", folder]
    command += ["--constraint", ROOT / "constraints.txt", f"{ROOT}[{EXTRAS}]"]
    subprocess.run([str(part) for part in command], env={"CMAKE_ARGS": CMAKE_ARGS} | os.environ, check=True)
    python = ".".join(map(str, sys.version_info[:2]))
    text = README.format(system=platform.system(), machine=platform.machine(), python=python, extras=EXTRAS)
    (folder / "README.txt").write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fill a folder with wheels, to install specviz without a network.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "wheelhouse", help="(%(default)s)")
    folder = parser.parse_args().folder
    wheelhouse(folder)
    sizes = [wheel.stat().st_size for wheel in folder.glob("*.whl")]
    print(f"{folder}: {len(sizes)} wheels, {sum(sizes) / 1e6:.0f} MB")

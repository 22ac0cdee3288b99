"""From the wheelhouse, specviz is installed without a network: everything is there, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(900)
def test_the_wheelhouse_is_complete(tmp_path):
    folder = tmp_path / "wheelhouse"
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "wheelhouse.py", folder], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    lines = (folder / "README.txt").read_text().splitlines()
    (command,) = (line.split(maxsplit=2)[2] for line in lines if "--no-index" in line)
    assert command.startswith("pip install --no-index --find-links . ")

    report = tmp_path / "report.json"
    offline = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    resolved = subprocess.run(
        f"{sys.executable} -m {command} --dry-run --ignore-installed --quiet --report {report}",
        shell=True,
        cwd=folder,
        env=offline | {"PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert resolved.returncode == 0, resolved.stderr
    used = {one["download_info"]["url"].rpartition("/")[2] for one in json.loads(report.read_text())["install"]}
    assert used == {wheel.name for wheel in folder.glob("*.whl")}

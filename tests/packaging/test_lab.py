"""`specviz lab`: the tutorials are copied, never overwritten; without a screen it prints the address and serves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import nbformat
from nbformat.sign import NotebookNotary

from specviz import cli
from specviz.jupyter import FIRST, copy_tutorials, tutorials


def test_tutorials_are_copied_once_and_what_is_there_stays(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert copy_tutorials(folder) == [folder / name for name in tutorials()]
    assert copy_tutorials(folder) == []
    (folder / FIRST).write_text("mine")
    assert copy_tutorials(folder) == [] and (folder / FIRST).read_text() == "mine"
    (folder / FIRST).unlink()
    assert copy_tutorials(folder) == [folder / FIRST]
    assert json.loads((folder / FIRST).read_text())["nbformat"] == 4


def test_without_jupyterlab_it_says_how_to_get_it_and_copies_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("specviz.jupyter.find_spec", lambda name: None)
    assert cli.main(["lab", str(tmp_path / "folder")]) == 1
    assert capsys.readouterr().err == 'specviz: JupyterLab is not installed: pip install "specviz-lab[lab]"\n'
    assert not (tmp_path / "folder").exists()


def test_without_a_screen_it_prints_the_address_and_serves(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    log = tmp_path / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "specviz", "lab", "--port=0"],
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        found = None
        end = time.monotonic() + 60
        while found is None and time.monotonic() < end:
            assert process.poll() is None, log.read_text()
            found = re.search(rf"http://127\.0\.0\.1:\d+/lab/tree/{FIRST}\?token=\w+", log.read_text())
            time.sleep(0.1)
        assert found, log.read_text()
        with urllib.request.urlopen(found[0], timeout=20) as page:
            assert page.status == 200 and b"JupyterLab" in page.read()
        notebook = nbformat.read(tmp_path / "specviz-notebooks" / FIRST, as_version=4)
        assert NotebookNotary(data_dir=str(tmp_path / "data")).check_signature(notebook)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)

"""`make lab` without a screen prints the address and keeps serving."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_a_screen_it_prints_the_address_and_serves(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    log = tmp_path / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "lab.py", "--port=0"],
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
            found = re.search(r"http://127\.0\.0\.1:\d+/lab/tree/01-quickstart\.ipynb\?token=\w+", log.read_text())
            time.sleep(0.1)
        assert found, log.read_text()
        with urllib.request.urlopen(found[0], timeout=20) as page:
            assert page.status == 200 and b"JupyterLab" in page.read()
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)

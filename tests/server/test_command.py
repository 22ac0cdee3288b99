"""`specviz serve`, as a terminal has it."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.server.conftest import CHAT, DRAFT, MAIN

COMMAND = [sys.executable, "-m", "specviz", "serve", "--port", "0"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(sign, tmp_path):
    command = [
        *COMMAND,
        "--main",
        str(MAIN.path),
        "--draft",
        str(DRAFT.path),
        "--record",
        str(tmp_path),
        "--n-ctx",
        "256",
    ]
    environment = os.environ | {"SPECVIZ_API_KEY": "from-the-environment"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            url = line.split("/v1 ")[0]
            assert url.startswith("http://127.0.0.1:"), line
            headers = {"Authorization": "Bearer from-the-environment"}
            body = {**CHAT, "max_tokens": 8}
            assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code == 401
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60).json()
            report = process.stdout.readline()
            assert report.startswith(f"{answer['id']} {MAIN.name}: answered, 8 tokens, ")
            assert f"of {DRAFT.name}'s drafts accepted" in report
            assert len(list(tmp_path.glob("*.jsonl"))) == 1
            engines = psutil.Process(process.pid).children()
            process.send_signal(sign)
            assert process.wait(30) == 0
            assert "Traceback" not in process.stderr.read()
            assert not psutil.wait_procs(engines, 10)[1]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "give it an api_key, or take 127.0.0.1"),
        (["--main", "nowhere.gguf"], "there is no model file nowhere.gguf"),
        (["--main", str(MAIN.path), "--threads", "0"], "n_threads must be at least 1"),
        (["--port", "70000"], "port must be"),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, sentence):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr.strip().splitlines()[-1] and "Traceback" not in done.stderr


def test_without_the_extra_the_command_says_what_is_missing_and_the_others_work():
    blocked = (
        "import sys; sys.modules['uvicorn'] = sys.modules['fastapi'] = None; from specviz.cli import main; main({})"
    )

    def run(*arguments):
        command = [sys.executable, "-c", blocked.format(list(arguments))]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert run("serve").stderr == 'specviz: the server needs uvicorn: pip install "specviz-lab[server]"\n'
    assert run("--version").stdout.startswith("specviz ")

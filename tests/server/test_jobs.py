"""The queue: its bound, clients that go away, the time limit, the end."""

import contextlib
import os
import signal
import threading
import time

import httpx
import openai
import psutil
import pytest

import specviz as sv
from specviz.engines.client import shared_client
from tests.server.conftest import CHAT, MAIN

LONG = {**CHAT, "ignore_eos": True}


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def busy(server):
    """Keep the engine at work."""
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json={**LONG, "stream": True}, timeout=60) as reply:
        lines = reply.iter_lines()
        next(lines)
        yield lines


def test_a_full_queue_refuses_and_says_when_to_come_back(start):
    server = start(queue=2)
    url = f"{server.url}/v1/chat/completions"
    replies = []

    def ask():
        replies.append(httpx.post(url, json={**CHAT, "max_tokens": 1}, timeout=60).status_code)

    with busy(server):
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: server.status.waiting == 2)
        refused = httpx.post(url, json={**CHAT, "max_tokens": 1})
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "queue_full"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        metrics = httpx.get(f"{server.url}/metrics").text
        assert "vllm:num_requests_waiting 2.0" in metrics and "llamacpp:requests_processing 1.0" in metrics
    for thread in threads:
        thread.join()
    assert replies == [200, 200]


def test_models_may_stay_for_ever(start):
    server = start(time_limit=30.0)
    for ttl in (1e308, 3600):
        reply = httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 1, "ttl": ttl}, timeout=60)
        assert reply.status_code == 200


def test_a_client_that_leaves_a_stream_stops_its_generation(server):
    before = server.status.cancelled
    with busy(server):
        assert server.status.running == 1
    until(lambda: server.status.cancelled == before + 1)
    until(lambda: server.status.running == 0)


def test_a_client_that_does_not_wait_for_its_answer_stops_it_too(server, tmp_path):
    before = server.status.cancelled
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=LONG, timeout=0.3)
    until(lambda: server.status.cancelled == before + 1)


def test_a_client_that_leaves_the_queue_is_forgotten(server):
    with busy(server):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=LONG, timeout=0.2)
        until(lambda: server.status.waiting == 0)
        assert server.status.running == 1
        until(lambda: len(server._uvicorn.server_state.tasks) == 1)


def test_an_answer_is_cut_off_at_the_time_limit(start):
    server = start(time_limit=0.5)
    url = f"{server.url}/v1/chat/completions"
    answer = httpx.post(url, json=LONG, timeout=30).json()
    assert answer["choices"][0]["finish_reason"] == "length" and answer["choices"][0]["message"]["content"]
    assert answer["stats"]["stop_reason"] == "userStopped"
    assert answer["specviz"]["notes"] == ["the answer was cut off: the time that a request may take was over"]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(model=MAIN.name, extra_body={"ignore_eos": True}, stream=True, **CHAT)
        )
    assert chunks[-1].choices[0].finish_reason == "length"


def test_who_waits_longer_than_the_time_limit_is_told(start):
    server = start(time_limit=1.0)
    with (
        sv.load(MAIN.path, None) as pair,
        pair.stream("Tell me a story", max_tokens=None, ignore_eos=True) as generation,
    ):
        next(iter(generation))
        reply = httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 1}, timeout=30)
        assert reply.status_code == 503 and reply.json()["error"]["code"] == "time_limit"
    assert (
        httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 1}, timeout=30).status_code == 200
    )


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_dies_is_an_error_and_the_next_request_works(server, stream):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        asked = {"model": MAIN.name, "extra_body": {"ignore_eos": True}, "stream": stream, **CHAT}

        def kill():
            until(lambda: server.status.running == 1)
            time.sleep(0.2)
            os.kill(shared_client().pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(openai.APIError, match="the engine's process was ended by SIGKILL") as found:
            answer = client.chat.completions.create(**asked)
            for _ in answer if stream else ():
                pass
        killer.join()
        assert found.value.code == "engine_crashed"
        assert stream or found.value.status_code == 503
        assert client.chat.completions.create(model=MAIN.name, max_tokens=3, **CHAT).usage.completion_tokens == 3


def test_an_engine_that_hangs_is_ended_and_the_next_request_works(start, monkeypatch):
    monkeypatch.setattr("specviz.server.jobs.STUCK_SECONDS", 0.5)
    monkeypatch.setattr("specviz.server.jobs.CANCEL_SECONDS", 1.0)
    server = start(time_limit=1.5)
    url = f"{server.url}/v1/chat/completions"
    pid = shared_client().pid
    with busy(server) as lines:
        os.kill(pid, signal.SIGSTOP)
        told = [line for line in lines if line]
    assert '"error"' in told[-2] and told[-1] == "data: [DONE]"
    until(lambda: not psutil.pid_exists(pid))
    until(lambda: server.status.running == 0)
    assert httpx.post(url, json={**CHAT, "max_tokens": 1}, timeout=60).status_code == 200


def test_stopping_lets_the_answer_at_work_end_and_refuses_the_rest(start):
    server = start()
    url = f"{server.url}/v1/chat/completions"
    replies = {}

    def ask(name, body):
        replies[name] = httpx.post(url, json=body, timeout=60)

    threads = [threading.Thread(target=ask, args=("running", {**LONG, "max_tokens": 300}))]
    threads[0].start()
    until(lambda: server.status.running == 1)
    threads.append(threading.Thread(target=ask, args=("waiting", {**CHAT, "max_tokens": 1})))
    threads[1].start()
    until(lambda: server.status.waiting == 1)
    server.stop(grace=20)
    for thread in threads:
        thread.join()
    assert replies["running"].status_code == 200 and replies["running"].json()["usage"]["completion_tokens"] == 300
    assert replies["waiting"].status_code == 503 and replies["waiting"].json()["error"]["code"] == "shutting_down"
    assert server.status.stopped and server.status.loaded == ()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")
    server.stop()


def test_an_answer_that_does_not_end_in_time_is_cut_off_when_the_server_stops(start):
    server = start()
    with busy(server) as reply:
        server.stop(grace=0.1)
        lines = [line for line in reply if line]
    assert '"finish_reason":"length"' in lines[-2] and lines[-1] == "data: [DONE]"


def test_nothing_is_left_of_a_server_that_was_stopped(start):
    process = psutil.Process()
    start().stop()
    threads, files = threading.active_count(), process.num_fds()
    for _ in range(3):
        server = start()
        httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 1}, timeout=30)
        server.stop()
    until(lambda: threading.active_count() <= threads and process.num_fds() <= files)


def test_traces_are_recorded_and_can_be_read(start, tmp_path):
    folder = tmp_path / "traces" / "of today"
    server = start(record=folder)
    answer = httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 12}, timeout=30).json()
    with busy(server):
        pass
    until(lambda: server.status.cancelled == 1)
    until(lambda: len(list(folder.iterdir())) == 2)
    names = sorted(path.name for path in folder.iterdir())
    (mine,) = [path for path in folder.iterdir() if answer["id"] in path.name]
    assert all(name.endswith(".jsonl") and "-chatcmpl-" in name for name in names)
    trace = sv.read_trace(mine)
    assert trace.text == answer["choices"][0]["message"]["content"]
    assert trace.stats.accepted_draft_tokens_count == answer["stats"]["accepted_draft_tokens_count"]
    assert trace.rounds[0].main_top, "with all its detail"


def test_a_trace_that_cannot_be_saved_costs_no_answer(start, tmp_path):
    server = start(record=tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert (
        httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "max_tokens": 2}, timeout=30).status_code == 200
    )

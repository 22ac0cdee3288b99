"""Twenty clients at once, some of whom leave, send too much, or lose the engine under their hands."""

import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from specviz.engines.client import shared_client
from tests.server.conftest import CHAT

REQUESTS, CLIENTS = 200, 20
KILL_AT = REQUESTS // 2
GROWN = 64 * 2**20
"""Bytes that the process may have grown by: some of it is the first use of everything. The bodies alone are 5 MB."""


def test_every_request_ends_with_an_answer_or_a_clean_error(start):
    server = start(queue=12, max_body=100_000)
    url = f"{server.url}/v1/chat/completions"
    process = psutil.Process()
    httpx.post(url, json={**CHAT, "max_tokens": 1}, timeout=60).raise_for_status()
    files, children, memory = process.num_fds(), len(process.children()), process.memory_info().rss
    done = Counter()
    lock = threading.Lock()

    def ask(i):
        kind = random.Random(i).choice(["plain", "plain", "stream", "stream", "leave", "leave early", "large", "wrong"])
        with httpx.Client(timeout=60) as client:
            try:
                outcome = REQUEST[kind](client, i)
            except (httpx.ReadTimeout, httpx.RemoteProtocolError) as error:
                outcome = f"{kind}: {type(error).__name__}"
        with lock:
            done[outcome] += 1
            if done.total() == KILL_AT:
                os.kill(shared_client().pid, signal.SIGKILL)

    def plain(client, i):
        return told(client.post(url, json={**CHAT, "max_tokens": 1 + i % 5}))

    def stream(client, i):
        with client.stream("POST", url, json={**CHAT, "max_tokens": 4, "stream": True}) as reply:
            reply.read()
        if reply.status_code != 200:
            return told(reply)
        assert reply.text.endswith("data: [DONE]\n\n")
        return "broken stream" if '"error"' in reply.text else "answered"

    def leave(client, i):
        with client.stream("POST", url, json={**CHAT, "ignore_eos": True, "stream": True}) as reply:
            if reply.status_code != 200:
                reply.read()
                return told(reply)
            next(reply.iter_lines())
        return "left"

    def leave_early(client, i):
        try:
            return told(client.post(url, json={**CHAT, "ignore_eos": True}, timeout=0.05))
        except httpx.ReadTimeout:
            return "left"

    def large(client, i):
        return told(client.post(url, json={"messages": [{"role": "user", "content": "x" * 200_000}]}))

    def wrong(client, i):
        return told(client.post(url, json={**CHAT, "model": "nothing"} if i % 2 else {**CHAT, "max_tokens": -7}))

    def told(reply):
        if reply.status_code == 200:
            assert reply.json()["choices"][0]["message"]["content"]
            return "answered"
        assert reply.json()["error"]["message"]
        return f"error {reply.status_code}"

    REQUEST = {
        "plain": plain, "stream": stream, "leave": leave, "leave early": leave_early, "large": large, "wrong": wrong,
    }  # fmt: skip
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(ask, range(REQUESTS)))

    assert done.total() == REQUESTS
    allowed = {"answered", "left", "broken stream", *(f"error {status}" for status in (400, 404, 413, 429, 503))}
    assert set(done) <= allowed, done
    assert done["answered"] > 20 and done["left"] > 5 and done["error 413"] > 5 and done["error 400"] > 2

    end = time.monotonic() + 20
    while server.status.running or server.status.waiting or server._uvicorn.server_state.tasks:
        assert time.monotonic() < end, server.status
        time.sleep(0.05)
    answer = httpx.post(url, json={**CHAT, "max_tokens": 3}, timeout=60)
    assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] == 3
    while process.num_fds() > files or len(process.children()) > children:
        assert time.monotonic() < end, (process.num_fds(), files, process.children())
        time.sleep(0.05)
    grown = process.memory_info().rss - memory
    assert grown < GROWN, f"{grown / 2**20:.0f} MiB"

"""The host dies, the kernel dies, somebody presses stop: nothing is lost and nobody is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

import specviz as sv
from specviz.trace import StopReason


def wait_for(condition, seconds=15.0):
    """Wait until a condition holds; return whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_kill_9_in_mid_generation_keeps_the_partial_trace_and_the_next_call_works(each_pair):
    expected = each_pair.generate("Tell me a story", max_tokens=30).token_ids
    pid = each_pair._client.pid
    generation = each_pair.stream("Tell me a story", max_tokens=2000, ignore_eos=True)
    with pytest.raises(sv.EngineCrashed, match=r"ended by SIGKILL .*the next call starts a new one") as caught:
        for round in generation:
            if round.index == 5:
                os.kill(pid, signal.SIGKILL)
    trace = caught.value.trace
    assert trace is generation.trace is each_pair.last_trace
    assert len(trace.rounds) >= 6 and trace.text
    assert trace.summary.stop_reason == StopReason.FAILED and "SIGKILL" in trace.summary.error
    again = each_pair.generate("Tell me a story", max_tokens=30)
    assert again.token_ids == expected
    assert each_pair._client.pid not in (None, pid)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_the_cause_of_a_crash_is_named(quick_pair, number):
    generation = quick_pair.stream("Tell me a story", max_tokens=2000, ignore_eos=True)
    with pytest.raises(sv.EngineCrashed, match=signal.Signals(number).name):
        for round in generation:
            if round.index == 1:
                os.kill(quick_pair._client.pid, number)


def test_killed_while_idle_the_next_call_works(each_pair):
    each_pair.generate("hi", max_tokens=2)
    os.kill(each_pair._client.pid, signal.SIGKILL)
    assert each_pair.generate("hi", max_tokens=2).text


def test_ten_threads_at_once_each_get_their_own_answer(each_pair):
    prompts = [f"Count to {n}" for n in range(10)]
    expected = [each_pair.generate(prompt, max_tokens=8).token_ids for prompt in prompts]
    answers = {}

    def ask(prompt):
        answers[prompt] = each_pair.generate(prompt, max_tokens=8).token_ids

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answers[prompt] for prompt in prompts] == expected


def test_cancelled_at_any_moment_the_next_answer_is_right(each_pair):
    expected = each_pair.generate("Tell me a story", max_tokens=12).token_ids
    for delay in range(0, 100, 9):
        with each_pair.stream("Tell me a story", max_tokens=None, ignore_eos=True) as generation:
            next(iter(generation))
            time.sleep(delay / 1000)
        assert generation.trace.summary.stop_reason == StopReason.USER_STOPPED
        assert each_pair.generate("Tell me a story", max_tokens=12).token_ids == expected


def test_a_waiting_request_can_be_cancelled_before_it_starts(quick_pair):
    first = quick_pair.stream("Tell me a long story", max_tokens=None, ignore_eos=True)
    second = quick_pair.stream("Tell me another", max_tokens=None, ignore_eos=True)
    next(iter(first))
    second.cancel()
    first.cancel()
    assert sum(1 for _ in first) < 200
    assert sum(1 for _ in second) == 0
    assert second.trace.summary.stop_reason == StopReason.USER_STOPPED


def test_a_long_prompt_can_be_stopped_while_it_is_read(pair):
    generation = pair.stream("a long tale " * 1100, max_tokens=8)
    while generation.phase != "prefill":
        generation.next_event()
    asked = time.monotonic()
    generation.cancel()
    assert list(generation) == []
    assert generation.trace.summary.stop_reason == StopReason.USER_STOPPED
    assert time.monotonic() - asked < 5  # reading it all takes tens of seconds
    assert pair.generate("Say hi.", max_tokens=4).text


CHILD = """
    import os, sys, threading, time
    import specviz as sv
    from specviz.models import demo_drafts
    pair = sv.load(demo_drafts()[0].path, None)
    {extra}
    threading.Thread(
        target=lambda: list(pair.stream("Tell me a story", max_tokens=None, ignore_eos=True)), daemon=True
    ).start()
    time.sleep(0.3)
    print(pair._client.pid, flush=True)
    {end}
"""


def start_child(extra="", end="time.sleep(60)"):
    source = textwrap.dedent(CHILD.format(extra=textwrap.indent(extra, "    ").strip(), end=end))
    child = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    lines = [child.stdout.readline() for _ in range(2 if extra else 1)]
    return child, [int(line) for line in lines]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kernel_that_dies_in_mid_generation_leaves_no_host(number):
    child, (host,) = start_child()
    assert not gone(host)
    child.send_signal(number)
    child.wait(10)
    assert wait_for(lambda: gone(host))


def test_nor_if_a_forked_child_keeps_the_pipe_open():
    fork = "fork = os.fork()\nif fork == 0:\n    time.sleep(30); os._exit(0)\nprint(fork, flush=True)"
    child, (forked, host) = start_child(fork)
    try:
        child.kill()
        child.wait(10)
        assert not gone(forked)
        assert wait_for(lambda: gone(host))
    finally:
        os.kill(forked, signal.SIGKILL)


def test_a_kernel_that_exits_in_mid_generation_exits_at_once_and_leaves_no_host():
    child, (host,) = start_child(end="sys.exit(0)")
    assert child.wait(10) == 0
    assert wait_for(lambda: gone(host))


def test_an_interrupt_stops_the_engine_and_keeps_the_partial_trace():
    source = """
        import specviz as sv
        from specviz.models import demo_drafts
        pair = sv.load(demo_drafts()[0].path, None)
        pair.generate("hi", max_tokens=2)
        print("ready", flush=True)
        try:
            pair.generate("Tell me a story", max_tokens=None, ignore_eos=True)
        except KeyboardInterrupt:
            print(len(pair.last_trace) > 0, pair.last_trace.summary.stop_reason, flush=True)
        print(pair.generate("hi", max_tokens=2).summary.stop_reason, flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=20)
    assert out.splitlines() == ["True userStopped", "maxPredictedTokensReached"]


def test_what_the_engine_prints_does_not_land_among_the_replies(quick_pair):
    from specviz.engines.client import HostClient
    from specviz.engines.messages import PairSpec, Tokenize, Tokens

    client = HostClient()
    try:
        spec = PairSpec(engine="llama.cpp", main=quick_pair.spec.main)
        replies = list(client.call(Tokenize, pair=spec, text="hello"))
        assert any(isinstance(reply, Tokens) for reply in replies)
        with open(f"/proc/{client.pid}/fd/1", "wb", buffering=0) as stdout:
            stdout.write(b"ggml says hello\n")
        assert any(isinstance(reply, Tokens) for reply in client.call(Tokenize, pair=spec, text="again"))
    finally:
        client.close()


def test_a_hundred_generations_leave_memory_flat(quick_pair):
    host, here = psutil.Process(_ensure_host(quick_pair)), psutil.Process()
    for i in range(100):
        quick_pair.generate(f"Tell me a story about the number {i}", max_tokens=64, ignore_eos=True)
        if i == 9:
            before = host.memory_info().rss, here.memory_info().rss
    assert host.memory_info().rss < 1.05 * before[0]
    assert here.memory_info().rss < 1.05 * before[1]


def _ensure_host(pair):
    pair.generate("hi", max_tokens=2)
    return pair._client.pid

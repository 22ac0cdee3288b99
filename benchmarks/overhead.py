"""What looking costs: the trace's detail, and an attached widget, in CPU seconds of the processes concerned."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import psutil

import specviz as sv
from benchmarks.measure import interleave, interval_text, prompts, table


def cpu(*pids: int) -> float:
    """CPU seconds that processes have used so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def detail(n_prompts: int, max_tokens: int, repeats: int) -> str:
    """Compare generations with and without p, q, ranks and top candidates."""
    rows = []
    with sv.load("q4_1", "17m") as pair:
        for name, settings in (
            ("plain", {"draft": None}),
            ("speculative, length 4", {}),
            ("speculative, p_min 0.5", {"p_min": 0.5}),
        ):
            of_host, of_both = [], []
            for prompt in prompts(n_prompts):

                def run(
                    with_detail: bool, of: Callable[[], float], prompt: str = prompt, settings: dict = settings
                ) -> float:
                    before = of()
                    pair.generate(prompt, max_tokens=max_tokens, ignore_eos=True, detail=with_detail, **settings)
                    return of() - before

                run(True, lambda: 0.0)
                host = pair._client.pid
                for of, ratios in ((lambda h=host: cpu(h), of_host), (lambda h=host: cpu(h, os.getpid()), of_both)):
                    on, off = interleave(lambda of=of: run(True, of), lambda of=of: run(False, of), repeats)
                    ratios.append(sum(on) / sum(off))
            rows.append((name, interval_text(of_host), interval_text(of_both)))
    return table(("decoding", "CPU with / without detail: engine", "engine and kernel"), rows)


def widget(n_prompts: int, max_tokens: int, repeats: int) -> str:
    """Compare, in a real kernel, generations that a widget follows with ones that nobody looks at."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        code = f"""
import sys; sys.path.insert(0, {os.getcwd()!r})
from benchmarks.overhead import _in_kernel
_in_kernel({n_prompts}, {max_tokens}, {repeats})
"""
        out: list[str] = []

        def hook(message: dict) -> None:
            if message["msg_type"] == "stream":
                out.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                sys.exit("\n".join(message["content"]["traceback"]))

        client.execute_interactive(code, output_hook=hook, timeout=1800)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    ratios = json.loads("".join(out).strip().splitlines()[-1])
    return table(
        ("process", "CPU with / without widget"),
        [("engine", interval_text(ratios["engine"])), ("engine and kernel", interval_text(ratios["both"]))],
    )


def _in_kernel(n_prompts: int, max_tokens: int, repeats: int) -> None:
    """Run inside the kernel; prints the ratios as JSON."""
    ratios: dict[str, list[float]] = {"engine": [], "both": []}
    with sv.load("q4_1", "17m") as pair:
        feed = sv.Feed()
        pair.generate("hi", max_tokens=4)
        host = pair._client.pid
        for prompt in prompts(n_prompts):
            asked = {"max_tokens": max_tokens, "ignore_eos": True}

            def bare(prompt: str = prompt, asked: dict = asked) -> tuple[float, float]:
                before = cpu(host), cpu(host, os.getpid())
                pair.generate(prompt, **asked)
                return cpu(host) - before[0], cpu(host, os.getpid()) - before[1]

            def watched(prompt: str = prompt, asked: dict = asked) -> tuple[float, float]:
                before = cpu(host), cpu(host, os.getpid())
                feed.follow(pair.stream(prompt, **asked))
                feed.wait()
                return cpu(host) - before[0], cpu(host, os.getpid()) - before[1]

            bare()
            with_widget, without = interleave(watched, bare, repeats)
            for i, name in enumerate(("engine", "both")):
                ratios[name].append(sum(one[i] for one in with_widget) / sum(one[i] for one in without))
    print(json.dumps(ratios))

"""`specviz serve`: the server from a terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specviz.server.jobs import Job

KEY_VARIABLE = "SPECVIZ_API_KEY"


def add_serve_command(commands: Any) -> None:
    """Add the command to those of an `argparse` parser; it sets `run`, which returns the exit status."""
    parser = commands.add_parser(
        "serve",
        help="a local server for OpenAI's and LM Studio's clients",
        description="Serve OpenAI's API (/v1) and LM Studio's (/api/v0) until it is interrupted.",
    )
    parser.set_defaults(run=_serve)
    add = parser.add_argument
    add("--main", default="auto", help="the model of requests that name none, loaded at once (default: the demo model)")
    add(
        "--draft", default="auto", help="its draft; ngram: lookup without a model; none: off (default: as for generate)"
    )
    add("--host", default="127.0.0.1", help="where to listen; other than loopback needs a key (default: %(default)s)")
    add("--port", type=int, default=1234, help="0: a free one (default: %(default)s)")
    add("--api-key", metavar="KEY", help=f"what clients must send (default: the variable {KEY_VARIABLE})")
    add("--record", metavar="FOLDER", help="save the trace of every generation there")
    add(
        "--ttl",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="free models that were idle so long (default: 3600)",
    )
    add("--memory", type=float, metavar="GB", help="what models may take together (default: three quarters of it)")
    add("--queue", type=int, default=64, metavar="N", help="requests that may wait (default: %(default)s)")
    add("--time-limit", type=float, default=600.0, metavar="SECONDS", help="of a request (default: 600)")
    add("--max-body", type=int, default=4 << 20, metavar="BYTES", help="of a request (default: %(default)s)")
    add(
        "--cors", action="append", default=[], metavar="ORIGIN", help="let this origin's web pages ask; may be repeated"
    )
    add("--n-ctx", type=int, metavar="N", help="tokens of prompt and answer (default: up to 4096)")
    add("--gpu-layers", type=int, default=0, metavar="N", help="layers on a GPU; -1: all (default: 0)")
    add("--threads", type=int, help="CPU threads (default: physical cores less one)")


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from specviz.server.handle import serve
    except ModuleNotFoundError as error:
        raise RuntimeError(str(error)) from None

    server = serve(
        arguments.main,
        arguments.draft,
        host=arguments.host,
        port=arguments.port,
        api_key=arguments.api_key or os.environ.get(KEY_VARIABLE),
        record=arguments.record,
        ttl=arguments.ttl,
        memory_bytes=None if arguments.memory is None else int(arguments.memory * 1e9),
        queue=arguments.queue,
        time_limit=arguments.time_limit,
        max_body=arguments.max_body,
        cors=arguments.cors,
        on_end=_report,
        n_ctx=arguments.n_ctx,
        n_gpu_layers=arguments.gpu_layers,
        n_threads=arguments.threads,
    )
    with server:
        print(f"{server.url}/v1 speaks OpenAI's API, {server.url}/api/v0 LM Studio's. Ctrl+C stops.", flush=True)
        signal.signal(signal.SIGTERM, _interrupt)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _report(job: Job, how: str) -> None:
    """Print one line for a generation."""
    line = f"{job.ask.id} {job.ask.choice.main.id}: {how}"
    if job.trace is not None:
        stats = job.trace.stats
        line += f", {stats.output_tokens} tokens"
        if stats.tokens_per_second is not None:
            line += f", {stats.tokens_per_second:.1f} tok/s"
        if stats.draft_acceptance_rate is not None:
            line += f", {stats.draft_acceptance_rate:.0%} of {job.ask.choice.draft_id}'s drafts accepted"
    print(line, flush=True)

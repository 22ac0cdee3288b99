"""The engine host: a process of its own, so that whatever an engine does leaves the notebook's kernel alive.

Started by `client.py` as `python -m specviz.engines.host`, with requests on standard input and replies on standard
output. It ends when its input ends: when the kernel closes it, dies, or is killed.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import time
from typing import BinaryIO

import msgspec

from specviz.engines import messages as m
from specviz.engines.registry import make_engine
from specviz.engines.service import Service

PARENT_CHECK_SECONDS = 2.0
SEND_SECONDS = 0.016
"""Between two writes of replies: a frame of a screen."""


def main() -> None:
    """Serve requests until the input ends."""
    requests_in, replies_out = _take_pipes()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies: queue.SimpleQueue[m.Reply] = queue.SimpleQueue()
    waiting: queue.SimpleQueue[m.Request] = queue.SimpleQueue()
    service = Service(make_engine, replies.put)
    threading.Thread(target=_write, args=(replies_out, replies), daemon=True).start()
    threading.Thread(target=_read, args=(requests_in, service, waiting), daemon=True).start()
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    while True:
        service.handle(waiting.get())


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: what a C library prints must not land among the replies."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _write(file: BinaryIO, replies: queue.SimpleQueue[m.Reply]) -> None:
    """Send replies from a thread of its own, several together.

    A write wakes the kernel's thread, and that may take the core from the engine; a `put` that wakes this thread costs
    the engine time too. So this thread sleeps after each write, and a reply is on its way within 16 ms.
    """
    encoder = msgspec.msgpack.Encoder()
    try:
        while True:
            m.write_frame(file, encoder.encode(replies.get()), flush=False)
            while not replies.empty():
                m.write_frame(file, encoder.encode(replies.get()), flush=False)
            file.flush()
            time.sleep(SEND_SECONDS)
    except OSError:
        os._exit(0)


def _read(file: BinaryIO, service: Service, waiting: queue.SimpleQueue[m.Request]) -> None:
    """Queue requests, but let a cancel overtake them; end the process at the end of the input, mid-pass or not."""
    decoder = msgspec.msgpack.Decoder(m.Request)
    try:
        while (frame := m.read_frame(file)) is not None:
            request = decoder.decode(frame)
            if isinstance(request, m.Cancel):
                service.cancel(request.request)
            else:
                waiting.put(request)
    except (EOFError, OSError):
        pass
    os._exit(0)


def _watch_parent(parent: int) -> None:
    """End with the parent even if a stray copy of our input's other end keeps it open."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()

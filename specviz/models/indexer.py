"""The process that reads model files for the library, so that nothing in them can harm the notebook's kernel.

`python -m specviz.models.indexer FOLDER` answers each line of JSON on its input with one on its output. Its memory is
limited; its time is the library's to limit (`IndexerProcess`). It ends with its input.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from functools import lru_cache

import msgspec
import psutil
from msgspec import Struct

from specviz.models.card import ModelCard
from specviz.models.compatibility import VocabularyDifference, vocabulary_difference
from specviz.models.folders import Found
from specviz.models.reading import read_model
from specviz.models.store import Store
from specviz.models.vocabulary import Vocabulary

MEMORY_BYTES = 1536 << 20
"""That reading one file may take, beyond the process itself."""
VOCABULARIES_KEPT = 32
START_SECONDS = 60.0
NICENESS = 10


class Read(Struct, frozen=True, tag=True):
    """Make a model's card, and keep its vocabulary."""

    found: Found


class Differ(Struct, frozen=True, tag=True):
    """Compare two vocabularies that are kept."""

    main: str
    draft: str


class Ready(Struct, frozen=True, tag=True):
    """The process has started."""


class Card(Struct, frozen=True, tag=True):
    """The reply to `Read`."""

    card: ModelCard


class Difference(Struct, frozen=True, tag=True):
    """The reply to `Differ`; None if a vocabulary is no longer kept."""

    difference: VocabularyDifference | None


Request = Read | Differ
Reply = Ready | Card | Difference


class IndexerError(RuntimeError):
    """The process did not answer; the message continues a sentence that begins with the name of what it read."""


class IndexerProcess:
    """The process, from the library's side. Started when it is asked, and again after it failed.

    Parameters
    ----------
    store
        Where it keeps vocabularies.
    timeout
        Seconds that one answer may take.
    """

    def __init__(self, store: Store, timeout: float) -> None:
        self.store = store
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()

    def ask(self, request: Request) -> Reply:
        """Return the answer to a request.

        Raises
        ------
        IndexerError
            If there is none: it took too long, or the process ended.
        """
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
            reply = self._replies.get(timeout=self.timeout)
        except queue.Empty:
            self.close()
            raise IndexerError(f"took more than {self.timeout:g} s to read") from None
        except OSError:
            reply = None
        if reply is None:
            status = process.wait()
            self.close()
            raise IndexerError(f"ended the process that read it ({_ending(status)})")
        return reply

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._replies = queue.SimpleQueue()
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "specviz.models.indexer", str(self.store.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError as error:
            raise IndexerError(f"cannot be read: no process can be started ({error})") from None
        threading.Thread(target=_receive, args=(process, self._replies), daemon=True).start()
        try:
            ready = self._replies.get(timeout=START_SECONDS)
        except queue.Empty:
            ready = None
        if ready is None:
            self.close()
            raise IndexerError("cannot be read: the process for reading does not start")
        return process


def _receive(process: subprocess.Popen[bytes], replies: queue.SimpleQueue[Reply | None]) -> None:
    """Hand on replies; None at the end."""
    assert process.stdout is not None
    decoder = msgspec.json.Decoder(Reply)
    try:
        for line in process.stdout:
            replies.put(decoder.decode(line))
    except (OSError, ValueError):
        pass
    replies.put(None)


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def main() -> None:
    """Answer requests until the input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    store = Store(sys.argv[1])
    _limit_memory()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    kept = lru_cache(VOCABULARIES_KEPT)(store.vocabulary)
    decoder = msgspec.json.Decoder(Request)

    def reply(message: Reply) -> None:
        replies.write(msgspec.json.encode(message) + b"\n")
        replies.flush()

    reply(Ready())
    for line in sys.stdin.buffer:
        request = decoder.decode(line)
        if isinstance(request, Read):
            card, vocabulary = read_model(request.found)
            if vocabulary is not None:
                _keep(store, vocabulary)
            reply(Card(card))
        else:
            main, draft = kept(request.main), kept(request.draft)
            if main is None or draft is None:
                kept.cache_clear()
                reply(Difference(None))
            else:
                reply(Difference(vocabulary_difference(main, draft)))


def _keep(store: Store, vocabulary: Vocabulary) -> None:
    """Keep a vocabulary where that is possible; where not, comparisons read the models again."""
    with contextlib.suppress(OSError):
        store.save_vocabulary(vocabulary)


def _limit_memory() -> None:
    """Let allocations fail before the machine suffers (not on Windows; macOS takes no notice)."""
    try:
        import resource
    except ImportError:
        return
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()

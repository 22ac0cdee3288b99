"""What is known of the models on this machine, kept on disk between sessions.

Plain files, not SQLite: a home directory on a network file system, as classes and clusters have, makes SQLite's locks
fail or hang, and what is kept is small and replaceable. `index.json` holds the cards and the results of comparisons;
`<digest>.tokens` each distinct vocabulary once. Every file is written beside its place and moved there, so that a
reader sees all of it or nothing; of two sessions that write at once the later one's cards stay, and what is missing is
read again. A file that is damaged counts as not there.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from specviz.models.card import ModelCard
from specviz.models.compatibility import VocabularyDifference
from specviz.models.folders import Found, is_file
from specviz.models.vocabulary import LENGTH, Vocabulary

VERSION = 1
"""Of the files and of what the readers make of a model: raise it when either changes."""
DIGEST = re.compile(r"[0-9a-f]{32}\Z")
UNUSED_SECONDS = 7 * 24 * 3600.0
"""How long a vocabulary that no card names is kept: another session may have just written it."""

Signature = tuple[tuple[int, int], ...]
"""Size in bytes and modification time in nanoseconds of every file of a model."""


class Entry(Struct, frozen=True):
    """A card, and what it was made from, in which state."""

    found: Found
    signature: Signature
    card: ModelCard


class Index(Struct):
    """All cards by path, and all compared pairs of vocabularies by their digests, `<smaller> <greater>`."""

    version: int = VERSION
    entries: dict[str, Entry] = {}
    differences: dict[str, VocabularyDifference] = {}


class Store:
    """A folder for the index and the vocabularies.

    Parameters
    ----------
    folder
        None: specviz's own in the user's cache.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else platformdirs.user_cache_path("specviz") / "library"

    def load(self) -> Index:
        """Return the index; an empty one if there is none that can be read."""
        try:
            index = msgspec.json.decode((self.folder / "index.json").read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError, UnicodeError, RecursionError):
            return Index()
        return index if index.version == VERSION else Index()

    def save(self, index: Index) -> None:
        """Write the index, with what other sessions wrote since, less the models that are gone.

        Where nothing can be written, nothing is kept: the next session reads the models again.
        """
        other = self.load()
        entries = {**other.entries, **index.entries}
        entries = {path: entry for path, entry in entries.items() if os.path.exists(path)}
        used = {entry.card.tokenizer.digest for entry in entries.values() if entry.card.tokenizer is not None}
        kept = Index(
            entries=entries,
            differences={
                pair: difference
                for pair, difference in {**other.differences, **index.differences}.items()
                if used.issuperset(pair.split())
            },
        )
        with contextlib.suppress(OSError):
            self._write("index.json", msgspec.json.encode(kept))
            self._clean(used)

    def has_vocabulary(self, digest: str) -> bool:
        """Whether a vocabulary is kept."""
        return is_file(self._tokens(digest))

    def save_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Keep a vocabulary.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if not self.has_vocabulary(vocabulary.digest):
            self._write(self._tokens(vocabulary.digest).name, LENGTH.pack(vocabulary.n_tokens) + vocabulary.raw)

    def vocabulary(self, digest: str) -> Vocabulary | None:
        """Return a vocabulary; None if it is not kept, or is damaged (it is then removed)."""
        path = self._tokens(digest)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if len(data) >= LENGTH.size:
            vocabulary = Vocabulary(data[LENGTH.size :], LENGTH.unpack_from(data)[0])
            if vocabulary.digest == digest:
                return vocabulary
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def _tokens(self, digest: str) -> Path:
        if DIGEST.match(digest) is None:
            raise ValueError(f"{digest!r} is no digest of a vocabulary")
        return self.folder / f"{digest}.tokens"

    def _write(self, name: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}.part"
        try:
            part.write_bytes(data)
            os.replace(part, self.folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _clean(self, used: set[str]) -> None:
        """Remove what is of no use any more, if it has been so for some time."""
        old = time.time() - UNUSED_SECONDS
        for path in self.folder.iterdir():
            stray = path.suffix == ".part" or (path.suffix == ".tokens" and path.stem not in used)
            if stray and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)


def signature(files: tuple[str, ...]) -> Signature | None:
    """Return the present state of files; None if one is gone."""
    try:
        states = [os.stat(file) for file in files]
    except (OSError, ValueError):
        return None
    return tuple((state.st_size, state.st_mtime_ns) for state in states)

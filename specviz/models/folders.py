"""Finding model files in a folder: which files make one model, and what is missing of it.

Nothing is opened here. Loops of links, folders that cannot be read, pipes and odd names are passed over.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from specviz.models.card import Format

MAX_DEPTH = 12
BESIDE_WEIGHTS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "adapter_config.json",
)
"""What an MLX model's folder holds beside weights, as far as we look at it."""
SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\Z", re.DOTALL)
"""`llama_split_path` of llama.cpp; transformers names its safetensors alike."""


class Found(Struct, frozen=True, kw_only=True):
    """Files that make one model, not yet read."""

    name: str
    path: str
    """The file, of a split model its first part, of an MLX model its folder."""
    files: tuple[str, ...]
    """All files that its card is made from, those with weights in order."""
    format: Format
    source: str = "folder"
    damaged: str = ""
    """What is wrong with it, as far as names tell."""


def printable(path: str) -> str:
    """Return a path in which bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_in_folder(folder: str | os.PathLike[str], source: str = "folder") -> Iterator[Found]:
    """Find all models in a folder and the folders within it, links followed, each place visited once."""
    for place, names in _walk(os.path.abspath(os.path.expanduser(folder))):
        yield from _models(place, names, source)


def _walk(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder with the names of its files, in order."""
    waiting = [(folder, 0)]
    visited: set[tuple[int, int]] = set()
    while waiting:
        place, depth = waiting.pop()
        try:
            status = os.stat(place)
            if (identity := (status.st_dev, status.st_ino)) in visited:
                continue
            visited.add(identity)
            with os.scandir(place) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        names = []
        for entry in listed:
            try:
                if entry.is_file():
                    names.append(entry.name)
                elif entry.is_dir() and depth < MAX_DEPTH:
                    waiting.append((entry.path, depth + 1))
            except OSError:
                continue
        yield place, names


def _models(place: str, names: list[str], source: str) -> Iterator[Found]:
    """Group the files of one folder into models."""
    ggufs = [name for name in names if name.lower().endswith(".gguf")]
    weights = [name for name in names if name.endswith(".safetensors")]
    for stem, files, damaged in group_parts(ggufs):
        paths = tuple(os.path.join(place, name) for name in files)
        yield _found(stem, paths[0], paths, "gguf", source, damaged)
    if "config.json" in names and weights:
        groups = list(group_parts(weights))
        damaged = next((damaged for _, _, damaged in groups if damaged), "")
        files = [name for _, files, _ in groups for name in files] + [name for name in BESIDE_WEIGHTS if name in names]
        paths = tuple(os.path.join(place, name) for name in files)
        yield _found(os.path.basename(place), place, paths, "mlx", source, damaged)


def group_parts(names: Iterable[str]) -> Iterator[tuple[str, list[str], str]]:
    """Group file names, parts of a split model together.

    Yields
    ------
    Name without ending and number, the files in order, and what is missing (empty: nothing).
    """
    split: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    single = []
    for name in names:
        stem, _, _ = name.rpartition(".")
        match = SPLIT.match(stem)
        if match is None or not 0 < int(match["part"]) <= int(match["parts"]):
            single.append((stem, [name], ""))
        else:
            split[match["stem"], match["parts"]][int(match["part"])] = name
    for (stem, total), parts in split.items():
        n = int(total)
        damaged = ""
        if len(parts) < n:
            first = next(i for i in range(1, n + 1) if i not in parts)
            more = n - len(parts) - 1
            damaged = f"lacks part {first} of {n}" + (f" and {more} more" if more else "")
        single.append((stem, [name for _, name in sorted(parts.items())], damaged))
    yield from sorted(single)


def _found(name: str, path: str, files: tuple[str, ...], format: Format, source: str, damaged: str) -> Found:
    if any(printable(file) != file for file in (path, *files)):
        damaged = "has a name that is not UTF-8: rename it"
        name, path, files = printable(name), printable(path), tuple(map(printable, files))
    return Found(name=name, path=path, files=files, format=format, source=source, damaged=damaged)


def is_file(path: str | Path) -> bool:
    """Whether a path leads to an ordinary file, not to a pipe or a device that would keep a reader waiting."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def find_beside(path: str | os.PathLike[str]) -> Found:
    """Return the model that a file or an MLX folder belongs to.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    path = os.path.abspath(os.path.expanduser(path))
    place, name = (path, "") if os.path.isdir(path) else os.path.split(path)
    try:
        names = sorted(entry for entry in os.listdir(place) if is_file(os.path.join(place, entry)))
    except OSError as error:
        raise FileNotFoundError(f"there is no model at {path}: {error.strerror}") from None
    for found in _models(place, names, "folder"):
        if found.path == path or path in found.files:
            return found
    if name not in names:
        raise FileNotFoundError(f"there is no model at {path}")
    return _found(name, path, (path,), "gguf", "folder", "")

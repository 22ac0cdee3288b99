"""The draft that a user wants with a main model, remembered between sessions.

One small file of settings, `defaults.json` in the user's configuration folder. It is written beside its place and
moved there, under a lock, so that two sessions that write at once both keep what they wrote. A file that cannot be
understood is moved aside, not overwritten.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

NGRAM, NONE = "ngram", "none"
"""What may be remembered instead of a draft's path: lookup without a model, and no drafting."""
LOCK_SECONDS = 5.0
"""That one waits for a lock, which is held for milliseconds; if it is still there, it was left behind."""


class Default(Struct, frozen=True):
    """What is remembered of one main model."""

    name: str
    """The main model's, for whoever reads the file."""
    draft: str
    """A path, `ngram` or `none`."""


def defaults_file() -> Path:
    """Return the file in which defaults are remembered (JSON: main model's path -> name and draft)."""
    return platformdirs.user_config_path("specviz") / "defaults.json"


def default_draft(main_path: str | Path) -> str | None:
    """Return what is remembered for a main model: a draft's path, `"ngram"` or `"none"`; None: nothing.

    Whether the draft is still there and still fits is not looked at.
    """
    default = _read().get(_key(main_path))
    return None if default is None else default.draft


def set_default_draft(main_path: str | Path, draft: str | Path | None) -> None:
    """Remember a draft for a main model.

    Parameters
    ----------
    main_path
        The main model's file or folder.
    draft
        The draft's file or folder, `"ngram"` (lookup without a model) or `"none"` (no drafting); None forgets.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = defaults_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        defaults = _read(locked=True)
        if draft is None:
            defaults.pop(_key(main_path), None)
        else:
            kept = str(draft) if str(draft) in (NGRAM, NONE) else os.path.abspath(os.path.expanduser(draft))
            defaults[_key(main_path)] = Default(Path(main_path).name.removesuffix(".gguf"), kept)
        _write(file, defaults)


def _key(main_path: str | Path) -> str:
    return os.path.realpath(os.path.expanduser(main_path))


def _read(*, locked: bool = False) -> dict[str, Default]:
    """Return all that is remembered; a file that cannot be understood is moved aside, for which the lock is needed."""
    file = defaults_file()
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Default])
    except FileNotFoundError:
        return {}
    except OSError:
        if locked:
            raise
        return {}
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = str(error)
    try:
        if not locked:
            with _locked(file):
                return _read(locked=True)
        os.replace(file, aside := file.with_name(f"{file.name}.damaged"))
        kept = f"it is kept as {aside.name}"
    except OSError:
        if locked:
            raise
        kept = "it cannot be moved aside"
    warnings.warn(f"the default drafts in {file} cannot be read ({reason}): {kept}", stacklevel=3)
    return {}


def _write(file: Path, defaults: dict[str, Default]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(defaults, order="sorted"), indent=2) + b"\n")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock; one that a session left behind when it died is taken over."""
    lock = file.with_name(f"{file.name}.lock")
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            if time.monotonic() > end:
                lock.unlink(missing_ok=True)
            time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)

"""Finding a model by what a user calls it: a path, a name, or an unambiguous part of a name."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

MAX_LISTED = 20
"""Names in a message."""


class ModelNotFoundError(FileNotFoundError):
    """No model goes by that name; the message lists those that do."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file on this machine, or one that can be made here."""

    name: str
    """The file's name without its ending."""
    path: Path
    label: str = ""
    """What a selector shows; empty: the name."""
    detail: str = ""
    """Half a line more."""
    source: Path | None = None
    """For a copy that is made on first use: the file it is made from."""
    file_type: str = ""
    """And the type it is made in, such as F16."""

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    @property
    def readable(self) -> Path:
        """The file that says what the model is: its own, or the one it is made from."""
        return self.path if self.exists or self.source is None else self.source


NGRAM_LOOKUP = LocalModel("ngram", Path("ngram"), "N-gram lookup (no model)", "Repeats what followed the same words")
"""What stands for a draft where n-grams of the text are looked up instead."""


class Named(Protocol):
    """Whatever goes by a name and is kept somewhere."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def path(self) -> str | Path:
        """Where it is."""
        ...


N = TypeVar("N", bound=Named)


def find_model(
    name: str | Path, known: Sequence[LocalModel], more: Callable[[], Iterable[LocalModel]] | None = None
) -> LocalModel:
    """Return the model that `name` means.

    Parameters
    ----------
    name
        A path to a GGUF file or to a folder with an MLX model, or a part of a model's name, in any case of letters.
    known
        Models that go by names.
    more
        Asked for further models where `known` does not settle what is meant.

    Raises
    ------
    ModelNotFoundError
        If there is no such file and no model, or several, are so called.
    """
    path = Path(name).expanduser()
    if path.is_file() or (path / "config.json").is_file():
        return LocalModel(path.name.removesuffix(".gguf"), Path(os.path.abspath(path)))
    if path.suffix.lower() == ".gguf":
        raise ModelNotFoundError(f"there is no model file {path}")
    if more is not None:
        with contextlib.suppress(ModelNotFoundError):
            return find_by_name(str(name), known)
        there = {model.path for model in known}
        known = [*known, *(model for model in more() if model.path not in there)]
    return find_by_name(str(name), known)


def find_by_name(name: str, known: Sequence[N]) -> N:
    """Return the one that is called `name`, in any case of letters, or else the only one whose name has it as a part.

    Raises
    ------
    ModelNotFoundError
        If none, or several, are so called; the message lists them.
    """
    wanted = name.lower()
    exact = [model for model in known if model.name.lower() == wanted]
    found = exact or [model for model in known if wanted in model.name.lower()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelNotFoundError(
            f"no model is called {name!r} and there is no such file; there are: {_listed(known) or 'none'}"
        )
    raise ModelNotFoundError(f"{name!r} may mean several models: {_listed(found)}")


def _listed(models: Sequence[Named]) -> str:
    """Name models, those that share a name by their paths; of many the first ones."""
    counts = Counter(model.name for model in models)
    names = [printable(model.name if counts[model.name] == 1 else str(model.path)) for model in models[:MAX_LISTED]]
    return ", ".join(names) + (f" and {len(models) - MAX_LISTED:,} more" if len(models) > MAX_LISTED else "")


def printable(text: str) -> str:
    """Make control characters visible, so that a file's name cannot steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)

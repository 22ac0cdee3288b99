"""Finding a model by what a user calls it: a path, a name, or an unambiguous part of a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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
        return self.path.is_file()


def find_model(name: str | Path, known: Sequence[LocalModel]) -> LocalModel:
    """Return the model that `name` means.

    Parameters
    ----------
    name
        A path to a GGUF file, or a part of the name of a known model, in any case of letters.
    known
        The models that go by names; the first is preferred among equals only if its name is `name` exactly.

    Raises
    ------
    ModelNotFoundError
        If there is no such file and no known model, or several, are so called.
    """
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf" or path.is_file():
        if not path.is_file():
            raise ModelNotFoundError(f"there is no model file {path}")
        return LocalModel(path.name.removesuffix(".gguf"), path.resolve())
    wanted = str(name).lower()
    exact = [model for model in known if model.name.lower() == wanted]
    found = exact or [model for model in known if wanted in model.name.lower()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(model.name for model in (found or known)) or "none"
    if found:
        raise ModelNotFoundError(f"{name!r} may mean several models: {names}")
    raise ModelNotFoundError(f"no model is called {name!r} and there is no such file; there are: {names}")

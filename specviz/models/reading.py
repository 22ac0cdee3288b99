"""From files to a card: of whatever format, and whatever is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

from specviz.models.card import DamagedModelError, ModelCard
from specviz.models.folders import Found, find_beside, is_file
from specviz.models.gguf_metadata import gguf_card
from specviz.models.mlx_metadata import mlx_card
from specviz.models.vocabulary import Vocabulary


def read_model(found: Found) -> tuple[ModelCard, Vocabulary | None]:
    """Read a model's metadata; what is wrong with the files becomes the card's `damaged`.

    Returns
    -------
    The card, and the vocabulary if it has one.
    """
    if found.damaged:
        return damaged_card(found, found.damaged), None
    if not all(map(is_file, found.files)):
        return damaged_card(found, "is gone"), None
    try:
        if found.format == "gguf":
            card, vocabulary = gguf_card(found.name, found.source, found.files)
        else:
            card, vocabulary = mlx_card(found.name, found.source, found.path, found.files)
    except DamagedModelError as error:
        return damaged_card(found, str(error)), None
    except OSError as error:
        return damaged_card(found, f"cannot be read: {error.strerror or error}"), None
    except MemoryError:
        return damaged_card(found, "takes more memory to read than a model should"), None
    return card, vocabulary


def read_path(path: str | Path) -> tuple[ModelCard, Vocabulary | None]:
    """Read the metadata of the model at a path: a GGUF file (any part of a split one) or an MLX folder.

    Raises
    ------
    FileNotFoundError
        If there is no model.
    """
    return read_model(find_beside(path))


def damaged_card(found: Found, reason: str) -> ModelCard:
    """Make the card of a model that cannot be read."""
    return ModelCard(
        name=found.name,
        path=found.path,
        source=found.source,
        format=found.format,
        files=found.files,
        kind="unknown",
        size_bytes=sum(os.stat(file).st_size for file in found.files if is_file(file)),
        damaged=reason,
    )

from __future__ import annotations

import pytest

pytest.importorskip("mlx_lm", reason="MLX is not made for this machine")

from specviz.engines.mlx.context import Context
from specviz.engines.mlx.model import Model
from tests.engines.mlx.folders import write_model


class Loaded:
    """A model with a context of its own."""

    def __init__(self, folder, n_ctx=256, **options):
        self.model = Model(str(folder))
        self.context = Context(self.model.net, name=folder.name, n_ctx=n_ctx, **options)


@pytest.fixture(scope="session")
def load():
    """Load a folder in this process and thread."""
    return Loaded


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A main model of 30 tokens, one draft that resembles it and one that does not."""
    folder = tmp_path_factory.mktemp("tiny-mlx")
    write_model(folder / "main", 1)
    write_model(folder / "alike", 2, like=1, mix=0.05)
    write_model(folder / "unlike", 3)
    return {name: Loaded(folder / name) for name in ("main", "alike", "unlike")}

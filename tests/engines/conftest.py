from __future__ import annotations

import pytest

import specviz as sv
from specviz.models import demo_drafts, demo_mains
from specviz.models.convert import convert


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo's models as MLX folders, by `main`, `12m`, `17m`, `22m`."""
    pytest.importorskip("mlx_lm", reason="MLX is not made for this machine")
    folder = tmp_path_factory.mktemp("mlx-demo")
    sources = {"main": demo_mains()[0], **{one.name.rpartition("-")[2][:3]: one for one in demo_drafts()}}
    for name, source in sources.items():
        convert(source.path, folder / name)
    return {name: folder / name for name in sources}


@pytest.fixture(scope="session")
def quick_mlx(demo):
    """The 22m draft as a main model for the 12m one, in the shared host."""
    with sv.load(demo["22m"], demo["12m"]) as pair:
        yield pair


@pytest.fixture(params=["quick_pair", "quick_mlx"], ids=["llama.cpp", "MLX"])
def each_pair(request):
    """The quick pair in one engine after the other."""
    return request.getfixturevalue(request.param)

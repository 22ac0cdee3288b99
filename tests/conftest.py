"""Real models for the tests: the demo pair, and a quick pair made of two of its drafts."""

from __future__ import annotations

import pytest

import specviz as sv


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots", action="store_true", help="take the pictures in tests/browser/snapshots anew"
    )


def pytest_collection_modifyitems(items):
    """Run the browser tests last, so that what they show has been tested before."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session", autouse=True)
def no_remembered_drafts(tmp_path_factory):
    """Keep the default drafts of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def pair():
    """SmolLM2-135M-Instruct Q4_1 with the 17m draft, in the shared host."""
    with sv.load() as pair:
        yield pair


@pytest.fixture(scope="session")
def quick_pair():
    """The 22m draft as a main model for the 12m one: same tokenizer, about ten times quicker than SmolLM2."""
    from specviz.models import demo_drafts

    paths = {model.name.rpartition("-")[2][:3]: model.path for model in demo_drafts()}
    with sv.load(paths["22m"], paths["12m"]) as pair:
        yield pair

"""Which models can be named, and which draft goes with one: request before server before default."""

import os

import pytest

import specviz as sv
from specviz.models import NGRAM_LOOKUP, LocalModel
from specviz.models.defaults import set_default_draft
from specviz.models.index import Library
from specviz.models.sources import DemoSource, FolderSource
from specviz.server.catalogue import Catalogue
from specviz.server.errors import ApiError
from tests.server.conftest import DRAFT, MAIN, OTHER
from tests.tiny import write_model


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    monkeypatch.setattr("specviz.server.catalogue.FRESH_SECONDS", 0)
    folder = tmp_path / "models"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        write_model(folder / name / "twin.gguf", 1)
    sources = [DemoSource(), FolderSource([folder])]
    catalogue = Catalogue(Library(sources=sources, cache=tmp_path / "cache"))
    catalogue.default = catalogue.find(MAIN.name)
    yield catalogue
    set_default_draft(MAIN.path, None)
    sv.set_draft(MAIN.path, "auto")


def test_ids_are_names_and_twins_are_numbered(catalogue):
    ids = list(catalogue.offers)
    assert {MAIN.name, DRAFT.name, OTHER.name, "twin", "twin:2"} <= set(ids)
    assert catalogue.find("twin").model.path != catalogue.find("twin:2").model.path
    assert catalogue.find("TWIN:2").id == "twin:2"


def test_a_model_that_came_later_is_found(catalogue, tmp_path):
    with pytest.raises(ApiError):
        catalogue.find("late")
    write_model(tmp_path / "models" / "late.gguf", 2)
    assert catalogue.find("late").size_bytes > 1000


def test_a_request_waits_for_the_search_that_the_start_began(tmp_path):
    write_model(tmp_path / "mine.gguf", 1)
    catalogue = Catalogue(Library(sources=[FolderSource([tmp_path])], cache=tmp_path / "cache"))
    catalogue.search(wait=False)
    assert catalogue.find("mine").id == "mine"


def test_of_the_many_there_are_only_the_first_are_listed(catalogue, tmp_path):
    for i in range(30):
        os.link(tmp_path / "models" / "a" / "twin.gguf", tmp_path / "models" / f"model-{i:02}.gguf")
    with pytest.raises(ApiError, match=r"there are: .*model-00.* and \d+ more$") as found:
        catalogue.find("nothing")
    assert found.value.status == 404


def test_a_copy_that_is_not_made_yet_is_offered(catalogue, monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path)
    catalogue.search()
    offered = catalogue.find("SmolLM2-135M-Instruct.F16")
    assert offered.card.quantization == "F16" and offered.card.architecture == "llama"
    assert offered.model.source is not None and not offered.model.exists


def test_models_that_the_owner_named_by_path_have_ids(tmp_path):
    path = write_model(tmp_path / "mine.gguf", 1)
    catalogue = Catalogue(Library(sources=[], cache=tmp_path / "cache"), own=[LocalModel("mine", path)])
    assert catalogue.find("mine").model.path == path and catalogue.find("mine").format == "gguf"


def chosen(catalogue, *draft, main=None):
    choice = catalogue.choose(main, draft[0] if draft else None, draft_given=bool(draft))
    return choice.draft_id


def test_the_draft_of_the_request_before_the_servers_before_the_default(catalogue):
    assert chosen(catalogue) is None
    set_default_draft(MAIN.path, DRAFT.path)
    assert chosen(catalogue) == DRAFT.name
    catalogue.set_draft(MAIN, OTHER)
    assert chosen(catalogue) == OTHER.name
    assert chosen(catalogue, DRAFT.name) == DRAFT.name
    for off in ("", None, "none", "None"):
        assert chosen(catalogue, off) is None
    assert chosen(catalogue, "ngram") == chosen(catalogue, "NGRAM") == "ngram"
    catalogue.set_draft(MAIN, None)
    assert chosen(catalogue) is None
    catalogue.set_draft(MAIN, NGRAM_LOOKUP)
    assert chosen(catalogue) == "ngram"
    assert chosen(catalogue, main=DRAFT.name) is None, "each main model has a draft of its own"


def test_the_default_draft_of_the_session(catalogue):
    sv.set_draft(MAIN.path, DRAFT.path)
    assert chosen(catalogue) == DRAFT.name


def test_a_draft_that_does_not_fit_is_refused_with_the_reason(catalogue):
    for _ in range(2):
        with pytest.raises(ApiError, match=f"twin cannot draft for {MAIN.name}: their tokenizers") as found:
            chosen(catalogue, "twin")
        assert found.value.status == 400


def test_without_a_default_model_a_request_must_name_one(catalogue):
    catalogue.default = None
    with pytest.raises(ApiError, match="names no model"):
        chosen(catalogue)
    assert chosen(catalogue, "", main=MAIN.name) is None

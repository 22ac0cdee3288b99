"""A model is found by a path, by its name, or by a part of it that only one has."""

from __future__ import annotations

from pathlib import Path

import pytest

from specviz.models.library import LocalModel, ModelNotFoundError, find_by_name, find_model
from tests.models.files import write_mlx

KNOWN = [LocalModel(name, Path(f"/demo/{name}.gguf")) for name in ("Smol.Q4_1", "Smol.F16", "draft")]


def unasked():
    pytest.fail("all models were looked for")


def test_a_name_that_is_known_is_enough():
    assert find_model("q4_1", KNOWN, unasked) is KNOWN[0]
    assert find_model("Draft", KNOWN, unasked) is KNOWN[2]


@pytest.mark.parametrize("name", ["smol", "Llama", "llama-8b"])
def test_what_is_not_settled_is_looked_for_among_all(name):
    more = [KNOWN[0], LocalModel("smol", Path("/mine/smol.gguf")), LocalModel("Llama-8B", Path("/mine/l.gguf"))]
    assert find_model(name, KNOWN, lambda: more).path.parent == Path("/mine")


def test_errors_name_what_there_is():
    more = [LocalModel("Smol.Q4_1", Path("/mine/it.gguf"))]
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'x' .* Smol\.F16, draft, /mine/it\.gguf$"):
        find_model("x", KNOWN, lambda: more)
    twins = [LocalModel("Twin", Path("/a.gguf")), LocalModel("Twin", Path("/b.gguf")), *KNOWN]
    with pytest.raises(ModelNotFoundError, match=r"'twin' may mean several models: /a\.gguf, /b\.gguf$"):
        find_model("twin", twins, lambda: more)
    with pytest.raises(ModelNotFoundError, match="there are: none"):
        find_by_name("x", [])


def test_of_many_names_some_are_listed():
    with pytest.raises(ModelNotFoundError, match=r"m19 and 980 more$"):
        find_by_name("m", [LocalModel(f"m{i}", Path(f"m{i}")) for i in range(1000)])


def test_paths_lead_to_files_and_to_folders_of_mlx_models(tmp_path, monkeypatch):
    (tmp_path / "it.gguf").touch()
    (tmp_path / "blob").touch()
    write_mlx(tmp_path / "mlx")
    (tmp_path / "draft").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("it.gguf", "blob", "mlx"):
        for path in (name, tmp_path / name):
            assert find_model(path, KNOWN, unasked) == LocalModel(name.removesuffix(".gguf"), tmp_path / name)
    assert find_model("draft", KNOWN, unasked) is KNOWN[2], "a folder without a model does not hide a name"
    with pytest.raises(ModelNotFoundError, match=r"there is no model file .*nothing\.gguf"):
        find_model("nothing.gguf", KNOWN, unasked)


def test_a_link_keeps_its_name(tmp_path):
    """Parts of a split model in a cache of links are found by their names."""
    (tmp_path / "blob").touch()
    (tmp_path / "it-00001-of-00002.gguf").symlink_to(tmp_path / "blob")
    assert find_model(tmp_path / "it-00001-of-00002.gguf", []).path == tmp_path / "it-00001-of-00002.gguf"

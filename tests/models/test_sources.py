"""Every source finds its models in a tree laid out as its program lays it out."""

from __future__ import annotations

import json
import os
import sys

import pytest

from specviz.models.convert import mlx_copy
from specviz.models.demo import demo_drafts
from specviz.models.folders import Found, find_beside, find_in_folder
from specviz.models.reading import read_model
from specviz.models.sources import (
    DemoSource,
    FolderSource,
    HuggingFaceSource,
    LMStudioSource,
    OllamaSource,
    SourceError,
    default_sources,
    discover,
    llamacpp_cache,
    settings_file,
    user_folders,
)
from tests.models.files import write_mlx, write_vocabulary


def names(source):
    return sorted(found.name for found in source.find())


def model(path):
    """A GGUF file at a path whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_vocabulary(path)


def test_demo(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = list(DemoSource().find())
    assert [one.name for one in found if "Q4_1" in one.name] == ["SmolLM2-135M-Instruct.Q4_1"]
    assert sum("-draft-" in one.name for one in found) == 3
    copy = mlx_copy(demo_drafts()[0])
    write_mlx(copy.path)
    (new,) = [one for one in DemoSource().find() if one not in found]
    assert (new.name, new.path, new.format, new.source) == (copy.name, str(copy.path), "mlx", "demo")


def test_folders_are_searched_with_all_that_is_in_them(tmp_path):
    model(tmp_path / "a.gguf")
    model(tmp_path / "deep" / "er" / "B.GGUF")
    write_mlx(tmp_path / "deep" / "C-4bit")
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "adapter.safetensors").write_bytes(b"no folder with a config.json")
    found = {one.name: one for one in FolderSource([tmp_path, tmp_path / "not there"]).find()}
    assert set(found) == {"a", "B", "C-4bit"}
    assert found["C-4bit"].format == "mlx" and found["C-4bit"].path == str(tmp_path / "deep" / "C-4bit")
    assert {os.path.basename(file) for file in found["C-4bit"].files} == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
    }


def test_split_models_are_one_and_say_what_is_missing(tmp_path):
    for i in (1, 2, 3):
        model(tmp_path / f"whole-0000{i}-of-00003.gguf")
    for i in (1, 4):
        model(tmp_path / f"part-0000{i}-of-00005.gguf")
    model(tmp_path / "headless-00002-of-00002.gguf")
    model(tmp_path / "odd-00003-of-00002.gguf")
    found = {one.name: one for one in find_in_folder(tmp_path)}
    assert set(found) == {"whole", "part", "headless", "odd-00003-of-00002"}
    assert [os.path.basename(file) for file in found["whole"].files] == [
        f"whole-0000{i}-of-00003.gguf" for i in (1, 2, 3)
    ]
    assert found["whole"].damaged == "" and read_model(found["whole"])[0].damaged == ""
    assert found["part"].damaged == "lacks part 2 of 5 and 2 more"
    card, _ = read_model(found["headless"])
    assert card.damaged == "lacks part 1 of 2" and card.kind == "unknown"
    assert find_beside(tmp_path / "whole-00002-of-00003.gguf") == found["whole"]


def test_split_safetensors(tmp_path):
    folder = write_mlx(tmp_path / "it")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (found,) = find_in_folder(tmp_path)
    assert found.damaged == "lacks part 2 of 2"


def test_loops_pipes_odd_names_and_closed_folders_hurt_nothing(tmp_path):
    inner = tmp_path / "in"
    model(inner / "a\nb ünï\u202e\U0001f600.gguf")
    (inner / "loop").symlink_to(tmp_path)
    (inner / "self.gguf").symlink_to(inner / "self.gguf")
    (inner / "gone.gguf").symlink_to(inner / "nowhere.gguf")
    (inner / "folder.gguf").mkdir()
    os.mkfifo(inner / "pipe.gguf")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    found = list(find_in_folder(tmp_path))
    assert [one.name for one in found] == ["a\nb ünï\u202e\U0001f600"]
    assert read_model(found[0])[0].damaged == ""


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_a_name_that_is_not_utf8_is_listed_with_what_to_do(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.gguf"
    with open(path, "wb") as file:
        file.write(b"GGUF")
    (found,) = find_in_folder(tmp_path)
    assert found.name == "caf\\xe9" and found.damaged == "has a name that is not UTF-8: rename it"
    assert read_model(found)[0].damaged == found.damaged


def test_linked_files_are_models_and_listed_once(tmp_path):
    blob = model(tmp_path / "store" / "a.gguf")
    link = tmp_path / "shown" / "a.gguf"
    link.parent.mkdir()
    link.symlink_to(blob)
    found, problems = discover([FolderSource([link.parent], "first"), FolderSource([blob.parent], "second")])
    assert [(one.path, one.source) for one in found] == [(str(link), "first")] and problems == {}


def test_lm_studio(no_other_models, tmp_path):
    home = no_other_models
    model(home / ".lmstudio" / "models" / "lmstudio-community" / "Llama-GGUF" / "Llama.Q4_K_M.gguf")
    write_mlx(home / ".lmstudio" / "models" / "mlx-community" / "Llama-4bit")
    model(home / ".cache" / "lm-studio" / "models" / "old" / "Old-GGUF" / "Old.gguf")
    moved = tmp_path / "elsewhere"
    model(moved / "pub" / "Moved-GGUF" / "Moved.gguf")
    (home / ".lmstudio" / "settings.json").write_text(json.dumps({"downloadsFolder": str(moved)}))
    assert names(LMStudioSource()) == ["Llama-4bit", "Llama.Q4_K_M", "Moved", "Old"]
    pointed = tmp_path / "pointed"
    model(pointed / "models" / "pub" / "There-GGUF" / "There.gguf")
    (home / ".lmstudio-home-pointer").write_text(f"{pointed}\n")
    assert "There" in names(LMStudioSource())
    (home / ".lmstudio" / "settings.json").write_text("{broken")
    assert "Moved" not in names(LMStudioSource())


def ollama(store, *, name=("library", "smollm2", "135m"), digest="sha256:" + "ab" * 32, write=True):
    """A manifest and its blob."""
    manifest = store / "manifests" / "registry.example" / name[0] / name[1] / name[2]
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 1},
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "cd" * 32, "size": 1},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    blob = store / "blobs" / digest.replace(":", "-")
    return model(blob) if write else blob


def test_ollama(no_other_models, tmp_path, monkeypatch):
    store = no_other_models / ".ollama" / "models"
    blob = ollama(store)
    ollama(store, name=("someone", "tuned", "latest"), digest="sha256:" + "ee" * 32, write=False)
    broken = store / "manifests" / "registry.example" / "library" / "broken"
    broken.mkdir()
    for tag, text in {"a": "{", "b": "[]", "c": '{"layers": 5}', "d": '{"layers": [{"digest": 7}, null]}'}.items():
        (broken / tag).write_text(text)
    found = {one.name: one for one in OllamaSource().find()}
    assert set(found) == {"smollm2:135m", "someone/tuned:latest"}
    assert found["smollm2:135m"].path == str(blob) and read_model(found["smollm2:135m"])[0].n_vocab == 400
    assert found["someone/tuned:latest"].damaged == f"lacks its file sha256-{'ee' * 32}: pull it again"
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "other"))
    assert names(OllamaSource()) == []
    ollama(tmp_path / "other", name=("library", "else", "1b"))
    assert names(OllamaSource()) == ["else:1b"]


def test_an_ollama_manifest_cannot_lead_out_of_the_store(tmp_path):
    model(tmp_path / "secret")
    ollama(tmp_path / "store", digest="../../secret", write=False)
    assert names(OllamaSource(tmp_path / "store")) == []


def hugging_face(cache, repo, files, revision="1" * 40):
    """A repository in the cache: blobs, and a snapshot of links to them."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(revision)
    for i, (name, path) in enumerate(files.items()):
        blob = folder / "blobs" / f"{i:040x}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(path.read_bytes())
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))


def test_hugging_face(tmp_path, monkeypatch):
    source = write_vocabulary(tmp_path / "a.gguf")
    mlx = write_mlx(tmp_path / "mlx")
    cache = tmp_path / "hub"
    hugging_face(cache, "some/Model-GGUF", {"Model.Q4_0.gguf": source, "big/Model-00001-of-00002.gguf": source})
    hugging_face(cache, "mlx-community/Model-4bit", {path.name: path for path in mlx.iterdir()})
    (cache / "datasets--some--data" / "snapshots" / "2" / "x.gguf").parent.mkdir(parents=True)
    (cache / "models--broken").mkdir()
    found = {one.name: one for one in HuggingFaceSource(cache).find()}
    assert set(found) == {"Model.Q4_0", "Model", "Model-4bit"}
    assert found["Model"].damaged == "lacks part 2 of 2"
    assert read_model(found["Model.Q4_0"])[0].n_vocab == 400
    assert read_model(found["Model-4bit"])[0].n_vocab == 12
    assert names(HuggingFaceSource(tmp_path / "none")) == []
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert names(HuggingFaceSource(tmp_path / "none")) == []
    with pytest.raises(SourceError, match="pip install"):
        list(HuggingFaceSource(cache).find())
    assert discover([HuggingFaceSource(cache)])[1].keys() == {"hugging face"}


def test_llamacpp_cache(no_other_models, tmp_path, monkeypatch):
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    assert llamacpp_cache() == tmp_path / "cache"
    model(tmp_path / "cache" / "ggml-org_tiny-GGUF_tiny.gguf")
    (tmp_path / "cache" / "manifest=ggml-org=tiny.json").write_text("{}")
    (tmp_path / "cache" / "ggml-org_tiny-GGUF_half.gguf.downloadInProgress").write_bytes(b"GGUF")
    (source,) = [source for source in default_sources() if source.name == "llama.cpp"]
    assert names(source) == ["ggml-org_tiny-GGUF_tiny"]
    monkeypatch.delenv("LLAMA_CACHE")
    expected = {"linux": no_other_models / "XDG_CACHE_HOME" / "llama.cpp"}
    assert llamacpp_cache() == expected.get(sys.platform, llamacpp_cache())


def test_folders_named_by_the_user(tmp_path, monkeypatch):
    for name in "abcd":
        model(tmp_path / name / f"{name}.gguf")
    monkeypatch.setenv("SPECVIZ_MODELS", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text(json.dumps({"model_folders": [str(tmp_path / "c"), 5]}))
    assert user_folders() == [str(tmp_path / name) for name in "abc"]
    (source,) = [source for source in default_sources([tmp_path / "d"]) if source.name == "folder"]
    assert names(source) == ["a", "b", "c", "d"]


def test_a_source_that_fails_is_named_and_stops_no_other(tmp_path):
    class Broken:
        name = "broken"

        def find(self):
            yield Found(name="x", path="x", files=("x",), format="gguf")
            raise OSError("disk on fire")

    model(tmp_path / "a.gguf")
    found, problems = discover([Broken(), FolderSource([tmp_path])])
    assert [one.name for one in found] == ["x", "a"] and problems == {"broken": "disk on fire"}

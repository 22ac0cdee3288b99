"""The library indexes in the background, remembers, and is hurt by no file."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest

from specviz.models import demo_drafts, index
from specviz.models.defaults import set_default_draft
from specviz.models.folders import Found
from specviz.models.index import Library, Progress, local_models, shared_library
from specviz.models.indexer import MEMORY_BYTES, Card, IndexerError, IndexerProcess, Read
from specviz.models.sources import DemoSource, FolderSource
from specviz.models.store import Store
from specviz.models.vocabulary import Vocabulary
from tests.models.files import WORDS, with_token, write_mlx, write_vocabulary


@pytest.fixture
def folder(tmp_path):
    """A folder with six models of three vocabularies."""
    folder = tmp_path / "models"
    folder.mkdir()
    for i in range(6):
        write_vocabulary(folder / f"m{i}.gguf", with_token(100 + i % 3, "other"))
    return folder


@pytest.fixture
def library(folder, tmp_path):
    def make(**settings):
        return Library(sources=[FolderSource([folder])], cache=tmp_path / "cache", **settings)

    return make


def indexed(library):
    """All progress of one refresh."""
    seen = []
    library.refresh(seen.append)
    assert library.wait(60)
    return seen


def read(progress):
    """Names of the models that were read."""
    return [one.detail for one in progress if one.state == "indexing"]


def test_models_are_read_once_and_remembered(library, folder):
    first = library()
    progress = indexed(first)
    assert [str(one) for one in progress[:3]] == ["searching", "indexing (0 of 6)", "indexing (1 of 6)"]
    assert progress[-1] == Progress("ready", 6, 6) == first.progress
    assert [card.name for card in first.cards] == [f"m{i}" for i in range(6)]
    assert len({card.tokenizer.digest for card in first.cards}) == 3
    second = library()
    assert read(indexed(second)) == [] and second.cards == first.cards


def test_what_changed_is_read_again_and_what_went_is_forgotten(library, folder):
    first = library()
    indexed(first)
    write_vocabulary(folder / "m1.gguf", with_token(7, "changed"))
    (folder / "m2.gguf").unlink()
    write_vocabulary(folder / "new.gguf")
    assert read(indexed(first)) == ["m1", "new"]
    assert [card.name for card in first.cards] == ["m0", "m1", "m3", "m4", "m5", "new"]
    assert str(folder / "m2.gguf") not in Store(first.store.folder).load().entries
    stat = (folder / "m3.gguf").stat()
    os.utime(folder / "m3.gguf", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read(indexed(library())) == ["m3"]


def test_a_file_beside_the_weights_counts(tmp_path):
    folder = write_mlx(tmp_path / "mlx" / "it", tokenizer_config={})
    library = Library(sources=[FolderSource([tmp_path / "mlx"])], cache=tmp_path / "cache")
    indexed(library)
    assert not library.cards[0].has_chat_template
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert read(indexed(library)) == ["it"] and library.cards[0].has_chat_template


def test_each_pair_of_vocabularies_is_compared_once(library, monkeypatch):
    first = library()
    indexed(first)
    assert len(first.store.load().differences) == 3
    again = library()
    indexed(again)
    monkeypatch.setattr(again.store, "vocabulary", lambda digest: pytest.fail("compared again"))
    verdicts = {(a.name, b.name): again.compare(a, b) for a in again.cards for b in again.cards}
    assert verdicts["m0", "m3"].strictness == "whole"
    assert verdicts["m0", "m1"].reasons == ("token 100 is 'other' in the main model and 'w100' in the draft",)
    assert verdicts["m1", "m0"].reasons == ("token 100 is 'w100' in the main model and 'other' in the draft",)
    assert sum(verdict.compatible for verdict in verdicts.values()) == 12


def test_drafts_come_with_those_that_fit_first(library, folder, monkeypatch):
    it = library()
    indexed(it)
    assert it.models == ()
    monkeypatch.setattr(Library, "models", Library.cards)
    offers = it.offers(it.cards[1])
    assert [offer.card.name for offer in offers if offer.fit] == ["m4"]
    assert [offer.card.name for offer in offers] == ["m4", "m0", "m2", "m3", "m5"]


def test_offers_of_the_demo_pair_and_the_default(tmp_path):
    it = Library(sources=[DemoSource()], cache=tmp_path / "cache")
    indexed(it)
    main = next(card for card in it.models if card.name.endswith("Q4_1"))
    twelve, seventeen, _ = sorted(str(model.path) for model in demo_drafts())
    set_default_draft(main.path, twelve)
    offers = it.offers(main)
    assert offers[0].card.path == seventeen and all(offer.fit for offer in offers)
    assert [offer.advice.recommended for offer in offers] == [
        "comes with specviz, distilled from this very model",
        *[""] * (len(offers) - 1),
    ]
    assert [offer.card.path for offer in offers if offer.is_default] == [twelve]
    assert "GPU" not in str(offers)
    assert "0.1 GB are on the GPU" in str(it.offers(main, gpu_bytes=100_000_000))


def test_a_draft_that_changed_since_it_was_indexed_is_offered_with_that_reason(library, folder, monkeypatch):
    it = library()
    indexed(it)
    monkeypatch.setattr(Library, "models", Library.cards)
    for path in it.store.folder.glob("*.tokens"):
        path.unlink()
    it._index.differences.clear()
    (folder / "m1.gguf").unlink()
    reasons = {offer.card.name: offer.fit.reasons[0] for offer in it.offers(it.cards[0]) if not offer.fit}
    assert reasons.keys() == {"m1", "m2", "m4", "m5"}
    assert reasons["m1"] == f"there is no model at {folder / 'm1.gguf'}"
    assert reasons["m4"].startswith("token 100 is")


def test_all_in_a_process_share_one_library(monkeypatch, no_other_models):
    monkeypatch.setattr(index, "_shared", None)
    shared = shared_library()
    assert shared_library() is shared
    assert {model.name[:6] for model in local_models()} == {"SmolLM"}
    monkeypatch.setattr(index, "discover", lambda _: 1 / 0)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    with pytest.raises(RuntimeError, match="the models cannot be listed: division by zero"):
        local_models()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"version": 99}', b"\xff\xfe", b'{"entries": {"a": 5}}', b"[" * 100_000]
)
def test_a_damaged_cache_is_built_anew(library, damage):
    first = library()
    indexed(first)
    (first.store.folder / "index.json").write_bytes(damage)
    second = library()
    assert len(read(indexed(second))) == 6 and second.cards == first.cards


def test_damaged_or_missing_vocabularies_are_read_again(library, tmp_path):
    first = library()
    indexed(first)
    kept = sorted(first.store.folder.glob("*.tokens"))
    assert len(kept) == 3
    kept[0].unlink()
    second = library()
    assert len(read(indexed(second))) == 2 and kept[0].is_file()
    for damage in (b"", b"1234567", bytes(8), kept[0].read_bytes()[:-1]):
        kept[0].write_bytes(damage)
        assert second.store.vocabulary(kept[0].stem) is None and not kept[0].exists()
    second._index.differences.clear()
    fits = [bool(second.compare(second.cards[0], card)) for card in second.cards]
    assert fits == [True, False, False, True, False, False]


def test_where_nothing_can_be_written_all_works_but_memory(folder, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    library = Library(sources=[FolderSource([folder])], cache=tmp_path / "file" / "cache")
    assert indexed(library)[-1].state == "ready"
    assert [bool(library.compare(library.cards[0], card)) for card in library.cards[:3]] == [True, False, False]


def test_damaged_files_hurt_no_others(library, folder):
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "a.gguf").write_bytes((folder / "m0.gguf").read_bytes()[:900])
    it = library()
    indexed(it)
    damaged = {card.name: card.damaged for card in it.cards if card.damaged}
    assert damaged == {"empty": "is empty", "a": "breaks off inside the token list"}
    assert len(it.cards) == 8 and read(indexed(library())) == []


def found(path):
    return Found(name=path.stem, path=str(path), files=(str(path),), format="gguf")


def stopped_while_it_reads(library, name, signal_number):
    """Index, and send the reading process a signal when it comes to a model."""
    pids = []
    started = IndexerProcess._started

    def watched(self):
        process = started(self)
        pids.append(process.pid)
        return process

    def on_progress(progress):
        if progress.detail == name and progress.state == "indexing":
            os.kill(pids[-1], signal_number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexerProcess, "_started", watched)
        library.refresh(on_progress)
        assert library.wait(60)
    return {card.name: card.damaged for card in library.cards}


def test_a_model_that_takes_too_long_is_damaged_and_the_rest_goes_on(library):
    it = library(file_seconds=1.0)
    start = time.monotonic()
    damaged = stopped_while_it_reads(it, "m2", signal.SIGSTOP)
    assert damaged == {"m2": "took more than 1 s to read"} | {f"m{i}": "" for i in (0, 1, 3, 4, 5)}
    assert time.monotonic() - start < 20
    assert read(indexed(it)) == ["m2"] and not any(card.damaged for card in it.cards)


def test_a_reader_that_dies_takes_nothing_along(library):
    damaged = stopped_while_it_reads(library(), "m2", signal.SIGKILL)
    assert set(damaged) == {f"m{i}" for i in range(6)}
    assert all(reason in ("", "ended the process that read it (signal 9)") for reason in damaged.values())
    assert sum(not reason for reason in damaged.values()) >= 5


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_memory_is_limited(tmp_path):
    path = tmp_path / "it.gguf"
    write_vocabulary(path)
    indexer = IndexerProcess(Store(tmp_path / "cache"), timeout=30)
    try:
        process = indexer._started()
        assert isinstance(indexer.ask(Read(found(path))), Card)
        limit, _ = psutil.Process(process.pid).rlimit(psutil.RLIMIT_AS)
        assert MEMORY_BYTES < limit < 4 * MEMORY_BYTES
    finally:
        indexer.close()


def test_huge_files_of_nothing_end_soon_and_small(tmp_path):
    """Sparse files that say they hold as much as a reader lets them."""
    head = b"GGUF\3\0\0\0" + bytes(8) + (1 << 15).to_bytes(8, "little")
    library = Library(sources=[FolderSource([tmp_path / "m"])], cache=tmp_path / "cache")
    (tmp_path / "m").mkdir()
    for name, count in {"most": 1 << 22, "too many": (1 << 22) + 1, "absurd": 1 << 60}.items():
        with open(tmp_path / "m" / f"{name}.gguf", "wb") as file:
            key = b"tokenizer.ggml.tokens"
            file.write(
                head + len(key).to_bytes(8, "little") + key + b"\x09\0\0\0\x08\0\0\0" + count.to_bytes(8, "little")
            )
            file.truncate(8 << 30)
    start = time.monotonic()
    indexed(library)
    assert time.monotonic() - start < 30
    assert {card.name: card.damaged for card in library.cards} == {
        "most": "has a metadata key without a name",
        "too many": "says it has 4,194,305 tokens",
        "absurd": "says it has 1.2e18 tokens",
    }


def test_asking_again_while_it_runs_searches_again(library, folder):
    it = library()

    def on_progress(progress):
        if progress.detail == "m5":
            write_vocabulary(folder / "late.gguf")
            it.refresh()

    it.refresh(on_progress)
    assert it.wait(60) and "late" in [card.name for card in it.cards]


def test_closing_stops_it_and_leaves_no_process(library):
    it = library()
    pids = []
    started = IndexerProcess._started

    def watched(self):
        process = started(self)
        pids.append(process)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexerProcess, "_started", watched)
        it.refresh(lambda progress: setattr(it, "_closing", progress.detail == "m2"))
        assert it.wait(60)
    assert len(it.cards) < 6 and all(process.poll() is not None for process in pids)


def test_the_process_ends_with_its_input(tmp_path):
    indexer = IndexerProcess(Store(tmp_path), timeout=10)
    process = indexer._started()
    process.stdin.close()
    assert process.wait(20) == 0
    indexer.close()


def test_a_process_that_cannot_start_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    with pytest.raises(IndexerError, match="no process can be started"):
        IndexerProcess(Store(tmp_path), timeout=1).ask(Read(found(tmp_path / "x.gguf")))


def test_a_store_keeps_vocabularies_by_digest(tmp_path):
    store = Store(tmp_path)
    vocabulary = Vocabulary.from_texts([word.encode() for word in WORDS])
    assert store.vocabulary(vocabulary.digest) is None
    store.save_vocabulary(vocabulary)
    kept = store.vocabulary(vocabulary.digest)
    assert kept.raw == vocabulary.raw and kept.n_tokens == 400
    assert [path.name for path in tmp_path.iterdir()] == [f"{vocabulary.digest}.tokens"]
    with pytest.raises(ValueError, match="is no digest"):
        store.vocabulary("../../etc")

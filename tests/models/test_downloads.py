"""Downloads, from a hub on loopback: whole, cancelled, broken off, resumed, refused."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections import namedtuple

import huggingface_hub
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from specviz.models import downloads, hub
from specviz.models.downloads import SUGGESTIONS, Download, download
from specviz.models.hub import DownloadError, choose_files
from specviz.models.sources import HuggingFaceSource
from tests.models.hub import COMMIT, Hub
from tests.tiny import write_model

REPO = "someone/Tiny-GGUF"
FILE = "Tiny-Q4_K_M.gguf"
SIZE = 3_000_000
MANY = ("Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The hub that huggingface_hub asks, and an empty cache."""
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(downloads, "RETRY_SECONDS", 0.01)
    monkeypatch.setenv("HF_TOKEN", "hf_notforspecviz")
    yield server
    server.close()


def partials(tmp_path):
    return list((tmp_path / "cache").rglob("*.incomplete"))


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_a_file_arrives_whole_where_the_library_of_models_finds_it(server, tmp_path):
    data = server.add(REPO, FILE, SIZE)
    path = download(REPO)
    assert path.read_bytes() == data and path.name == FILE
    assert server.sent == [SIZE] and not partials(tmp_path)
    assert path.parent.name == COMMIT
    found = [found.path for found in HuggingFaceSource(tmp_path / "cache").find()]
    assert found == [str(path)]


def test_huggingface_hub_itself_takes_it_for_its_own(server, tmp_path):
    server.add(REPO, FILE, SIZE)
    path = download(REPO, FILE)
    assert huggingface_hub.hf_hub_download(REPO, FILE, token=False) == str(path)
    assert server.sent == [SIZE]


def test_what_is_there_is_not_asked_for_again(server):
    server.add(REPO, FILE, SIZE)
    first = download(REPO, FILE)
    server.asked.clear()
    assert download(REPO, FILE) == first
    assert server.asked == []


def test_progress_tells_the_truth_and_is_not_told_too_often(server):
    server.add(REPO, FILE, SIZE)
    server.pause = 0.01
    seen = []
    one = Download(REPO, FILE, on_progress=lambda state: seen.append((state.state, state.done_bytes)))
    assert one.state == "waiting"
    one.start()
    assert one.wait(20)
    assert seen[0] == ("downloading", 0) and seen[-1] == ("done", SIZE)
    counts = [count for _, count in seen]
    assert counts == sorted(counts) and len(set(counts)) > 2
    assert len(seen) < 30
    assert one.total_bytes == SIZE and one.path.stat().st_size == SIZE and not one.error


def test_cancelled_in_mid_file_the_next_download_fetches_the_rest_only(server, tmp_path):
    data = server.add(REPO, FILE, SIZE)
    server.pause = 0.02
    one = Download(REPO, FILE)
    one.start()
    until(lambda: one.done_bytes > SIZE // 3)
    one.cancel()
    assert one.wait(10) and one.state == "cancelled" and one.path is None
    (partial,) = partials(tmp_path)
    kept = partial.stat().st_size
    assert 0 < kept < SIZE and data.startswith(partial.read_bytes())
    server.pause = 0.0
    assert download(REPO, FILE).read_bytes() == data
    assert server.sent[1:] == [SIZE - kept]
    assert server.asked[-2].endswith(f"bytes={kept}-")


def test_cancelled_before_it_starts(server):
    server.add(REPO, FILE, SIZE)
    one = Download(REPO, FILE)
    one.cancel()
    one.start()
    assert one.wait(10) and one.state == "cancelled" and server.sent == []


def test_an_interrupt_keeps_what_has_come(server, tmp_path, monkeypatch):
    data = server.add(REPO, FILE, SIZE)
    real = Download._tell

    def interrupting(self):
        real(self)
        if self.done_bytes > SIZE // 2:
            raise KeyboardInterrupt

    server.pause = 0.01
    with monkeypatch.context() as patched:
        patched.setattr(Download, "_tell", interrupting)
        patched.setattr(downloads, "PROGRESS_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            download(REPO, FILE)
    (partial,) = partials(tmp_path)
    assert partial.stat().st_size > SIZE // 2
    assert download(REPO, FILE).read_bytes() == data


def test_a_connection_that_breaks_is_opened_again(server):
    data = server.add(REPO, FILE, SIZE)
    server.drop_after = [500_000, 700_000, 1]
    assert download(REPO, FILE).read_bytes() == data
    assert server.sent == [500_000, 700_000, 1, SIZE - 1_200_001]


def test_a_hub_that_sends_nothing_is_given_up(server, tmp_path):
    server.add(REPO, FILE, SIZE)
    server.drop_after = [1000] + [0] * 20
    with pytest.raises(DownloadError, match=r"the hub cannot be reached \(\w+\)"):
        download(REPO, FILE)
    assert server.sent == [1000] + [0] * downloads.TRIES
    assert partials(tmp_path)[0].stat().st_size == 1000


def test_a_hub_that_cannot_resume_sends_all_again(server):
    data = server.add(REPO, FILE, SIZE)
    server.drop_after, server.ranges = [1_000_000], False
    assert download(REPO, FILE).read_bytes() == data
    assert server.sent == [1_000_000, SIZE]


def test_two_downloads_of_one_file_fetch_it_once(server):
    data = server.add(REPO, FILE, SIZE)
    server.pause = 0.005
    pair = [Download(REPO, FILE), Download(REPO, FILE)]
    for one in pair:
        one.start()
    assert all(one.wait(20) for one in pair)
    assert [one.path.read_bytes() == data for one in pair] == [True, True]
    assert server.sent == [SIZE]


def test_all_parts_of_a_split_model_come(server):
    names = [f"Big-Q8_0/Big-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    data = {name: server.add(REPO, name, 400_000 + i) for i, name in enumerate(names)}
    server.add(REPO, "mmproj-Big.gguf", 100)
    one = Download(REPO, "q8_0")
    path = one.run()
    assert path.name == "Big-Q8_0-00001-of-00003.gguf"
    assert [(path.parent / name.partition("/")[2]).read_bytes() for name in names] == list(data.values())
    assert one.total_bytes == one.done_bytes == 3 * 400_000 + 3


@pytest.mark.parametrize(
    ("repo", "file", "sentence"),
    [
        ("someone/Nothing", None, "there is no repository someone/Nothing on the hub, or it is private"),
        ("not a repo", None, "'not a repo' is no repository id: it must look like owner/name"),
        (REPO, "Tiny-Q2_K.gguf", f"{REPO} has no file 'Tiny-Q2_K.gguf'; there are: {MANY[0]}, {MANY[1]}"),
        (REPO, None, f"{REPO} holds several models, name one: {MANY[0]}, {MANY[1]}"),
        (REPO, "tiny", f"'tiny' may mean several files of {REPO}: {MANY[0]}, {MANY[1]}"),
        ("someone/Text", None, "someone/Text holds no GGUF model"),
        ("someone/Gated", None, "someone/Gated is gated: its terms have to be accepted on the hub, with an account"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_sentence(server, repo, file, sentence):
    for name in MANY:
        server.add(REPO, name, 10)
    server.add("someone/Text", "README.md", 10)
    server.add("someone/Gated", FILE, 10)
    server.gated.add("someone/Gated")
    with pytest.raises(DownloadError) as caught:
        download(repo, file)
    assert str(caught.value) == sentence
    one = Download(repo, file)
    one.start()
    assert one.wait(10) and (one.state, one.error) == ("failed", sentence)


def test_a_revision_that_is_not_there(server):
    server.add(REPO, FILE, 10)
    with pytest.raises(DownloadError, match=f"^{REPO} has no such revision$"):
        download(REPO, revision="old")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, f"the hub refused access to {REPO}"), (403, f"the hub refused access to {REPO}"), (503, "status 503")],
)
def test_refused_in_mid_way(server, status, sentence):
    server.add(REPO, FILE, SIZE)
    server.status = status
    with pytest.raises(DownloadError, match=sentence):
        download(REPO, FILE)
    assert sum("/cdn/" in one for one in server.asked) == (downloads.TRIES if status == 503 else 1)


def test_a_hub_that_is_not_there(server):
    server.close()
    with pytest.raises(DownloadError, match=r"the hub cannot be reached \(ConnectError\): check the connection"):
        download(REPO, FILE)


def test_offline(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="downloads are switched off: HF_HUB_OFFLINE is set"):
        download(REPO, FILE)


def test_a_full_disk_is_noticed_before_and_during(server, monkeypatch, tmp_path):
    server.add(REPO, FILE, SIZE)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(downloads.shutil, "disk_usage", lambda _: usage(SIZE, 1, SIZE - 1))
        with pytest.raises(DownloadError, match="the disk of the Hugging Face cache is full"):
            download(REPO, FILE)
    assert server.sent == []

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Download, "_append", full)
        with pytest.raises(DownloadError, match="is full: free some space"):
            download(REPO, FILE)


def test_without_huggingface_hub_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError, match=r'pip install "specviz-lab\[hub\]"'):
        download(REPO)


def test_an_old_huggingface_hub_is_named(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "utils", object())
    with pytest.raises(DownloadError, match=r"need huggingface_hub 1.0 or newer, [\d.]+ is installed"):
        hub.import_hub()


def test_the_command_fetches_a_model_that_can_then_be_listed(server, tmp_path):
    """In a process of its own, where the hub is named by HF_ENDPOINT as users name it."""
    server.files[REPO, "tiny.F32.gguf"] = write_model(tmp_path / "tiny.gguf", 1).read_bytes()
    home = tmp_path / "home"
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "specviz", "models"]

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    done = run("download", REPO)
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert path.endswith("tiny.F32.gguf") and path.startswith(str(home))
    assert "\ntiny.F32\tGGUF\t" in run().stdout
    refused = run("download", "someone/Nothing")
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1] == (
        "specviz: there is no repository someone/Nothing on the hub, or it is private"
    )


def test_suggested_pairs_are_whole():
    assert len({one.label for one in SUGGESTIONS}) == 4
    for one in SUGGESTIONS:
        for repo, file in ((one.main_repo, one.main_file), (one.draft_repo, one.draft_file)):
            huggingface_hub.utils.validate_repo_id(repo)
            assert file.endswith(".gguf") and file.startswith(repo.partition("/")[2].removesuffix("-GGUF"))


names = st.text(st.sampled_from("abQ4_-"), min_size=1, max_size=6)


@given(st.sets(names, min_size=1, max_size=5), st.none() | names)
def test_chosen_is_the_one_file_that_is_meant_or_none(stems, wanted):
    files = {f"{stem}.gguf": 1 for stem in stems}
    fitting = [file for file in files if wanted is None or wanted.lower() in file.lower()]
    if f"{wanted}.gguf" in files:
        assert choose_files(files, f"{wanted}.gguf", REPO) == [f"{wanted}.gguf"]
    if len(fitting) == 1:
        assert choose_files(files, wanted, REPO) == fitting
    else:
        with pytest.raises(DownloadError) as caught:
            choose_files(files, wanted, REPO)
        assert all(file in str(caught.value) for file in fitting or files)


def test_a_split_model_that_lacks_a_part_is_refused():
    with pytest.raises(DownloadError, match=r"a-00001-of-00003.gguf of someone/Tiny-GGUF lacks part 2 of 3"):
        choose_files({"a-00001-of-00003.gguf": 1, "a-00003-of-00003.gguf": 1}, None, REPO)

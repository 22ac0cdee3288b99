"""Default drafts are remembered, by several sessions at once, and a damaged file is neither obeyed nor lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from specviz.models import defaults
from specviz.models.defaults import default_draft, defaults_file, set_default_draft


@pytest.fixture
def main(tmp_path):
    path = tmp_path / "main.Q4_1.gguf"
    path.touch()
    return path


def test_what_is_set_is_remembered_until_it_is_cleared(main, tmp_path):
    assert default_draft(main) is None and not defaults_file().exists()
    set_default_draft(main, tmp_path / "draft.gguf")
    set_default_draft(tmp_path / "other.gguf", "ngram")
    assert default_draft(main) == str(tmp_path / "draft.gguf")
    assert default_draft(tmp_path / "other.gguf") == "ngram"
    set_default_draft(main, "none")
    assert default_draft(main) == "none"
    set_default_draft(main, None)
    set_default_draft(main, None)
    assert default_draft(main) is None and default_draft(tmp_path / "other.gguf") == "ngram"
    assert [path.name for path in defaults_file().parent.iterdir()] == ["defaults.json"]


def test_a_person_can_read_the_file(main):
    set_default_draft(main, "ngram")
    text = defaults_file().read_text()
    assert json.loads(text) == {str(main): {"name": "main.Q4_1", "draft": "ngram"}} and len(text.splitlines()) > 3


def test_a_link_to_a_model_is_the_model(main, tmp_path, monkeypatch):
    (tmp_path / "link.gguf").symlink_to(main)
    monkeypatch.chdir(tmp_path)
    set_default_draft("link.gguf", "draft.gguf")
    assert default_draft(main) == str(tmp_path / "draft.gguf")


DAMAGES = [b"", b"{", b"[]", b'{"a": 5}', b'{"a": {"draft": "x"}}', b"\xff\xfe", b"[" * 100_000]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_reported_once_and_kept(main, damage):
    set_default_draft(main, "ngram")
    defaults_file().write_bytes(damage)
    with pytest.warns(UserWarning, match=r"cannot be read \(.*\): it is kept as defaults\.json\.damaged") as seen:
        assert default_draft(main) is None and default_draft(main) is None
    assert len(seen) == 1
    set_default_draft(main, "none")
    assert default_draft(main) == "none"
    assert defaults_file().with_name("defaults.json.damaged").read_bytes() == damage


def test_setting_a_default_keeps_a_damaged_file_too(main):
    defaults_file().parent.mkdir(parents=True)
    defaults_file().write_text("{ what I wrote myself")
    with pytest.warns(UserWarning, match="it is kept as"):
        set_default_draft(main, "ngram")
    assert default_draft(main) == "ngram"
    assert defaults_file().with_name("defaults.json.damaged").read_text() == "{ what I wrote myself"


def test_a_damaged_file_that_cannot_be_moved_is_left_alone(main, monkeypatch):
    defaults_file().parent.mkdir(parents=True)
    defaults_file().write_text("{")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(UserWarning, match="it cannot be moved aside"):
        assert default_draft(main) is None
    with pytest.raises(PermissionError):
        set_default_draft(main, "ngram")
    assert defaults_file().read_text() == "{"


def test_two_sessions_that_write_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; from specviz.models.defaults import set_default_draft\n"
        "for i in range(25): set_default_draft(f'/{sys.argv[1]}/{i}.gguf', 'ngram')"
    )
    sessions = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    assert [session.wait(60) for session in sessions] == [0, 0]
    assert all(default_draft(f"/{name}/{i}.gguf") == "ngram" for name in ("a", "b") for i in range(25))
    assert len(json.loads(defaults_file().read_text())) == 50


def test_a_lock_that_was_left_behind_is_taken_over(main, monkeypatch):
    monkeypatch.setattr(defaults, "LOCK_SECONDS", 0.05)
    defaults_file().parent.mkdir(parents=True)
    lock = defaults_file().with_name("defaults.json.lock")
    lock.touch()
    set_default_draft(main, "ngram")
    assert default_draft(main) == "ngram" and not lock.exists()

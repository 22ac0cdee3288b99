"""A draft that does not share the main model's vocabulary is refused, with the first difference."""

import struct

import pytest

import specviz as sv
from specviz.models import demo_drafts


def patched(tmp_path, old: bytes, new: bytes):
    """A copy of the 12m draft in which one token has another text of the same length."""
    source = next(model.path for model in demo_drafts() if "12m" in model.name)
    data = source.read_bytes()
    old_entry = struct.pack("<Q", len(old)) + old
    assert len(old) == len(new) and data.count(old_entry) == 1
    copy = tmp_path / "other-vocabulary.gguf"
    copy.write_bytes(data.replace(old_entry, struct.pack("<Q", len(new)) + new))
    return copy


def test_the_first_token_that_differs_is_named(tmp_path):
    draft = patched(tmp_path, "Ġworldwide".encode(), "Ġworldwidf".encode())
    with pytest.raises(
        sv.IncompatibleDraftError, match=r"token \d+ is 'Ġworldwide' in the main model and 'Ġworldwidf'"
    ):
        sv.load(draft=draft)


def test_alone_such_a_model_is_as_good_as_any(tmp_path):
    main = patched(tmp_path, "Ġworldwide".encode(), "Ġworldwidf".encode())
    with sv.load(main, None) as pair:
        assert pair.generate("Say hi.", max_tokens=4).token_ids


def test_one_file_may_draft_for_itself():
    path = next(model.path for model in demo_drafts() if "12m" in model.name)
    with sv.load(path, path) as pair:
        trace = pair.generate("Tell me a story", max_tokens=40, ignore_eos=True)
    assert trace.stats.draft_acceptance_rate == 1

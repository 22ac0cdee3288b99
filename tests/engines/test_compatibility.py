"""A draft that does not share the main model's vocabulary is refused by the engine, with the first difference."""

import struct

import pytest

import specviz as sv
from specviz.engines.llamacpp import engine
from specviz.engines.llamacpp.engine import LlamaEngine
from specviz.engines.messages import ModelSpec, PairSpec
from specviz.models import demo_drafts
from tests.models.files import join_gemma


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    """Gemma 3 270M, a GGUF file."""
    return join_gemma(tmp_path_factory.mktemp("gemma") / "gemma-3-270m-Q4_K_M.gguf")


def draft_path(name="12m"):
    return next(model.path for model in demo_drafts() if name in model.name)


def patched(tmp_path, old: bytes, new: bytes):
    """A copy of the 12m draft in which one token has another text of the same length."""
    data = draft_path().read_bytes()
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


def test_a_model_of_another_family_is_refused_and_why_is_said(gemma):
    with pytest.raises(sv.IncompatibleDraftError) as caught:
        sv.load(draft_path("22m"), gemma)
    assert str(caught.value) == (
        "gemma-3-270m-Q4_K_M cannot draft for SmolLM2-135M-Instruct-draft-22m.Q4_0: "
        "their tokenizers are of different kinds (bpe and spm); only the draft adds the BOS token to a prompt; "
        "their vocabularies have 49,152 and 262,144 tokens; "
        "token 5 is '<file_sep>' in the main model and '[multimodal]' in the draft"
    )


def test_the_files_are_compared_once(monkeypatch):
    compared = []
    real = engine.compare
    monkeypatch.setattr(engine, "compare", lambda main, draft: compared.append((main, draft)) or real(main, draft))
    one = LlamaEngine()
    main, draft = str(draft_path("22m")), str(draft_path())
    for n_ctx in (64, 128):
        one.load(PairSpec(engine="llama.cpp", main=ModelSpec(path=main, n_ctx=n_ctx), draft=ModelSpec(path=draft)))
    one.unload(())
    assert compared == [(main, draft)]


def test_alone_such_a_model_is_as_good_as_any(tmp_path):
    main = patched(tmp_path, "Ġworldwide".encode(), "Ġworldwidf".encode())
    with sv.load(main, None) as pair:
        assert pair.generate("Say hi.", max_tokens=4).token_ids


def test_one_file_may_draft_for_itself():
    with sv.load(draft_path(), draft_path()) as pair:
        trace = pair.generate("Tell me a story", max_tokens=40, ignore_eos=True)
    assert trace.stats.draft_acceptance_rate == 1

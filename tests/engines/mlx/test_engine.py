"""MLX models through `load`: what runs where, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest

import specviz as sv
from specviz.engines.errors import IncompatibleDraftError, ModelFileError
from specviz.models import demo_drafts
from specviz.models.convert import mlx_copy
from tests.engines.mlx.folders import RECURRENT, write_model
from tests.recurrent import decoded_plainly


def test_a_folder_runs_in_mlx_and_says_so(quick_mlx):
    assert quick_mlx.engine.startswith("MLX (mlx ")
    assert quick_mlx.main.placement.devices and quick_mlx.main.placement.cache_bytes > 0
    trace = quick_mlx.generate("Tell me a story", max_tokens=16)
    assert trace.header.engine == quick_mlx.engine and trace.header.drafter == "model"
    assert trace.text and trace.stats.accepted_draft_tokens_count > 0
    assert trace.token_ids == quick_mlx.generate("Tell me a story", max_tokens=16, draft=None).token_ids


def test_it_says_what_llama_cpp_says(quick_mlx, quick_pair):
    """The same weights in two engines: the first tokens agree, where rounding has not added up."""
    for prompt in ("Tell me a story", "What is the capital of France?"):
        a, b = (pair.generate(prompt, max_tokens=6, draft=None) for pair in (quick_mlx, quick_pair))
        assert a.header.prompt_ids == b.header.prompt_ids
        assert a.token_ids == b.token_ids
        p, q = (dict(trace.rounds[0].main_top[0]) for trace in (a, b))
        both = p.keys() & q.keys()
        assert len(both) >= 4, "the last of five may be another where two are alike"
        assert [p[id] for id in both] == pytest.approx([q[id] for id in both], rel=0.1)


def test_the_engine_is_chosen_by_format_or_by_name(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(sv.EngineMissingError, match=r"runs in llama.cpp, not in MLX: make an MLX copy"):
        sv.load(demo_drafts()[0].path, None, engine="mlx")
    with pytest.raises(sv.EngineMissingError, match=r"runs in MLX, not in llama.cpp: take a GGUF copy"):
        sv.load(demo["12m"], None, engine="llama.cpp")
    with pytest.raises(sv.EngineMissingError, match=r"there is no engine 'vllm'; there are llama.cpp, MLX"):
        sv.load(engine="vllm")
    for copy in (mlx_copy(demo_drafts()[0]),):
        assert str(copy.path).startswith(str(tmp_path)) and not copy.exists


def test_the_demo_pair_is_converted_once(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with sv.load(engine="mlx") as pair:
        assert (pair.main.name, pair.draft.name) == (
            "SmolLM2-135M-Instruct.Q4_1-MLX",
            "SmolLM2-135M-Instruct-draft-17m.Q4_0-MLX",
        )
    made = sorted(path.name for path in (tmp_path / "specviz" / "models").iterdir())
    assert made == ["SmolLM2-135M-Instruct-draft-17m.Q4_0-MLX", "SmolLM2-135M-Instruct.Q4_1-MLX"]


def test_a_draft_of_another_engine_is_refused_in_words(demo):
    with pytest.raises(IncompatibleDraftError, match=r"the draft is a GGUF model and runs in llama.cpp: take an MLX"):
        sv.load(demo["22m"], demo_drafts()[0].path)


def test_a_recurrent_model_is_decoded_plainly_and_says_why(tmp_path):
    folder, draft = write_model(tmp_path / "recurrent", 1, config=RECURRENT), write_model(tmp_path / "draft", 2)
    decoded_plainly(folder, draft, "recurrent")
    decoded_plainly(draft, folder, "recurrent")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "no_such_type"}, "cannot load bad: .*no_such_type not supported"),
        ({"model_file": "evil.py"}, "bad brings its own program code, which is never run"),
        ({"num_hidden_layers": 3}, "cannot load bad: "),
    ],
)
def test_what_cannot_be_loaded(tmp_path, change, reason):
    folder = write_model(tmp_path / "bad", 1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    (folder / "evil.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(ModelFileError, match=reason):
        sv.load(folder, None)
    shutil.rmtree(folder)
    with pytest.raises(sv.ModelNotFoundError):
        sv.load(folder, None)


def test_in_this_process_it_works_and_closes(demo):
    with sv.load(demo["12m"], None, in_process=True) as pair:
        assert pair.generate("hi", max_tokens=3).token_ids

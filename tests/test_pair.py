"""What users hold in their hands: loading, generating, continuing, and every way to get it wrong."""

import pytest

import specviz as sv
from specviz.decoding.auto import SWEEPS
from specviz.models import NGRAM_LOOKUP, demo_drafts, demo_mains, index
from specviz.models.defaults import default_draft, set_default_draft
from specviz.pair import find_draft, find_main
from specviz.trace import Provenance, StopReason
from tests.models.files import write_mlx, write_vocabulary
from tests.tiny import write_model


def test_the_demo_pair_needs_no_configuration(pair):
    assert pair.main.name == "SmolLM2-135M-Instruct.Q4_1"
    assert pair.draft.name == "SmolLM2-135M-Instruct-draft-17m.Q4_0"
    assert pair.main.quantization == "Q4_1" and pair.main.n_vocab == 49_152
    assert "llama.cpp" in pair.engine


@pytest.mark.parametrize("draft", ["12m", "17m", "22m"])
def test_all_three_drafts_can_be_chosen_and_are_accepted_often(draft):
    with sv.load(draft=draft) as pair:
        trace = pair.generate("Plan a 1 day trip to DC", max_tokens=64)
    assert draft in trace.header.draft.name
    assert trace.stats.alpha > 0.4


def test_a_trace_tells_all(pair):
    trace = pair.generate("Explain the Pythagorean theorem", max_tokens=64)
    assert "Pythagorean theorem" in trace.text
    assert len(trace) == 64 and trace.summary.stop_reason is StopReason.MAX_TOKENS
    assert trace.summary.time_to_first_token > 0
    provenances = {token.provenance for token in trace.tokens}
    assert provenances >= {Provenance.ACCEPTED, Provenance.CORRECTION}
    for round in trace.rounds:
        for i in range(round.sent):
            top = dict(round.main_top[i])
            assert sum(top.values()) <= 1 + 1e-6
            if round.drafted[i] in top:
                assert top[round.drafted[i]] == pytest.approx(round.p[i], rel=1e-4)
        accepted = round.accepted + round.past_end
        assert round.rank[:accepted] == (1,) * accepted
        if round.refused:
            assert round.rank[accepted] > 1
            assert round.main_top[accepted][0][0] != round.drafted[accepted]
    frame = trace.to_pandas()
    assert (frame.fate == "accepted").sum() == trace.stats.accepted_draft_tokens_count
    assert list(frame[frame.output.notna()].sort_values("output").id) == trace.token_ids
    assert "<u" in trace._repr_html_()
    assert len(trace.figure().data) >= 4


def test_the_cutoff_sends_no_token_below_it(pair):
    trace = pair.generate("Explain the Pythagorean theorem", max_tokens=64, p_min=0.6, num_draft_tokens=6)
    for round in trace.rounds:
        assert all(q >= 0.6 for q in round.q[: round.sent])
        assert all(q < 0.6 for q in round.q[round.sent :])
    assert trace.stats.unsent > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"num_draft_tokens": "auto"},
        {"num_draft_tokens": 6, "entropy_max": 1.0},
        {"num_draft_tokens": 6, "p_min": 0.5, "n_min": 3},
        {"num_draft_tokens": "auto", "draft": "ngram"},
        {"num_draft_tokens": 4, "draft": "ngram"},
    ],
)
def test_every_policy_and_drafter_says_what_plain_decoding_says(pair, settings):
    for prompt in ("Explain the Pythagorean theorem", "Count from one to thirty in words."):
        plain = pair.generate(prompt, max_tokens=64, ignore_eos=True, draft=None)
        trace = pair.generate(prompt, max_tokens=64, ignore_eos=True, **settings)
        assert trace.token_ids == plain.token_ids
        assert [token.p for token in trace.tokens] == pytest.approx([token.p for token in plain.tokens], abs=1e-6)
        assert trace.header.drafter == settings.get("draft", "model")


def test_logprobs_of_chosen_tokens_are_those_of_plain_decoding_under_sampling_too(pair):
    asked = {"max_tokens": 48, "temperature": 1.0, "seed": 3, "ignore_eos": True}
    plain = pair.generate("Tell me a story", draft=None, **asked)
    drafted = pair.generate("Tell me a story", **asked)
    assert drafted.token_ids == plain.token_ids, "under the rule match a seed fixes the text, drafted or not"
    assert drafted.stats.accepted_draft_tokens_count > 5
    logprobs = [token.logprob for token in drafted.tokens]
    assert logprobs == pytest.approx([token.logprob for token in plain.tokens], abs=1e-4)
    assert min(logprobs) < -1 and all(logprob <= 0 for logprob in logprobs)


def test_the_automatic_length_measures_a_pair_at_first_and_records_what_it_decided_on():
    with sv.load(draft="22m") as pair:
        first = pair.generate("Why is the sky blue?", max_tokens=40, num_draft_tokens="auto")
        more = [pair.generate("Name three colours.", max_tokens=4, num_draft_tokens="auto") for _ in range(SWEEPS)]
    assert first.summary.calibration_seconds > 0 == more[-1].summary.calibration_seconds
    decided = [round.decision for round in first.rounds if round.decision is not None]
    assert decided and all(decision.auto.tokens_per_second > 1 for decision in decided)
    assert any(decision.auto.draft_seconds > 0 for decision in decided)


def test_n_gram_lookup_needs_no_model_and_is_accepted_where_text_repeats_itself():
    with sv.load(draft="ngram") as pair:
        trace = pair.generate(
            "The quick brown fox jumps over the lazy dog. " * 4, raw=True, max_tokens=48, ignore_eos=True
        )
    assert pair.draft is None and trace.header.draft is None and trace.header.drafter == "ngram"
    assert trace.stats.accepted_draft_tokens_count > 5
    assert all(q is None for round in trace.rounds for q in round.q)
    assert "n-gram" in repr(pair)


def test_without_detail_the_same_tokens_and_counts(pair):
    full = pair.generate("Why is the sky blue?", max_tokens=48)
    bare = pair.generate("Why is the sky blue?", max_tokens=48, detail=False)
    assert bare.token_ids == full.token_ids
    assert bare.stats.accepted_draft_tokens_count == full.stats.accepted_draft_tokens_count
    assert all(not round.p and not round.main_top for round in bare.rounds)


def test_a_seed_fixes_a_sampled_answer_and_is_recorded(quick_pair):
    one = quick_pair.generate("Tell me a story", max_tokens=40, temperature=1.0)
    seed = one.header.settings.seed
    again = quick_pair.generate("Tell me a story", max_tokens=40, temperature=1.0, seed=seed)
    other = quick_pair.generate("Tell me a story", max_tokens=40, temperature=1.0, seed=seed ^ 1)
    assert again.token_ids == one.token_ids != other.token_ids


def test_a_seed_fixes_the_answer_with_and_without_baseline(quick_pair):
    asked = {"max_tokens": 40, "temperature": 1.0, "seed": 7}
    bare = quick_pair.generate("Tell me a story", **asked)
    measured = quick_pair.generate("Tell me a story", baseline_tokens=8, baseline_every=10, **asked)
    assert measured.token_ids == bare.token_ids
    assert len(measured.baselines) == 4
    assert measured.stats.speedup is not None and bare.stats.speedup is None


def test_ignore_eos_goes_on(quick_pair):
    trace = quick_pair.generate("Say hi.", max_tokens=200, ignore_eos=True)
    assert len(trace) == 200 and not trace.control & set(trace.token_ids)


def test_continuing_says_what_one_long_answer_says_and_reuses_the_cache(pair):
    whole = pair.generate("Explain the Pythagorean theorem", max_tokens=48)
    first = pair.generate("Explain the Pythagorean theorem", max_tokens=24)
    second = pair.generate(first, max_tokens=24)
    assert first.token_ids + second.token_ids == whole.token_ids
    assert second.header.continued == 24
    assert second.summary.prompt_reused >= len(first.header.prompt_ids) + 22


def test_what_was_in_the_cache_before_changes_no_logit(pair):
    """Passes stay below 64 tokens, from which llama.cpp's flash attention computes differently."""
    prompt = "Summarise: " + "The river rises in the hills, passes three towns and a mill, and meets the sea. " * 8
    pair.generate("0", raw=True, max_tokens=1)
    cold = pair.generate(prompt, max_tokens=24)
    pair.generate(prompt[:200] + " And then it began to rain.", max_tokens=4)
    warm = pair.generate(prompt, max_tokens=24)
    assert cold.summary.prompt_reused < 2 < 20 < warm.summary.prompt_reused < len(warm.header.prompt_ids) - 64
    assert [token.p for token in warm.tokens] == [token.p for token in cold.tokens]
    assert warm.token_ids == cold.token_ids


def test_a_chat_that_goes_on_reuses_its_prompt(pair):
    chat = [{"role": "user", "content": "Name one fruit."}]
    first = pair.generate(chat, max_tokens=16)
    chat += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "Another one."}]
    second = pair.generate(chat, max_tokens=16)
    assert second.summary.prompt_reused >= len(first.header.prompt_ids) - 1


def test_stream_yields_rounds_and_can_be_cancelled(quick_pair):
    generation = quick_pair.stream("Tell me a long story", max_tokens=None, ignore_eos=True)
    for round in generation:
        if round.index == 3:
            generation.cancel()
            break
    after = sum(1 for _ in generation)
    assert generation.trace.summary.stop_reason is StopReason.USER_STOPPED
    assert after < 200
    assert quick_pair.last_trace is generation.trace


def test_leaving_a_with_block_stops_the_generation(quick_pair):
    with quick_pair.stream("Tell me a long story", max_tokens=None, ignore_eos=True) as generation:
        next(iter(generation))
    assert generation.trace.summary.stop_reason is StopReason.USER_STOPPED


def test_tokenize_names_the_main_models_tokens(pair):
    assert pair.tokenize("Hello world") == [19556, 905]


@pytest.mark.parametrize("prompt", ["", "   \n", []])
def test_an_empty_prompt(pair, prompt):
    with pytest.raises(sv.PromptError, match="the prompt is empty"):
        pair.generate(prompt)


def test_a_prompt_longer_than_the_context(pair):
    with pytest.raises(sv.PromptError, match=r"has 6,0\d\d tokens, but the context of SmolLM2.* holds 4,096"):
        pair.generate("x " * 6000)
    assert pair.generate("Say hi.", max_tokens=8).text


@pytest.mark.parametrize("n_ctx", [1, 100, 300])
def test_a_small_context_is_rounded_up_and_read_in_parts_that_fit(n_ctx, quick_pair):
    with sv.load(quick_pair.spec.main.path, quick_pair.spec.draft.path, n_ctx=n_ctx) as small:
        prompt = "one two three " * 40
        trace = small.generate(prompt, max_tokens=6, raw=True)
        assert trace.token_ids == quick_pair.generate(prompt, max_tokens=6, raw=True).token_ids
        assert small.main.n_ctx == 256 * (1 + n_ctx // 256) and len(trace.header.prompt_ids) > 100


def test_a_prompt_beyond_the_drafts_context_is_decoded_plainly(pair):
    trace = pair.generate("word " * 2100, max_tokens=4)
    assert len(trace) == 4 and trace.stats.total_draft_tokens_count == 0


def test_a_prompt_with_lone_surrogates_and_nuls(quick_pair):
    assert len(quick_pair.generate("a\ud800b\0c", max_tokens=4)) == 4


def test_max_tokens_zero(pair):
    with pytest.raises(ValueError, match="max_tokens must be at least 1, got 0"):
        pair.generate("hi", max_tokens=0)


def test_a_message_without_a_role(pair):
    with pytest.raises(TypeError, match="message 0 must be a dict with role and content"):
        pair.generate([{"content": "hi"}])


def test_another_draft_in_generate_is_explained(pair):
    with pytest.raises(ValueError, match="load another pair"):
        pair.generate("hi", draft="22m")


def test_a_missing_file():
    with pytest.raises(sv.ModelNotFoundError, match=r"no model file .*nowhere\.gguf"):
        sv.load("nowhere.gguf")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(sv.ModelNotFoundError, match=r"no model is called 'llama'.*SmolLM2-135M-Instruct\.Q4_1"):
        sv.load("llama")
    with pytest.raises(sv.ModelNotFoundError, match="'draft' may mean several models"):
        sv.load(draft="draft")


def test_an_unknown_engine():
    with pytest.raises(sv.EngineMissingError, match=r"no engine 'vllm'; there are llama\.cpp"):
        sv.load(engine="vllm")


def test_a_file_cut_in_half(tmp_path):
    source = demo_drafts()[0].path
    half = tmp_path / "half.gguf"
    half.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(sv.ModelFileError, match=r"cannot load half\.gguf: .*(corrupted|incomplete|file bounds)"):
        sv.load(half, None)


def test_a_text_file_named_gguf(tmp_path):
    text = tmp_path / "notes.gguf"
    text.write_text("Dear diary, today I renamed a file.\n" * 100)
    with pytest.raises(sv.ModelFileError, match=r"cannot load notes\.gguf: .*magic"):
        sv.load(draft=text)


def test_after_every_failure_the_models_that_were_loaded_still_answer(pair, tmp_path):
    pid = pair._client.pid
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(sv.ModelFileError):
        sv.load(tmp_path / "empty.gguf")
    assert pair.generate("Say hi.", max_tokens=4).text
    assert pair._client.pid == pid


def test_in_process_says_the_same(quick_pair):
    expected = quick_pair.generate("Name three colours.", max_tokens=24).token_ids
    paths = [quick_pair.spec.main.path, quick_pair.spec.draft.path]
    with sv.load(*paths, in_process=True) as pair:
        assert pair.generate("Name three colours.", max_tokens=24).token_ids == expected
        with pytest.raises(sv.PromptError):
            pair.generate("")


def test_the_16_bit_copy_is_made_once_and_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path)
    copy = demo_mains()[1]
    assert not copy.exists
    with sv.load("f16", None) as pair:
        assert pair.main.quantization == "F16"
        assert pair.generate("The capital of France is", max_tokens=8).text
    assert list(copy.path.parent.iterdir()) == [copy.path]
    made = copy.path.stat().st_mtime_ns
    with sv.load("f16", None):
        assert copy.path.stat().st_mtime_ns == made


@pytest.mark.parametrize("rule", ["match", "rejection"])
@pytest.mark.parametrize("sampler", [{}, {"top_k": 20, "top_p": 0.9, "min_p": 0.02, "repeat_penalty": 1.1}])
def test_sampling_on_the_real_pair_records_what_the_rule_decided_on(pair, rule, sampler):
    trace = pair.generate(
        "Tell me a story", max_tokens=64, temperature=0.8, seed=5, rule=rule, ignore_eos=True, **sampler
    )
    assert trace.header.rule == rule and len(trace) == 64
    assert trace.stats.accepted_draft_tokens_count > 5
    for round in trace.rounds:
        compared = min(round.sent, round.accepted + round.past_end + 1)
        assert all(p is not None for p in round.p_sampler[:compared])
        assert all(p is None for p in round.p_sampler[compared:])
        assert round.closing_p_sampler > 0
        if rule == "match":
            assert all(q == 1 for q in round.q_sampler)
        for p in round.p_sampler[: round.accepted]:
            assert p > 0


def test_greedy_is_the_same_under_both_rules_and_with_a_penalty(pair):
    for penalty in (1.0, 1.2):
        asked = {"max_tokens": 64, "repeat_penalty": penalty}
        plain = pair.generate("Why is the sky blue?", draft=None, **asked).token_ids
        assert pair.generate("Why is the sky blue?", **asked).token_ids == plain
        assert pair.generate("Why is the sky blue?", rule="rejection", **asked).token_ids == plain


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A user with a folder of models, without settings or caches."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPECVIZ_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(index, "_shared", None)
    monkeypatch.setattr("specviz.pair._session_drafts", {})
    (tmp_path / "models").mkdir()
    write_model(tmp_path / "models" / "tiny-main.gguf", 1)
    write_model(tmp_path / "models" / "tiny-draft.gguf", 2)
    return tmp_path


def demo_draft(name):
    return next(model for model in demo_drafts() if name in model.name)


def test_models_of_the_user_are_found_by_name(home, monkeypatch):
    assert find_main("tiny-main").path == home / "models" / "tiny-main.gguf"
    assert find_draft("TINY-D", find_main("q4_1")).path == home / "models" / "tiny-draft.gguf"
    write_model(home / "models" / "SmolLM2-135M-Instruct.gguf", 3)
    assert find_main("SmolLM2-135M-Instruct").path.parent == home / "models", "the whole name counts before a part"
    with pytest.raises(sv.ModelNotFoundError, match=r"'tiny' may mean several models: tiny-draft, tiny-main"):
        find_main("tiny")


def test_for_a_path_or_a_demo_model_nothing_is_searched(home, monkeypatch):
    monkeypatch.setattr(index, "discover", lambda _: pytest.fail("searched"))
    assert find_main("auto") == find_main("q4_1") == demo_mains()[0]
    assert find_main(home / "models" / "tiny-main.gguf").name == "tiny-main"
    assert find_draft("12m", demo_mains()[0]) == demo_draft("12m")


def test_a_model_of_another_engine_is_refused_with_its_name(home):
    write_mlx(home / "models" / "tiny-mlx-4bit")
    assert find_main("tiny-mlx").path == home / "models" / "tiny-mlx-4bit"
    with pytest.raises(sv.EngineMissingError, match=r"tiny-mlx-4bit runs in MLX, not in llama.cpp: take a GGUF copy"):
        find_main(home / "models" / "tiny-mlx-4bit", "llama.cpp")
    with pytest.raises(sv.EngineMissingError, match=r"tiny-main runs in llama.cpp, not in MLX: make an MLX copy"):
        find_main(home / "models" / "tiny-main.gguf", "mlx")


@pytest.mark.parametrize("word", [None, "", "none", "None"])
def test_a_draft_that_is_off(home, word):
    set_default_draft(demo_mains()[0].path, "ngram")
    assert find_draft(word, demo_mains()[0]) is None


def test_what_auto_means_session_before_default_before_demo_before_none(home):
    main, other = demo_mains()[0], find_main("tiny-main")
    assert find_draft("auto", main) == demo_draft("17m") and find_draft("auto", other) is None
    sv.set_draft("q4_1", "12m", remember=True)
    assert find_draft("auto", main).path == demo_draft("12m").path
    assert find_draft("auto", demo_mains()[1]) == demo_draft("17m"), "each main model has a default of its own"
    sv.set_draft("q4_1", "22m")
    assert find_draft("auto", main).path == demo_draft("22m").path
    assert find_draft("17m", main) == demo_draft("17m"), "what is asked for in the call comes first"
    assert default_draft(main.path) == str(demo_draft("12m").path)
    sv.set_draft("q4_1", None)
    assert find_draft("auto", main) is None
    sv.set_draft("q4_1", "ngram")
    assert find_draft("auto", main) is NGRAM_LOOKUP is find_draft("NGRAM", main)
    sv.set_draft("q4_1", "auto")
    assert find_draft("auto", main).path == demo_draft("12m").path
    sv.set_draft("q4_1", "auto", remember=True)
    assert find_draft("auto", main) == demo_draft("17m")
    sv.set_draft("tiny-main", "tiny-draft", remember=True)
    assert find_draft("auto", other).path == home / "models" / "tiny-draft.gguf"


def test_a_draft_is_checked_before_anything_is_loaded(tmp_path):
    assert str(sv.check("f16", "12m")).startswith("SmolLM2-135M-Instruct-draft-12m.Q4_0 can draft for")
    other = sv.check("q4_1", write_vocabulary(tmp_path / "other.gguf"))
    assert not other and "- their vocabularies have 49,152 and 400 tokens" in str(other).splitlines()
    with pytest.raises(sv.ModelNotFoundError, match="no model is called 'auto'"):
        sv.check("q4_1", "auto")


def test_what_is_remembered_takes_the_place_of_what_was_said_for_the_session(home):
    sv.set_draft("q4_1", "ngram")
    sv.set_draft("q4_1", "12m", remember=True)
    assert find_draft("auto", demo_mains()[0]).path == demo_draft("12m").path


def test_a_default_that_is_gone_or_no_longer_fits_is_passed_over_with_a_warning(home):
    draft = home / "models" / "tiny-draft.gguf"
    sv.set_draft("tiny-main", "tiny-draft", remember=True)
    write_vocabulary(draft)
    with pytest.warns(UserWarning, match=r"tiny-draft\.gguf, the default draft of tiny-main, is not used: their vocab"):
        assert find_draft("auto", find_main("tiny-main")) is None
    draft.unlink()
    with pytest.warns(UserWarning, match="is not used: it is gone"):
        assert find_draft("auto", find_main("tiny-main")) is None
    set_default_draft(demo_mains()[0].path, draft)
    with pytest.warns(UserWarning, match="is not used: it is gone"):
        assert find_draft("auto", demo_mains()[0]) == demo_draft("17m")


def test_a_draft_that_does_not_fit_cannot_be_made_the_default(home):
    with pytest.raises(
        sv.IncompatibleDraftError, match=r"tiny-draft cannot draft for SmolLM2.*F16: their tokenizers are of"
    ):
        sv.set_draft("f16", "tiny-draft", remember=True)
    assert default_draft(demo_mains()[1].path) is None


def test_the_remembered_draft_is_loaded(home):
    with sv.load("tiny-main") as pair:
        assert pair.draft is None
    sv.set_draft("tiny-main", "tiny-draft", remember=True)
    with sv.load("tiny-main") as pair:
        assert pair.draft.name == "tiny-draft"
        assert len(pair.generate("ab", raw=True, max_tokens=4)) > 0
    sv.set_draft("tiny-main", "ngram")
    with sv.load("tiny-main") as pair:
        assert pair.draft is None and pair.spec.ngram

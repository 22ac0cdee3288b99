"""Servers that tell totals only: ours for real, LM Studio's and vLLM's by their contracts."""

import threading

import pytest

import specviz as sv
from specviz.engines.errors import EngineError
from specviz.trace import Provenance, StopReason
from tests.engines.remote.contracts import LM_STUDIO, PIECES, VLLM, server


def test_lm_studio_is_asked_in_its_words_and_its_totals_are_taken(tmp_path):
    with server(**LM_STUDIO) as (url, handler), sv.attach(f"{url}/v1", draft="small") as pair:
        assert pair.engine == "LM Studio" and pair.main.name == "big" and pair.draft.name == "small"
        trace = pair.generate("Hi", max_tokens=40, temperature=0.5, top_k=20, seed=3, stop=["x"])
        ((path, body),) = handler.asked
    assert path == "/api/v0/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "Hi"}] and body["draft_model"] == "small"
    assert (body["max_tokens"], body["temperature"], body["top_k"], body["seed"], body["stop"]) == (
        40,
        0.5,
        20,
        3,
        ["x"],
    )
    assert "num_draft_tokens" not in body, "it would not be obeyed"
    assert trace.text == "".join(PIECES) and {token.provenance for token in trace.tokens} == {Provenance.PLAIN}
    stats = trace.stats
    assert stats.accepted_draft_tokens_count == 6 and stats.total_draft_tokens_count == 10
    assert stats.draft_acceptance_rate == 0.6 and stats.tokens_per_second == 41.5 and stats.output_tokens == 12
    assert stats.draft_model == "small" and stats.stop_reason == "eosFound"
    assert stats.alpha is None and stats.tokens_per_round is None, "not told, so not guessed"
    (note,) = trace.summary.notes
    assert "does not tell who proposed which token" in note and "draft length and cutoffs are its own" in note
    again = sv.read_trace(trace.save(tmp_path / "remote.jsonl"))
    assert again.stats == stats and again.text == trace.text


def test_vllm_is_read_by_its_counters():
    with server(**VLLM) as (url, handler), sv.load(url) as pair:
        assert pair.engine == "vLLM (0.11.0)"
        trace = pair.generate("Once upon", raw=True, max_tokens=None)
        ((path, body),) = handler.asked
    assert path == "/v1/completions" and body["prompt"] == "Once upon" and "max_tokens" not in body
    stats = trace.stats
    assert (stats.accepted_draft_tokens_count, stats.rejected_draft_tokens_count) == (8, 4)
    assert "right only while nobody else asks" in trace.summary.notes[0]


def test_our_own_server_obeys_draft_settings_and_agrees_with_a_pair(quick_pair):
    paths = quick_pair.spec.main.path, quick_pair.spec.draft.path
    with sv.serve(*paths, port=0, api_key="secret") as ours:
        with pytest.raises(EngineError, match="wants another api_key"):
            sv.load(ours.url)
        with sv.load(ours.url, api_key="secret") as pair:
            assert pair.engine == "specviz serve" and pair.capabilities.draft_settings
            for asked in ({"num_draft_tokens": 3}, {"num_draft_tokens": 6, "p_min": 0.5}):
                told, known = (one.generate("Tell me a story", max_tokens=30, **asked) for one in (pair, quick_pair))
                assert told.text == known.text
                assert told.header.main.name == known.header.main.name
                for name in ("total", "accepted", "rejected", "ignored"):
                    count = f"{name}_draft_tokens_count"
                    assert getattr(told.stats, count) == getattr(known.stats, count)
                assert told.stats.output_tokens == 30


def test_a_stop_reaches_the_server_and_keeps_what_came():
    release = threading.Event()
    with server(**LM_STUDIO, slow=release) as (url, _), sv.load(url) as pair:
        generation = pair.stream("Hi")
        for round in generation:
            if round.index == 0:
                generation.cancel()
        release.set()
        assert generation.trace.text == PIECES[0]
        assert generation.trace.summary.stop_reason == StopReason.USER_STOPPED


def test_what_goes_wrong_is_said_in_words():
    with server(**LM_STUDIO, breaks_off=True) as (url, _), sv.load(url) as pair:
        with pytest.raises(EngineError, match="the server says: the model was unloaded") as caught:
            pair.generate("Hi")
        assert caught.value.trace.text == "".join(PIECES[:2])
        with pytest.raises(EngineError, match="does not tell token ids"):
            pair.tokenize("Hi")
        with pytest.raises(EngineError, match="cannot do this"):
            pair.score(caught.value.trace)
        with pytest.raises(EngineError, match="has no model 'huge'; it has small, big"):
            sv.attach(url, model="huge")
        with pytest.raises(ValueError, match="give a server without one as the baseline"):
            sv.race(pair, "Hi", progress=False)
    with server(pages={}) as (url, _), pytest.raises(EngineError, match="is no llama-server, LM Studio, vLLM"):
        sv.load(url)
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
        sv.load("http://127.0.0.1:9")


def test_two_servers_can_race():
    with server(**LM_STUDIO) as (url, _), server(**LM_STUDIO) as (other, _), sv.load(url) as a, sv.load(other) as b:
        raced = sv.race(a, ["Hi", "Ho"], baseline=b, progress=False)
    frame = raced.frame()
    assert (frame.speedup > 0).all() and frame.speedup_over_length_0.isna().all()
    assert frame.acceptance_rate.tolist() == [0.6, 0.6]

"""A dashboard on the URL of a server."""

import pytest

import specviz as sv
from tests.engines.remote.contracts import LM_STUDIO, PIECES, VLLM, server


@pytest.fixture
def lm_studio():
    with server(**LM_STUDIO) as (url, handler):
        yield url, handler


def answered(explorer):
    explorer.generate()
    assert explorer.wait(30)
    return explorer._state


def test_a_server_is_asked_in_place_of_an_engine(lm_studio):
    url, handler = lm_studio
    explorer = sv.explore(url)
    assert explorer.main == url and explorer.draft == "none"
    assert explorer.chosen == {"main": url, "draft": "the server's own draft"}
    assert answered(explorer)["phase"] == "finished"
    assert "does not tell who proposed which token" in explorer._state["message"]
    assert "".join(PIECES) == "".join(trace.text for trace in explorer._traces)
    assert "draft_model" not in handler.asked[0][1]
    told = dict(explorer._content({"more"})["told"])
    assert told["how many were drafted and accepted"] and not told["who proposed which token"]
    explorer.close()


def test_its_draft_is_named_by_id_and_the_way_back_leads_to_a_draft_that_fits(lm_studio):
    url, handler = lm_studio
    explorer = sv.explore(url, "small")
    assert explorer.chosen["draft"] == "small"
    answered(explorer)
    assert handler.asked[0][1]["draft_model"] == "small"
    explorer.main = "f16"
    assert "17m" in explorer.draft and "17m" in explorer.chosen["draft"]
    explorer.main = url
    assert explorer.draft == "none"
    explorer.close()


def test_another_server_is_chosen_while_one_is_open():
    with server(**LM_STUDIO) as (first, _), server(**VLLM) as (second, handler):
        explorer = sv.explore(first)
        answered(explorer)
        explorer.main = second
        assert answered(explorer)["phase"] == "finished" and handler.asked
        assert explorer._traces[0].header.engine == "vLLM (0.11.0)"
        assert not dict(explorer._content({"more"})["told"])["how many were drafted and accepted"]
        explorer.close()


def test_nobody_answers_there():
    with server(**LM_STUDIO) as (url, _):
        pass
    explorer = sv.explore(url)
    state = answered(explorer)
    assert state["phase"] == "failed" and url in state["message"] and state["can_generate"]
    explorer.close()


def test_a_race_track_takes_a_server_and_its_baseline():
    with server(**LM_STUDIO) as (drafting, _), server(**LM_STUDIO) as (plain, _):
        with sv.load(drafting, "small") as pair, sv.load(plain) as baseline:
            track = sv.RaceTrack(pair, ["Hello"], baseline=baseline, repeats=2, max_tokens=8)
            track.start()
            assert track.wait(30) and track.phase == "finished"
            assert {one.way for heat in track.result.heats for one in heat.timings} == {"plain", "speculative"}
        with sv.load(drafting) as pair:
            alone = sv.RaceTrack(pair, ["Hello"])
            alone.start()
            assert alone.wait(30) and alone.phase == "failed"
            assert "without a draft" in alone._state["message"] or "without one" in alone._state["message"]

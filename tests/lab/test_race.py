"""Races of a real pair, and what is said of them."""

import pytest

import specviz as sv
from specviz.lab.prompts import LabPrompt
from specviz.lab.race import Heat, Race, Timing, divergence
from specviz.trace import Round
from tests.greedy import PRESETS

PROMPTS = [LabPrompt(PRESETS[0], "code"), LabPrompt(PRESETS[1], "text"), LabPrompt(PRESETS[2], "text")]


def heat(quick, *ratios, way="plain"):
    """A heat with made-up times over real traces."""
    timings = [Timing(way, 1.0, 100, 0, 0, 100) for _ in ratios]
    timings += [Timing("speculative", 1 / ratio, 100, 50, 100, 50) for ratio in ratios]
    return Heat(LabPrompt("x"), quick, quick, timings)


@pytest.fixture(scope="module")
def trace(quick_pair):
    return quick_pair.generate("Hello", max_tokens=4)


def test_every_way_runs_there_and_back_over_the_same_tokens(quick_pair):
    seen = []

    def watch(way, prompt, event):
        if event is None or (isinstance(event, Round) and event.index == 0):
            seen.append((way, prompt.text, event is None))

    raced = sv.race(quick_pair, PROMPTS, max_tokens=16, progress=False, watch=watch)
    order = ["speculative", "plain", "length 0", "length 0", "plain", "speculative"]
    assert [way for way, _, ended in seen if ended] == order * 3
    assert [ended for *_, ended in seen] == [False, True] * 18
    for one in raced.heats:
        assert [timing.way for timing in one.timings] == order
        assert len({timing.n_tokens for timing in one.timings}) == 1
        assert one.divergence is None, "greedy, Q4_0: the same text"
        assert all(timing.drafted == 0 for timing in one.timings if timing.way != "speculative")
        assert one.timings[0].accepted == one.timings[-1].accepted == one.speculative.tally.accepted
    frame = raced.frame()
    assert len(frame) == 3 and (frame.speedup > 0).all() and frame.diverges_at.isna().all()
    assert list(raced.by_category().prompts) == [1, 2]
    assert raced.verdict in repr(raced) and "draft-22m" in repr(raced)


def test_an_answer_that_ends_early_fixes_the_count(quick_pair):
    raced = sv.race(quick_pair, "Say yes.", max_tokens=400, progress=False)
    (one,) = raced.heats
    assert {timing.n_tokens for timing in one.timings} == {len(one.plain)}
    assert len(raced.ratios()) == 2, "of one prompt, each time counts"


def test_a_race_needs_a_draft(trace):
    with sv.load("22m", None) as plain, pytest.raises(ValueError, match="needs a pair with a draft"):
        sv.race(plain, "Hello", progress=False)


def test_verdicts(trace):
    faster = Race([heat(trace, ratio) for ratio in (1.4, 1.45, 1.5, 1.42)])
    assert faster.verdict.startswith("1.44x, 95 % CI 1.")
    noise = Race([heat(trace, ratio) for ratio in (0.97, 1.02, 1.01, 0.99)])
    assert noise.verdict.startswith("inside the noise: 1.00x")
    slower = Race([heat(trace, ratio) for ratio in (0.8, 0.82, 0.78, 0.81)])
    assert slower.verdict.startswith("slower: 0.80x") and "diagnose" in slower.verdict
    assert Race([heat(trace, 1.5)]).verdict.startswith("inside the noise: 1.50x, measured once")


def test_where_texts_part_is_told_with_the_margin(quick_pair):
    a = quick_pair.generate("Name three fruits.", max_tokens=12)
    b = quick_pair.generate("Name three colours.", max_tokens=12)
    assert divergence(a, a) is None
    parting = divergence(a, b)
    assert a.token_ids[parting.at] != b.token_ids[parting.at]
    assert a.token_ids[: parting.at] == b.token_ids[: parting.at]
    assert parting.margin is None or parting.margin >= 0
    assert str(parting).startswith(f"the texts part at token {parting.at}: ")
    plain = quick_pair.generate("Name three fruits.", max_tokens=12, draft=None)
    assert divergence(plain, b).margin == pytest.approx(
        (lambda top: __import__("math").log(top[0][1] / top[1][1]))(plain.rounds[parting.at].main_top[0])
    )
    shorter = quick_pair.generate("Name three fruits.", max_tokens=5)
    assert divergence(plain, shorter).margin is None and "ends there" in str(divergence(plain, shorter))

"""What is said of one round is what its record holds, found by its number alone."""

from math import log, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.trace import Fate, Header, ModelInfo, Pieces, Round, Settings, Summary, Trace
from specviz.trace.events import Decision
from specviz.trace.inspection import round_detail
from specviz.trace.projection import FATE, KIND, Projection
from tests.trace.strategies import traces

TEXTS = {1: " the", 2: " big", 3: " cat", 4: " sat", 5: " dog", 6: " fox"}
DRAFTED = Round(
    index=0,
    start=0,
    drafted=(1, 3, 4),
    sent=3,
    accepted=1,
    closing=5,
    q=(0.8, 0.41, 0.3),
    q_sampler=(1.0, 1.0, 1.0),
    p=(0.9, 0.12, 0.5),
    p_sampler=(0.9, 0.12, None),
    rank=(1, 2, None),
    closing_p=0.73,
    main_top=(((1, 0.9), (2, 0.1)), ((5, 0.73), (3, 0.12)), ((4, 0.5), (6, 0.25)), ((6, 1.0),)),
    draft_top=(((1, 0.8), (2, 0.1)), ((3, 0.41), (5, 0.2)), ((4, 0.3), (6, 0.2))),
    draft_seconds=0.005,
    verify_seconds=0.016,
    other_seconds=0.002,
)


def trace_of(*rounds, summary=None, **settings):
    header = Header(main=ModelInfo(name="m"), drafter="model", settings=Settings(**settings))
    trace = Trace.of([header, Pieces(text=TEXTS, raw={7: b"\xe2\x82"})])
    for one in rounds:
        trace.add(one)
    if summary is not None:
        trace.add(summary)
    return trace


def only(round, **settings):
    """The detail of a round by itself."""
    return round_detail([trace_of(round, **settings)], 0)


def test_a_refused_token_has_what_the_main_model_wanted_beside_it():
    refused = only(DRAFTED)["tokens"][1]
    assert refused["text"] == " cat" and refused["kind"] == "r" and refused["position"] == 2
    assert (refused["p"], refused["q"], refused["chance"], refused["rank"]) == (0.12, 0.41, 0.12, 2)
    assert (refused["choice"], refused["choice_p"], refused["choice_q"], refused["same"]) == (" dog", 0.73, 0.2, False)
    assert refused["margin"] == 0.61 and refused["margin_logits"] == round(log(0.73 / 0.12), 6)
    assert refused["surprise"] == round(-log2(0.12), 6)
    assert refused["main_top"] == {"text": [" dog", " cat"], "p": [0.73, 0.12], "mark": ["c", "t"]}
    assert refused["draft_top"] == {"text": [" cat", " dog"], "p": [0.41, 0.2], "mark": ["t", "c"]}


def test_the_tokens_beside_it():
    detail = only(DRAFTED)
    accepted, _, discarded, correction = detail["tokens"]
    assert (accepted["index"], accepted["same"], accepted["main_top"]["mark"]) == (0, True, ["tc", ""])
    assert (discarded["index"], discarded["choice"], discarded["chance"], discarded["p"]) == (None, None, None, 0.5)
    assert (correction["index"], correction["position"], correction["p"], correction["q"]) == (1, None, 0.73, 0.2)
    assert correction["rank"] == 2 and correction["same"]
    assert (detail["drafted"], detail["sent"], detail["accepted"]) == (3, 3, 1)
    assert (detail["draft_seconds"], detail["verify_seconds"], detail["other_seconds"]) == (0.005, 0.016, 0.002)


@pytest.mark.parametrize(("p", "q", "chance"), [(0.2, 0.4, 0.5), (0.4, 0.2, 1.0), (0.3, None, 0.3)])
def test_the_chance_of_a_compared_token(p, q, chance):
    round = Round(index=0, start=0, drafted=(1,), sent=1, closing=2, p_sampler=(p,), q_sampler=(q,))
    assert only(round)["tokens"][0]["chance"] == chance


CUT = {"drafted": (1, 2), "closing": 5, "accepted": 1, "sent": 1, "main_top": ((), ((5, 0.6), (2, 0.3)))}


@pytest.mark.parametrize(
    ("round", "settings", "by"),
    [
        (CUT | {"decision": Decision(ended="p_min", kept=1, confidence=(0.9, 0.2))}, {"p_min": 0.5}, "p_min"),
        (CUT | {"decision": Decision(ended="entropy", kept=1, entropy=(0.1, 3.0))}, {}, "entropy"),
        (CUT | {"decision": Decision(ended="auto", kept=2, confidence=(0.9, 0.2))}, {}, "auto"),
        ({"drafted": (2,), "closing": 5, "decision": Decision(ended="probe", kept=0)}, {}, "probe"),
        ({"drafted": (2,), "closing": 5, "decision": Decision(ended="length", kept=1)}, {"n_min": 2}, "n_min"),
        ({"drafted": (2,), "decision": Decision(ended="length", kept=1)}, {}, "stop"),
        (CUT, {}, None),
    ],
)
def test_what_kept_a_token_from_being_sent(round, settings, by):
    unsent = only(Round(index=0, start=0, **round), **settings)["tokens"][len(round["drafted"]) - 1]
    assert (unsent["kind"], unsent["unsent_by"]) == ("u", by)
    decision = round.get("decision")
    if decision is not None and decision.confidence:
        assert unsent["confidence"] == 0.2
    if decision is not None and decision.entropy:
        assert unsent["entropy"] == 3.0


def test_an_unsent_token_that_the_main_model_was_asked_about_all_the_same():
    unsent = only(Round(index=0, start=0, **CUT))["tokens"][1]
    assert (unsent["p"], unsent["choice"], unsent["choice_p"], unsent["same"]) == (0.3, " dog", 0.6, False)


def test_without_detail_there_are_no_figures():
    bare = Round(index=0, start=0, drafted=(1, 3, 4), sent=2, accepted=1, closing=5, q=(None, None, None))
    for token in only(bare)["tokens"]:
        names = (
            "p",
            "q",
            "chance",
            "rank",
            "margin",
            "margin_logits",
            "surprise",
            "choice_p",
            "choice_q",
            "confidence",
        )
        assert [token[name] for name in names] == [None] * len(names)
        assert token["main_top"] == token["draft_top"] == {"text": [], "p": [], "mark": []}
    assert only(bare)["tokens"][1]["choice"] == " dog"


def test_a_piece_of_a_character_is_told_as_bytes():
    assert only(Round(index=0, start=0, closing=7))["tokens"][0]["text"] == r"\xe2\x82"


def test_what_ended_the_text_is_told_of_its_last_round():
    rounds = (
        Round(index=0, start=0, closing=1),
        Round(index=1, start=1, drafted=(2, 3), sent=2, accepted=1, past_end=1),
    )
    traces = [trace_of(*rounds, summary=Summary(stop_reason="eosFound"))]
    assert [round_detail(traces, i)["stop_reason"] for i in range(2)] == [None, "eosFound"]
    assert [token["kind"] for token in round_detail(traces, 1)["tokens"]] == ["a", "e"]


def test_what_is_no_round_is_none():
    traces = [trace_of(DRAFTED), trace_of(DRAFTED)]
    assert [round_detail(traces, i) is None for i in (-1, 0, 1, 2)] == [True, False, False, True]
    assert round_detail([], 0) is None


@given(st.tuples(traces(), traces()))
def test_every_round_tells_what_the_page_has_of_its_tokens(pair):
    projection = Projection()
    for trace in pair:
        for event in trace.events():
            projection.add(event)
    content = projection.take()
    tokens, dropped = content.get("tokens", {}), content.get("dropped", {})
    details = [round_detail(pair, i) for i in range(projection.tally.rounds)]
    kept = [token for detail in details for token in detail["tokens"] if token["index"] is not None]
    lost = [token for detail in details for token in detail["tokens"] if token["index"] is None]
    assert [token["index"] for token in kept] == list(range(len(tokens.get("kind", ""))))
    assert "".join(token["kind"] for token in kept) == tokens.get("kind", "").lower()
    assert "".join(token["kind"] for token in lost) == dropped.get("fate", "")
    assert {FATE[fate] for fate in Fate if fate is not Fate.ACCEPTED} | {*KIND.values()} == {*"rdueacbp"}
    for column, all in (("p", kept), ("q", lost)):
        told = (tokens if all is kept else dropped).get(column, [])
        assert all_agree([token[column] for token in all], told)


def all_agree(found, told):
    """Whether what is told is found; more may be found."""
    return len(found) == len(told) and all(one in (None, other) for other, one in zip(found, told, strict=True))

"""The what-if view's Python side: what the page is given is what the audit says, and what is refused says why."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

import specviz as sv
from specviz.lab.audit import Audit
from specviz.lab.costs import Costs
from specviz.pair import Scores
from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, Trace
from specviz.widgets.what_if import _hundredths
from tests.widgets.what_if_cases import FIXTURE, written

DRAFTS = ("draft-17m", "draft-12m", "draft-22m")
HOSTILE = ["<img src=x onerror=alert(1)>", "a\0b", "\u202eabc", "\n\n", " the"]


def answer(n_tokens, rng, texts=(), temperature=0.0):
    """A plainly decoded answer of a made-up model of 50 tokens; 49 is its end token."""
    ids = rng.integers(len(texts), 48, n_tokens)
    ids[: len(texts)] = range(len(texts))
    ids[-1] = 49
    header = Header(
        main=ModelInfo(name="main", n_ctx=8192),
        settings=Settings(max_tokens=n_tokens + 3, temperature=temperature),
        prompt="Why <b>?",
        prompt_ids=(1, 2, 3),
    )
    pieces = {id: f" {id}" for id in range(48)} | dict(enumerate(texts)) | {49: "<|end|>"}
    rounds = [Round(index=i, start=i, closing=int(id)) for i, id in enumerate(ids)]
    return Trace.of([header, Pieces(text=pieces, control=(49,)), *rounds])


def scores(trace, rng, thorough):
    hits = rng.random(len(trace)) < 0.6
    favourite = np.where(hits, trace.token_ids, 48)
    after = tuple(() if hit else tuple(rng.random(15).tolist()) for hit in hits) if thorough else ()
    return Scores(favourite, rng.random(len(trace)), rng.random(len(trace)), after, {48: b" told"})


def audited(lengths=(40, 30), thorough=True, temperature=0.0):
    rng = np.random.default_rng(1)
    traces = [answer(n, rng, HOSTILE, temperature) for n in lengths]
    return Audit(
        traces, {draft: [scores(trace, rng, thorough) for trace in traces] for draft in DRAFTS}, None, ["qa", ""]
    )


def costs(longest=16, turns=6):
    lengths = np.tile(np.arange(longest + 1), turns)
    jitter = np.exp(np.random.default_rng(2).normal(0, 0.05, len(lengths)))
    depth = np.linspace(20, 900, len(lengths))
    turn = np.repeat(range(turns), longest + 1)
    return Costs(lengths, 1e-3 * lengths * jitter, (8e-3 + 2e-3 * lengths) * jitter, 1e-4 * jitter, depth, turn)


@pytest.fixture
def what_if():
    opened = []

    def open_one(*arguments, **keywords):
        opened.append(sv.WhatIf(*arguments, **keywords))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_the_pages_fixture_is_what_python_gives():
    assert FIXTURE.read_text() == written(), "run python -m tests.widgets.what_if_cases"


@given(st.lists(st.one_of(st.floats(0, 1), st.integers(0, 100).map(lambda n: n / 100))), st.integers(0, 100))
def test_hundredths_pass_every_cutoff_that_the_probability_passes(probabilities, cutoff):
    passed = [n >= cutoff for n in _hundredths(probabilities)]
    assert passed == [p >= cutoff / 100 for p in probabilities]


def test_the_columns_hold_all_that_a_replay_needs(what_if):
    audit = audited()
    columns = what_if(audit).audit
    assert columns["drafts"] == list(DRAFTS) and columns["thorough"]
    for i, one in enumerate(columns["answers"]):
        assert (one["prompt"], one["category"], one["n_prompt"]) == ("Why <b>?", ["qa", ""][i], 3)
        assert one["limit"] == len(audit.traces[i]) + 3
        assert one["text"][:5] == HOSTILE and one["text"][-1] == "<|end|>" and one["control"] == [len(one["text"]) - 1]
        for draft, column in zip(DRAFTS, one["drafts"], strict=True):
            assert column["matches"] == "".join("1" if hit else "0" for hit in audit.matches(draft, i))
            assert column["confidence"] == _hundredths(audit.confidence(draft, i))
            assert column["favourite"] == [" told"] * column["matches"].count("0") and len(column["after"]) == len(
                column["favourite"]
            )
    json.dumps(columns)


def test_a_favourite_that_is_a_part_of_a_character_is_shown_as_such(what_if):
    known = Scores(np.full(4, 48), np.ones(4), np.ones(4), (), {48: "né".encode()[:2]})
    found = what_if(Audit([answer(4, np.random.default_rng(1))], {"d": [known]})).audit["answers"]
    assert found[0]["drafts"][0]["favourite"] == ["n\ufffd"] * 4


@pytest.mark.parametrize("thorough", [True, False])
def test_three_drafts_on_2000_tokens_are_little_to_send(what_if, thorough):
    one = what_if(audited((1000, 1000), thorough), dict.fromkeys(DRAFTS, costs()))
    assert len(json.dumps(one.audit)) + len(json.dumps(one.costs)) < 450_000
    assert max(len(json.dumps(one.audit)), len(json.dumps(one.costs))) < 300_000


def test_choices_are_checked(what_if):
    one = what_if(audited())
    assert (one.draft, one.num_draft_tokens, one.p_min, one.answer) == (DRAFTS[0], 4, 0, -1)
    one.draft = "22m"
    assert one.draft == DRAFTS[2]
    one.p_min = 0.294999
    assert one.p_min == 0.29
    for name, value in (("draft", "draft"), ("draft", "none"), ("num_draft_tokens", 17), ("p_min", 1.5), ("answer", 2)):
        with pytest.raises((ValueError, TraitError)):
            setattr(one, name, value)
    seen = []
    one.observe(lambda change: seen.append(change.new), "num_draft_tokens")
    one.num_draft_tokens = 7
    assert seen == [7]


def test_what_cannot_be_shown_is_refused(what_if):
    with pytest.raises(ValueError, match="sampled"):
        what_if(audited(temperature=0.8))
    with pytest.raises(ValueError, match="costs are given for 'other'"):
        what_if(audited(), {"other": costs()})
    with pytest.raises(ValueError, match="no column 'p_min'"):
        what_if(audited(), measured=pd.DataFrame({"draft": [], "num_draft_tokens": [], "speedup": []}))
    other = pd.DataFrame({"draft": ["x"], "num_draft_tokens": [4], "p_min": [0.0], "speedup": [1.0]})
    with pytest.raises(ValueError, match="measurements are given for 'x'"):
        what_if(audited(), measured=other)


def test_of_several_measurements_the_median_is_shown(what_if):
    frame = pd.DataFrame(
        {
            "draft": [DRAFTS[1]] * 4,
            "num_draft_tokens": [4, 4, 4, 8],
            "p_min": [0.0] * 4,
            "speedup": [1.3, 1.1, 1.2, None],
            "more": 1,
        }
    )
    assert what_if(audited(), measured=frame).measured == {
        "draft": [DRAFTS[1]],
        "num_draft_tokens": [4],
        "p_min": [0.0],
        "speedup": [1.2],
    }


def test_the_record_says_what_the_audit_says(what_if):
    audit, known = audited(), {DRAFTS[0]: costs(), DRAFTS[1]: costs(longest=8)}
    one = what_if(audit, known, num_draft_tokens=5, p_min=0.3)
    row = audit.surface([5], [0.3], costs=known).iloc[0]
    html = one._html()
    assert f"{row.accepted} of {row.tokens} tokens accepted in {row.rounds} rounds" in html
    assert f"predicted speedup {row.speedup:.2f} (95 % band {row.low:.2f} to {row.high:.2f})" in html
    cells = [part.split("</td>")[0] for part in html.split("<td>")[1:]]
    surface = audit.surface(range(17), [0.3], costs={DRAFTS[0]: costs()})
    assert cells[:17] == [f"{value:.2f}" for value in surface.speedup[:17]]
    assert cells[26:] == ["—"] * 25 and "—" not in cells[17:26]


def test_without_known_speeds_the_record_has_tokens_per_round(what_if):
    audit = audited(thorough=False)
    one = what_if(audit, {DRAFTS[0]: costs()}, answer=1)
    assert "Predicted speedup" in one._html()
    one.p_min = 0.5
    html = one._html()
    assert "Tokens per round (exact)" in html and "predicted" not in html
    run = audit.replay(DRAFTS[0], 1, 4, 0.5)
    assert f"{run.n_accepted} of {run.n_tokens} tokens accepted in {run.rounds} rounds" in html


def test_names_in_the_record_are_text(what_if):
    rng = np.random.default_rng(1)
    trace = answer(9, rng)
    html = what_if(Audit([trace], {"<img src=x>": [scores(trace, rng, False)]}))._html()
    assert "<img" not in html and "&lt;img src=x&gt;" in html

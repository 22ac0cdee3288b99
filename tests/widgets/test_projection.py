"""What is shown is what is in the trace: in batches or at once, the same columns."""

import re
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specviz.trace import Baseline, Fate, Header, ModelInfo, Pieces, Round, Settings, Summary, Trace
from specviz.trace.projection import FATE, Projection, account, project, run_info, stats_rows
from specviz.widgets.figures import trace_figure
from specviz.widgets.static_html import trace_html
from tests.trace.strategies import traces


def taken(projection, into):
    """Take a projection's content and append it, as the page does."""
    content = projection.take()
    into |= {name: content[name] for name in ("metric_words",) if name in content}
    for name in ("tokens", "dropped", "curves", "rounds"):
        for column, values in content.get(name, {}).items():
            empty = "" if isinstance(values, str) else []
            into.setdefault(name, {}).setdefault(column, empty)
            into[name][column] = into[name][column] + values
    into |= {name: content.get(name) for name in ("stats", "metrics", "baseline", "run_info")}
    return into


@given(traces(), st.sets(st.integers(0, 12)))
def test_batches_joined_are_the_snapshot(trace, cuts):
    batched, whole, into = Projection(), Projection(), {}
    for i, event in enumerate(trace.events()):
        batched.add(event)
        whole.add(event)
        if i in cuts:
            taken(batched, into)
    assert taken(batched, into) == taken(whole, {})


@given(traces())
def test_every_token_is_shown_once(trace):
    projection = Projection()
    for event in trace.events():
        projection.add(event)
    content = projection.take()
    tokens, dropped = content.get("tokens", {}), content.get("dropped", {})
    fates = [fate for round in trace.rounds for fate in round.fates]
    assert len(tokens.get("text", [])) == len(tokens.get("kind", "")) == len(trace)
    assert dropped.get("fate", "") == "".join(FATE[fate] for fate in fates if fate is not Fate.ACCEPTED)
    assert len(content.get("curves", {}).get("x", [])) == len(trace.rounds)


@given(traces())
def test_rounds_add_up_to_the_trace(trace):
    content, tally = project(trace.events()).take(), trace.tally
    n = len(trace.rounds)
    if not n:
        assert "rounds" not in content
        return
    rounds = content["rounds"]
    assert {len(column) for column in rounds.values()} == {n}
    assert list(accumulate(rounds["tokens"])) == content["curves"]["x"]
    sums = {name: sum(rounds[name]) for name in ("drafted", "accepted", "sent", "agreed")}
    assert sums == {
        "drafted": tally.drafted,
        "accepted": tally.accepted,
        "sent": tally.drafted - tally.unsent,
        "agreed": tally.accepted + tally.past_end,
    }
    times = [sum(rounds[name]) for name in ("draft", "verify", "other")]
    assert times == pytest.approx([tally.draft_seconds, tally.verify_seconds, tally.other_seconds], abs=1e-5)


@given(traces())
def test_tokens_of_a_round_lie_between_its_counts(trace):
    content = project(trace.events()).take()
    rounds = content.get("rounds", {"tokens": [], "drafted": [], "accepted": []})
    lost = [drafted - kept for drafted, kept in zip(rounds["drafted"], rounds["accepted"], strict=True)]
    for name, counts in (("tokens", rounds["tokens"]), ("dropped", lost)):
        expected = [i for i, count in enumerate(counts) for _ in range(count)]
        assert content.get(name, {"round": []})["round"] == expected


def test_dropped_tokens_stand_before_the_token_that_replaced_them():
    projection = Projection()
    projection.add(Header(main=ModelInfo(name="m")))
    projection.add(Pieces(text={1: "one", 2: "two", 3: "three", 9: "<end>"}, control=(9,)))
    projection.add(
        Round(index=0, start=0, drafted=(1, 2, 3), sent=2, accepted=1, closing=3, p=(0.9, 0.2), q=(0.8, 0.7, 0.1))
    )
    projection.add(Round(index=1, start=2, closing=9))
    content = projection.take()
    assert content["tokens"] == {
        "text": ["one", "three", "<end>"],
        "kind": "acP",
        "round": [0, 0, 1],
        "p": [0.9, None, None],
        "q": [0.8, None, None],
    }
    assert content["dropped"] == {
        "at": [1, 1],
        "text": ["two", "three"],
        "fate": "ru",
        "round": [0, 0],
        "q": [0.7, 0.1],
        "p": [0.2, None],
    }


def test_a_continuation_goes_on_counting():
    projection = Projection()
    for start in range(2):
        projection.add(Header(main=ModelInfo(name="m")))
        projection.add(Pieces(text={1: "one"}))
        projection.add(Round(index=0, start=0, drafted=(1,), sent=1, accepted=1, closing=1))
        projection.add(Summary(stop_reason="userStopped"))
        assert projection.tally.rounds == start + 1
    content = projection.take()
    assert content["tokens"]["round"] == [0, 0, 1, 1]
    assert content["curves"]["x"] == [2, 4]


@pytest.mark.parametrize(
    ("drafter", "draft", "told"),
    [("model", ModelInfo(name="d"), "d"), ("ngram", None, "n-gram lookup"), ("none", None, "")],
)
def test_what_drafts_is_named_alike_everywhere(drafter, draft, told):
    settings = Settings(num_draft_tokens="auto", temperature=0.5, rule="rejection")
    header = Header(main=ModelInfo(name="m"), draft=draft, drafter=drafter, rule="rejection", settings=settings)
    info = run_info(header)
    assert (info["draft"], info["drafter"], info["num_draft_tokens"]) == (told, drafter, "auto")
    html, title = trace_html(Trace(header)), trace_figure(Trace(header)).layout.title.text
    assert title == f"m with {told or 'no draft'}" and title in html
    assert ("draft length auto, temperature 0.5, rule rejection" in html) == bool(told)
    assert "p_min" not in html


def test_every_row_of_the_statistics_says_what_it_means():
    trace = Trace(Header(main=ModelInfo(name="m")))
    trace.add(Round(index=0, start=0, drafted=(1,), sent=1, accepted=1, closing=1, verify_seconds=0.5))
    rows = {row["key"]: row for row in stats_rows(trace.stats)}
    assert rows["tokens_per_second"]["value"] == "4.0"
    assert rows["draft_acceptance_rate"]["value"] == "100.0 %"
    assert rows["mean_draft_length"]["value"] == "1.00"
    assert "speedup" not in rows
    assert all(row["help"] for row in rows.values())


@given(traces())
def test_the_account_of_a_speedup_is_its_two_factors(trace):
    projection = project(trace.events())
    stats, words = projection.stats, account(projection.stats)
    if not words:
        assert not stats.speedup or not stats.drafting_rounds
        return
    brings, takes = map(float, re.search(r"brings ([\d.]+) tokens in the time of ([\d.]+) plain", words).groups())
    assert brings == pytest.approx(stats.tokens_per_round, abs=0.006)
    assert takes == pytest.approx(stats.tokens_per_round / stats.speedup, abs=0.006, rel=1e-6)
    assert words.startswith("Slower") == (stats.speedup < 0.95)


@pytest.mark.parametrize(
    ("verify", "begins"), [(0.015, "A round brings 2.00 "), (0.05, "Slower than without a draft: a round")]
)
def test_a_slow_answer_says_what_takes_the_time(verify, begins):
    trace = Trace(Header(main=ModelInfo(name="m"), draft=ModelInfo(name="d"), drafter="model", prompt="?"))
    trace.add(Baseline(start=0, n_tokens=10, seconds=0.1, time=0.0))
    for i in range(5):
        trace.add(
            Round(
                index=i,
                start=2 * i,
                drafted=(1, 2),
                sent=2,
                accepted=1,
                closing=3,
                draft_seconds=0.004,
                verify_seconds=verify,
            )
        )
    words = account(trace.stats)
    assert words.startswith(begins)
    assert words.endswith("93 % of it verifying" if verify > 0.02 else "1.90 plain ones")

"""In whoever's names: the same accounts."""

import pytest
from hypothesis import given

from specviz.trace import Baseline, Fate, Header, ModelInfo, Round, Summary, Trace
from specviz.trace.dialects import DIALECTS, expected_tokens, metrics, values, words
from specviz.trace.events import Reported
from tests.trace.strategies import traces


def counts(trace):
    """Fates and drafts, counted one by one."""
    fates = [fate for round in trace.rounds for fate in round.fates]
    return {fate: fates.count(fate) for fate in Fate} | {
        "drafts": sum(round.sent > 0 for round in trace.rounds),
        "accepting": sum(round.accepted > 0 for round in trace.rounds),
        "refusing": sum(round.refused for round in trace.rounds),
    }


@given(traces())
def test_lm_studios_account(trace):
    told, n = metrics(trace.stats, "lmstudio"), counts(trace)
    kinds = {kind: told[f"{kind}_draft_tokens_count"] for kind in ("total", "accepted", "rejected", "ignored")}
    assert kinds == {
        "total": sum(n[fate] for fate in Fate),
        "accepted": n[Fate.ACCEPTED],
        "rejected": n[Fate.REFUSED] + n[Fate.DISCARDED],
        "ignored": n[Fate.UNSENT] + n[Fate.PAST_END],
    }
    assert told["stop_reason"] == (None if trace.summary is None else str(trace.summary.stop_reason))


@given(traces())
def test_vllms_account(trace):
    told, n = metrics(trace.stats, "vllm"), counts(trace)
    if not trace.rounds:
        assert told["num_drafts"] is None
        return
    drafts, accepted = told["num_drafts"], told["num_accepted_tokens"]
    assert (drafts, accepted) == (n["drafts"], n[Fate.ACCEPTED])
    assert told["num_draft_tokens"] == sum(n[fate] for fate in Fate)
    per_position = told["num_accepted_tokens_per_pos"] or []
    assert sum(per_position) == accepted
    assert (told["per_position"] or []) == pytest.approx([count / drafts for count in per_position])
    assert told["mean_acceptance_length"] == (pytest.approx(1 + accepted / drafts) if drafts else None)


@given(traces())
def test_llamacpps_account(trace):
    told, n = metrics(trace.stats, "llamacpp"), counts(trace)
    if not trace.rounds:
        assert told["calls"] is None
        return
    sent = sum(round.sent for round in trace.rounds)
    assert (told["calls"], told["gen_drafts"], told["acc_drafts"]) == (len(trace.rounds), n["drafts"], n["accepting"])
    assert (told["gen_tokens"], told["acc_tokens"]) == (told["n_drafted"], told["n_accept"]) == (sent, n[Fate.ACCEPTED])
    assert told["draft_acceptance"] == ((n[Fate.ACCEPTED], sent) if sent else None)
    assert told["accept"] == (pytest.approx(n[Fate.ACCEPTED] / sent) if sent else None)


@given(traces())
def test_the_textbooks_account(trace):
    told, n = metrics(trace.stats, "textbook"), counts(trace)
    compared = n[Fate.ACCEPTED] + n["refusing"]
    assert told["alpha"] == (pytest.approx(n[Fate.ACCEPTED] / compared) if compared else None)
    if n["drafts"]:
        sent = sum(round.sent for round in trace.rounds)
        assert told["gamma"] == pytest.approx(sent / n["drafts"])
        assert told["tau"] == pytest.approx(1 + n[Fate.ACCEPTED] / n["drafts"])


@given(traces())
def test_all_of_it_has_words(trace):
    told, named = values(trace.stats), words()
    assert told.keys() == named.keys() == DIALECTS.keys()
    for name, rows in named.items():
        assert len(told[name]) == len(rows) == len({row["key"] for row in rows})
        assert all(row["label"] and row["help"] for row in rows)


def test_they_are_written_as_their_owners_write_them():
    trace = Trace(Header(main=ModelInfo(name="m"), draft=ModelInfo(name="d")))
    trace.add(Baseline(start=0, n_tokens=10, seconds=1.0, time=0.0))
    times = {"draft_seconds": 0.2, "verify_seconds": 0.3}
    trace.add(Round(index=0, start=0, drafted=(1, 2), sent=2, accepted=2, closing=5, **times))
    trace.add(Round(index=1, start=3, drafted=(1, 2, 3), sent=2, accepted=0, closing=5, **times))
    told = {
        name: dict(zip(metrics(trace.stats, name), rows, strict=True)) for name, rows in values(trace.stats).items()
    }
    assert told["lmstudio"]["tokens_per_second"] == "4.00" and told["lmstudio"]["draft_model"] == "d"
    assert told["vllm"]["mean_acceptance_length"] == "2.00"
    assert told["vllm"]["per_position"] == "0.500, 0.500"
    assert told["vllm"]["draft_acceptance_rate"] == "40.0%"
    assert told["llamacpp"]["draft_acceptance"] == "0.50000 (2 accepted / 4 generated)"
    assert told["llamacpp"]["accept"] == "50.000%"
    assert told["textbook"]["alpha"] == "0.667" and told["textbook"]["gamma"] == "2.00"
    assert told["textbook"]["c"] == "0.800", "0.4 s for 5 drafted tokens, 0.1 s for a plain one"
    assert told["textbook"]["expected_tokens"] == "2.11"
    assert told["textbook"]["speedup"] == "0.40×"


def test_the_papers_expectation():
    assert [expected_tokens(alpha, 3) for alpha in (0.0, 0.5, 1.0)] == [1, 1.875, 4]


def test_what_a_server_did_not_tell_is_not_counted():
    trace = Trace(Header(main=ModelInfo(name="m"), drafter="remote"))
    trace.add(Round(index=0, start=0, closing=5, verify_seconds=0.5))
    trace.add(Summary(stop_reason="eosFound", reported=Reported(accepted=3, rejected=2, ignored=1)))
    vllm, llamacpp = metrics(trace.stats, "vllm"), metrics(trace.stats, "llamacpp")
    assert (vllm["num_draft_tokens"], vllm["num_drafts"]) == (6, None)
    assert llamacpp["calls"] is llamacpp["acc_drafts"] is None

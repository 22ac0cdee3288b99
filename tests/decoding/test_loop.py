"""The loop on toy models: lossless, complete accounts, right endings."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.decoding import NoDrafter, check_settings, decode, policy_of
from specviz.trace import Baseline, Fate, Header, ModelInfo, Provenance, Round, StopReason, Summary, Trace
from tests.toy import END, ToyDrafter, ToyMain


def run(main, drafter, prompt=(1,), **asked):
    trace = Trace(Header(main=ModelInfo(name="toy"), settings=check_settings(**asked)))
    asked = trace.header.settings
    for event in decode(main, drafter, list(prompt), asked, policy_of(asked), stopped=main.stopped):
        trace.add(event)
    return trace


@st.composite
def tables(draw, n=6):
    seed = draw(st.integers(0, 2**32 - 1))
    similarity = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(seed)
    main = rng.dirichlet(np.full(n, 0.3), size=n)
    draft = similarity * main + (1 - similarity) * rng.dirichlet(np.full(n, 0.3), size=n)
    return main, draft


@given(tables(), st.integers(0, 9), st.sampled_from([0.0, 0.4, 0.8, 1.0]), st.integers(1, 60), st.booleans())
def test_greedy_output_equals_plain_decoding(pair, k, p_min, max_tokens, detail):
    main, draft = pair
    plain = run(ToyMain(main), NoDrafter(), max_tokens=max_tokens)
    drafted = run(
        ToyMain(main), ToyDrafter(draft), max_tokens=max_tokens, num_draft_tokens=k, p_min=p_min, detail=detail
    )
    assert drafted.token_ids == plain.token_ids
    assert drafted.summary.stop_reason is plain.summary.stop_reason


@given(tables(), st.integers(1, 9), st.sampled_from([0.0, 0.4, 0.8]), st.integers(1, 60))
def test_every_drafted_token_has_one_fate_and_every_output_token_a_provenance(pair, k, p_min, max_tokens):
    main, draft = pair
    trace = run(ToyMain(main), ToyDrafter(draft), max_tokens=max_tokens, num_draft_tokens=k, p_min=p_min)
    fates = [fate for round in trace.rounds for fate in round.fates]
    drafted = sum(len(round.drafted) for round in trace.rounds)
    stats = trace.stats
    assert len(fates) == drafted == stats.total_draft_tokens_count
    assert stats.total_draft_tokens_count == (
        stats.accepted_draft_tokens_count + stats.rejected_draft_tokens_count + stats.ignored_draft_tokens_count
    )
    assert stats.rejected_draft_tokens_count == fates.count(Fate.REFUSED) + fates.count(Fate.DISCARDED)
    assert stats.ignored_draft_tokens_count == fates.count(Fate.UNSENT) + fates.count(Fate.PAST_END)
    provenances = [token.provenance for token in trace.tokens]
    assert len(provenances) == len(trace) == stats.output_tokens
    assert provenances.count(Provenance.ACCEPTED) == stats.accepted_draft_tokens_count
    for round in trace.rounds:
        assert round.fates.count(Fate.REFUSED) <= 1
        if round.sent == 0 and round.closing is not None:
            assert round.closing_provenance is Provenance.PLAIN


@given(tables(), st.integers(1, 5))
def test_what_the_trace_says_of_probabilities_is_what_the_models_say(pair, k):
    main, draft = pair
    trace = run(ToyMain(main), ToyDrafter(draft), max_tokens=30, num_draft_tokens=k)
    output = [1]
    for round in trace.rounds:
        context = output[-1]
        for i, token in enumerate(round.drafted):
            assert round.q[i] == pytest.approx(draft[context, token])
            assert round.p[i] == pytest.approx(main[context, token])
            if round.rank[i] is not None:
                choice = int(main[context].argmax())
                assert round.rank[i] == 1 + int((draft[context] > draft[context, choice]).sum())
            context = token
        assert all(rank is None for rank in round.rank[round.accepted + round.past_end + 1 :])
        if round.closing is not None:
            before = round.drafted[round.accepted - 1] if round.accepted else output[-1]
            assert round.closing_p == pytest.approx(main[before, round.closing])
        output.extend(round.emitted)


def chain(*path, n=6):
    """A table under which the tokens of `path` follow each other."""
    table = np.full((n, n), 0.01)
    for a, b in itertools.pairwise(path):
        table[a, b] = 1.0
    return table / table.sum(axis=1, keepdims=True)


def test_an_end_token_inside_the_accepted_part_leaves_no_closing_token():
    table = chain(1, 2, END, 3, 4)
    trace = run(ToyMain(table), ToyDrafter(table), num_draft_tokens=4)
    (round,) = trace.rounds
    assert round.emitted == (2, END)
    assert round.closing is None and round.closing_provenance is None and round.closing_p is None
    assert round.fates == (Fate.ACCEPTED, Fate.ACCEPTED, Fate.PAST_END, Fate.PAST_END)
    assert trace.summary.stop_reason is StopReason.EOS_FOUND
    assert trace.text == "b"


def test_past_the_end_a_refusal_is_still_a_refusal():
    trace = run(ToyMain(chain(1, 2, END, 3)), ToyDrafter(chain(1, 2, END, 4, 5)), num_draft_tokens=4)
    assert trace.rounds[0].fates == (Fate.ACCEPTED, Fate.ACCEPTED, Fate.REFUSED, Fate.DISCARDED)
    assert trace.rounds[0].closing is None


def test_a_stop_string_ends_the_text_before_it():
    table = chain(1, 2, 3, 4, 5, 1)
    trace = run(ToyMain(table), ToyDrafter(table), num_draft_tokens=2, stop=("de",))
    assert trace.summary.stop_reason is StopReason.STOP_STRING_FOUND
    assert trace.text == "bc"
    assert trace.token_ids == [2, 3, 4, 5]


def test_the_token_limit_is_met_exactly_without_drafting_past_it():
    table = chain(1, 2, 3, 4, 5, 1)
    trace = run(ToyMain(table), ToyDrafter(table), num_draft_tokens=4, max_tokens=7)
    assert len(trace) == 7
    assert trace.stats.past_end == 0
    assert trace.summary.stop_reason is StopReason.MAX_TOKENS


@pytest.mark.parametrize("max_tokens", [None, 10, 11, 500])
def test_a_full_context_ends_the_generation(max_tokens):
    table = chain(1, 2, 3, 4, 5, 1)
    trace = run(ToyMain(table, n_ctx=12), ToyDrafter(table), prompt=(1, 1), num_draft_tokens=4, max_tokens=max_tokens)
    assert len(trace) == 10
    expected = StopReason.MAX_TOKENS if max_tokens == 10 else StopReason.CONTEXT_LENGTH
    assert trace.summary.stop_reason is expected


@settings(deadline=None)
@given(st.integers(1, 12))
def test_a_stop_keeps_what_was_decided_and_accounts_for_the_draft_in_hand(passes):
    table = chain(1, 2, 3, 4, 5, 1)
    main = ToyMain(table)
    main.stopped = lambda: main.passes >= passes
    trace = run(main, ToyDrafter(table), num_draft_tokens=3)
    assert trace.summary.stop_reason is StopReason.USER_STOPPED
    assert len(trace) == 4 * passes
    last = trace.rounds[-1]
    assert last.emitted == () and last.fates == (Fate.UNSENT,) * 3
    assert trace.stats.total_draft_tokens_count == 3 * (passes + 1)


def test_the_baseline_is_measured_in_the_run_and_leaves_no_trace_in_the_output():
    table = chain(1, 2, 3, 4, 5, 1)
    plain = run(ToyMain(table), NoDrafter(), max_tokens=40)
    events = []
    main = ToyMain(table)
    asked = check_settings(max_tokens=40, num_draft_tokens=3, baseline_tokens=5, baseline_every=16)
    for event in decode(main, ToyDrafter(table), [1], asked, policy_of(asked)):
        events.append(event)
    stretches = [event for event in events if isinstance(event, Baseline)]
    output = [id for event in events if isinstance(event, Round) for id in event.emitted]
    assert output == plain.token_ids
    assert [stretch.start for stretch in stretches] == [0, 16, 32]
    assert all(stretch.n_tokens == 5 for stretch in stretches)
    rounds = sum(isinstance(event, Round) for event in events)
    assert main.passes == rounds + 15
    assert isinstance(events[-1], Summary)


def test_times_leave_nothing_out():
    table = chain(1, 2, 3, 4, 5, 1)
    trace = run(ToyMain(table), ToyDrafter(table), max_tokens=200)
    rounds = list(trace.rounds)
    for one, following in itertools.pairwise(rounds):
        assert following.time == pytest.approx(one.time + one.seconds, abs=1e-6)

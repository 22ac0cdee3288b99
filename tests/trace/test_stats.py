"""The rates, on a hand-made history whose figures can be counted on fingers."""

import pytest

from specviz.trace import Baseline, Curves, Header, ModelInfo, Round, Trace
from specviz.trace.curves import COLUMNS

LMSTUDIO = (
    "tokens_per_second",
    "time_to_first_token",
    "generation_time",
    "stop_reason",
    "draft_model",
    "total_draft_tokens_count",
    "accepted_draft_tokens_count",
    "rejected_draft_tokens_count",
    "ignored_draft_tokens_count",
)


@pytest.fixture
def trace():
    trace = Trace(Header(main=ModelInfo(name="m"), draft=ModelInfo(name="d")))
    trace.add(Baseline(start=0, n_tokens=10, seconds=1.0, time=0.0))
    times = {"draft_seconds": 0.1, "verify_seconds": 0.3, "other_seconds": 0.1}
    rows = [
        {"drafted": (1, 2, 3, 4), "sent": 4, "accepted": 4, "closing": 5},  # bonus
        {"drafted": (1, 2, 3, 4), "sent": 4, "accepted": 1, "closing": 5},  # correction, two discarded
        {"drafted": (1, 2, 3), "sent": 2, "accepted": 0, "closing": 5},  # correction, one discarded, one unsent
        {"drafted": (1,), "sent": 0, "accepted": 0, "closing": 5},  # plain after a cutoff
        {"drafted": (1, 2, 3), "sent": 3, "accepted": 2, "past_end": 1},  # ended inside
    ]
    for index, row in enumerate(rows):
        trace.add(Round(index=index, start=len(trace), **row, **times))
    return trace


def test_counts_and_rates(trace):
    stats = trace.stats
    assert stats.total_draft_tokens_count == 15
    assert stats.accepted_draft_tokens_count == 7
    assert stats.rejected_draft_tokens_count == 2 + 3
    assert stats.ignored_draft_tokens_count == 2 + 1
    assert stats.output_tokens == 11
    assert stats.draft_acceptance_rate == pytest.approx(7 / 15)
    assert stats.mean_acceptance_length == pytest.approx(1 + 7 / 4)
    assert stats.alpha == pytest.approx(7 / (7 + 2))
    assert stats.tokens_per_round == pytest.approx(11 / 5)
    assert stats.generation_time == pytest.approx(2.5)
    assert stats.tokens_per_second == pytest.approx(11 / 2.5)
    assert stats.baseline_tokens_per_second == pytest.approx(10)
    assert stats.speedup == pytest.approx(0.44)


def test_rates_by_position_carry_their_denominators(trace):
    rates = trace.stats.per_position
    assert [(rate.accepted, rate.rounds, rate.compared) for rate in rates] == [
        (3, 4, 4),
        (2, 4, 3),
        (1, 4, 1),
        (1, 4, 1),
    ]
    assert rates[1].marginal == pytest.approx(2 / 4)
    assert rates[1].conditional == pytest.approx(2 / 3)


def test_lm_studio_keys_come_first_and_are_spelt_so(trace):
    assert tuple(trace.stats.to_dict())[:9] == LMSTUDIO


def test_nothing_measured_gives_none_and_no_division_by_zero():
    stats = Trace(Header(main=ModelInfo(name="m"))).stats
    assert stats.tokens_per_second is stats.draft_acceptance_rate is stats.alpha is stats.speedup is None
    assert stats.draft_model is None


def test_curves_roll_over_sums_and_follow_the_latest_baseline(trace):
    curves = Curves(window=2)
    curves.add_baseline(trace.baselines[0])
    rows = [dict(zip(COLUMNS, curves.add(round), strict=True)) for round in trace.rounds]
    assert [row["x"] for row in rows] == [5, 7, 8, 9, 11]
    assert rows[0]["acceptance_rolling"] == pytest.approx(1.0)
    assert rows[2]["acceptance_rolling"] == pytest.approx(1 / 7)
    assert rows[-1]["acceptance_cumulative"] == pytest.approx(7 / 15)
    assert rows[-1]["tps_rolling"] == pytest.approx(3 / 1.0)
    assert rows[-1]["speedup_rolling"] == pytest.approx(0.3)
    assert rows[-1]["speedup_cumulative"] == pytest.approx(trace.stats.speedup)

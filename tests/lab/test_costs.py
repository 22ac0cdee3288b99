"""Costs are found again in rounds that were made of them, and in a real pair's."""

import numpy as np
import pytest

import specviz as sv
from specviz.lab.costs import Costs, Work
from specviz.lab.diagnosis import diagnosis, textbook
from specviz.lab.replay import replay
from tests.greedy import PRESETS

SWITCH = 3e-3
DRAFT, VERIFY, OTHER = (lambda n: 1e-3 * n), (lambda n: 10e-3 + 2e-3 * n), (lambda n: 1e-4)
PER_DRAFT, PER_PASS, PER_TOKEN = 1e-6, 9e-6, 2e-6


def made_up(noise=0.0, turns=12, longest=8, seed=0):
    rng = np.random.default_rng(seed)
    lengths = np.array([n for _ in range(turns) for n in np.repeat(rng.permutation(longest + 1), 2)])
    switched = np.diff(lengths, prepend=lengths[0]) != 0
    depth = np.linspace(20, 1500, len(lengths))
    jitter = np.exp(rng.normal(0, noise, len(lengths)))
    return Costs(
        lengths,
        (DRAFT(lengths) + PER_DRAFT * lengths * depth) * jitter,
        (VERIFY(lengths) + (PER_PASS + PER_TOKEN * (lengths + 1)) * depth + SWITCH * switched) * jitter,
        np.full(len(lengths), OTHER(0)) * jitter,
        depth,
        np.arange(len(lengths)) // (2 * (longest + 1)),
        switched,
    )


def test_costs_are_found_again():
    curves = made_up().curves
    n = np.arange(9)
    assert curves.draft == pytest.approx(DRAFT(n), abs=2e-5)
    assert curves.verify == pytest.approx(VERIFY(n), rel=1e-3)
    assert curves.draft_slope == pytest.approx(PER_DRAFT, rel=0.01)
    assert curves.pass_slope == pytest.approx(PER_PASS, rel=0.01)
    assert curves.verify_slope == pytest.approx(PER_TOKEN, rel=0.01)
    assert curves.switch == pytest.approx(SWITCH, rel=0.01)
    assert curves.per_drafted == pytest.approx(1e-3, rel=0.01)


def test_rounds_take_what_their_parts_take():
    curves = made_up().curves
    matches = [True, True, False, True, False, False, True]
    one = replay(matches, 3, limit=len(matches))
    assert one.accepted == (2, 1, 0, 0) and one.drafted == (3, 3, 1, 0)
    starts = [0, 3, 5, 6]
    expected = sum(
        DRAFT(n) + VERIFY(n) + OTHER(n) + (PER_DRAFT * n + PER_PASS + PER_TOKEN * (n + 1)) * (50 + at)
        for n, at in zip(one.drafted, starts, strict=True)
    )
    expected += 2 * SWITCH
    assert curves.seconds(Work.of([one], [50])) == pytest.approx(expected, rel=1e-3)
    assert curves.seconds(Work.of([one, one], [50, 50])) == pytest.approx(2 * expected, rel=1e-3)
    with pytest.raises(ValueError, match="drafts of up to 8"):
        curves.seconds(Work.of([replay([True] * 30, 9)], [5]))


def test_the_band_is_as_wide_as_the_noise():
    work = Work.of([replay([True, False] * 40, 4, limit=80)], [50])
    for noise, most in ((0.0, 1e-3), (0.1, 0.5)):
        costs = made_up(noise)
        seconds = [curves.seconds(work) for curves in costs.resampled(100)]
        spread = np.ptp(seconds) / np.mean(seconds)
        assert spread < most
        assert min(seconds) * (1 - 1e-3) <= costs.curves.seconds(work) <= max(seconds) * (1 + 1e-3)
    assert spread > 0.01


def test_a_length_that_is_missing_is_named():
    with pytest.raises(ValueError, match="no round drafted 1 tokens"):
        Costs([0, 2], *(np.ones(2) for _ in range(4)), [0, 0])


def test_the_textbook_formula():
    assert textbook(0.0, 4, 0.1) == pytest.approx(1 / 1.4)
    assert textbook(1.0, 4, 0.0) == 5
    assert textbook(0.5, 2, 0.0) == pytest.approx(1.75)


@pytest.fixture(scope="module")
def measured(quick_pair):
    return sv.measure_costs(quick_pair, longest=6, turns=3)


def test_a_real_pairs_costs_are_measured(measured, quick_pair):
    assert measured.longest == 6
    curves = measured.curves
    assert (curves.verify > 0).all() and curves.draft[0] < curves.draft[6]
    assert "a drafted token" in repr(measured)
    with sv.load("22m", None) as plain, pytest.raises(ValueError, match="with a draft"):
        sv.measure_costs(plain)


def test_every_turn_is_whole_so_that_each_can_stand_for_all(quick_pair):
    costs = sv.measure_costs(quick_pair, ["Count to five."], longest=2, turns=2)
    assert all(np.isfinite(curves.verify).all() for curves in costs.resampled())


def test_predictions_and_their_cause(measured, quick_pair):
    main, draft = quick_pair.spec.main.path, quick_pair.spec.draft.path
    audited = sv.audit(main, [draft], PRESETS, max_tokens=32)
    name = audited.drafts[0]
    surface = audited.surface(range(7), [0.0], costs={name: measured})
    assert (surface.low <= surface.speedup).all() and (surface.speedup <= surface.high).all()
    assert surface.speedup[0] == 1.0 and (surface.tokens_per_second > 0).all()
    found = diagnosis(audited, name, measured, 4)
    assert found.speedup == pytest.approx(surface.speedup[4])
    assert min(found.free_draft, found.all_accepted) > found.speedup
    assert found.cause in ("draft", "acceptance", "verify")
    assert getattr(
        found, {"draft": "free_draft", "acceptance": "all_accepted", "verify": "flat_verify"}[found.cause]
    ) == max(found.free_draft, found.all_accepted, found.flat_verify)
    assert f"{found.speedup:.2f}x predicted at draft length 4" in str(found)
    assert diagnosis(audited, name, measured, 4, memory="all is full").cause == "memory"


def test_diagnose_does_it_all(quick_pair):
    found = sv.diagnose(quick_pair, "Count to five.", num_draft_tokens=2, max_tokens=16)
    assert 0 < found.c < 2 and found.speedup > 0 and found.num_draft_tokens == 2

"""The automatic draft length against what it could have known: costs that are given, acceptance that is drawn."""

import numpy as np
import pytest

from specviz.decoding import Auto, Experience, Feedback, Look, check_settings, decode, policy_of
from specviz.decoding.auto import CALIBRATED, CENTRES, LONGEST, SWEEP_SECONDS, SWEEPS, PassCosts
from specviz.trace import Round
from tests.toy import ToyDrafter, ToyMain

DRAFT_SECONDS = 0.05
"""Of a pass of the main model."""


class World:
    """A pair on an endless text: the confidence at each position is given, tokens are accepted as often as it says.

    `calibration` scales the acceptance: 0 is a draft that is sure of itself and always wrong. `sticky` is how likely
    the next position is as hard as this one.
    """

    def __init__(self, slope, calibration=1.0, sticky=0.8, length=12_000):
        self.slope, self.calibration = slope, calibration
        rng = np.random.default_rng(7)
        self.confidence = rng.choice([0.3, 0.6, 0.9, 0.97], length)
        for i in np.flatnonzero(rng.random(length) < sticky):
            self.confidence[i] = self.confidence[i - 1]
        self.luck = rng.random(length)
        self.position = 0

    def cost(self, width):
        return 1 + self.slope * (width - 1)

    def experience(self):
        made = Experience()
        made.sweeps_left = 0
        made.verify.calibrate([(width, self.cost(width)) for width in CALIBRATED])
        return made

    def run(self, policy, n_tokens):
        """Return tokens per second (a plain pass takes one) and sent tokens per round."""
        start, seconds, sent, rounds = self.position, 0.0, 0, 0
        while self.position < start + n_tokens:
            at = self.position
            kept, drafted = 0, 0
            while not policy.more(kept):
                drafted += 1
                if policy.cutoff(kept, Look(float(self.confidence[at + drafted - 1]))):
                    break
                kept += 1
            n_send = policy.send(kept)
            accepted = 0
            while accepted < n_send and self.luck[at + accepted] < self.calibration * self.confidence[at + accepted]:
                accepted += 1
            round = Round(
                index=rounds,
                start=at,
                drafted=(1,) * drafted,
                sent=n_send,
                accepted=accepted,
                closing=1,
                draft_seconds=DRAFT_SECONDS * drafted,
                verify_seconds=self.cost(1 + n_send),
            )
            compared = min(accepted + 1, n_send) or min(1, drafted)
            taken = self.luck[at : at + compared] < self.calibration * self.confidence[at : at + compared]
            policy.learn(Feedback(round, tuple(taken.astype(float).tolist())))
            self.position += accepted + 1
            seconds += round.seconds
            sent += n_send
            rounds += 1
        return (self.position - start) / seconds, sent / rounds


@pytest.mark.parametrize("slope", [0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("sticky", [0.0, 0.9])
def test_it_reaches_the_best_of_all_lengths_and_cutoffs(slope, sticky):
    best = max(
        World(slope, sticky=sticky).run(policy_of(check_settings(num_draft_tokens=k, p_min=p_min)), 8000)[0]
        for k in (0, 1, 2, 3, 5, 8)
        for p_min in (0.0, 0.4, 0.7, 0.95)
    )
    world = World(slope, sticky=sticky)
    rate, _ = world.run(Auto(world.experience()), 8000)
    assert rate >= 0.97 * best


@pytest.mark.parametrize("slope", [0.1, 0.5, 1.0, 1.7])
def test_a_draft_that_is_always_wrong_costs_next_to_nothing(slope):
    world = World(slope, calibration=0.0)
    rate, _ = world.run(Auto(world.experience()), 150)
    assert rate > 0.95
    rate, sent = world.run(Auto(world.experience()), 2000)
    assert rate > 0.98 and sent < 0.05


def test_where_verification_is_free_it_drafts_long_and_where_it_is_dear_not_at_all():
    cheap, dear = World(0.01), World(1.5)
    assert cheap.run(Auto(cheap.experience()), 500)[1] > 4
    assert dear.run(Auto(dear.experience()), 500)[1] == 0


def test_it_comes_back_when_the_text_becomes_easy():
    world = World(0.5, calibration=0.2, sticky=0.9)
    policy = Auto(world.experience())
    assert world.run(policy, 300)[1] < 0.1
    world.calibration = 1.0
    world.run(policy, 1500)
    assert world.run(policy, 300)[1] > 0.5


def test_pass_costs_interpolate_and_forgive_one_disturbed_measurement():
    costs = PassCosts()
    assert not costs.known
    costs.calibrate([(1, 1.0), (1, 7.0), (1, 1.0), (2, 2.0), (5, 90.0), (9, 4.0)])
    assert costs.known
    assert costs.curve(9) == pytest.approx([1, 2, *np.interp(range(3, 10), [2, 5, 9], [2, 4, 4])])


def test_a_disturbed_calibration_is_outvoted_by_the_next_one():
    costs = PassCosts()
    for disturbed in (2.0, 1.0):
        costs.calibrate([(width, width * (disturbed if width > 1 else 1.0)) for width in CALIBRATED])
    assert costs.curve(9) == pytest.approx(np.arange(1, 10))
    costs.calibrate([(width, 3.0 * width) for width in CALIBRATED])
    assert costs.curve(9) == pytest.approx(3 * np.arange(1, 10)), "and a slower machine is slower at all widths"


def test_the_shape_follows_the_rounds_that_run():
    costs = PassCosts()
    costs.calibrate([(width, float(width)) for width in CALIBRATED])
    for _ in range(20):
        costs.add(1, 1.0)
        costs.add(5, 2.0)
    assert costs.curve(5)[[0, 4]] == pytest.approx([1, 2], rel=0.2)


@pytest.mark.parametrize(("slowness", "sweeps"), [(0.001, SWEEPS), (SWEEP_SECONDS, 1)])
def test_the_first_texts_begin_with_a_calibration_only_the_first_where_it_takes_long(slowness, sweeps):
    experience, measured = Experience(), []
    for _ in range(SWEEPS + 1):
        policy = Auto(experience)
        while width := policy.unmeasured():
            measured.append(width)
            policy.measured(width, slowness * width)
    assert measured == list(CALIBRATED) * sweeps


def test_where_even_a_perfect_draft_would_not_pay_nothing_is_drafted():
    world = World(1.2)
    policy = Auto(world.experience())
    assert not any(policy.more(0) == "" or world.run(policy, 1)[1] for _ in range(300))


def test_a_busy_hour_makes_all_widths_dearer():
    costs = PassCosts()
    costs.calibrate([(width, float(width)) for width in CALIBRATED])
    for _ in range(60):
        costs.add(1, 3.0)
    assert costs.curve(9) == pytest.approx(3 * np.arange(1, 10), rel=0.01)


def test_acceptance_begins_in_doubt_and_becomes_what_was_seen():
    experience = Experience()
    assert experience.acceptance() == pytest.approx(CENTRES / 2)
    for _ in range(300):
        experience.learn_outcome(10, 0.4)
    assert experience.acceptance()[10] == pytest.approx(0.4, abs=0.02)
    assert experience.acceptance()[8] < 0.6, "distrust spreads to classes that were not seen"


def test_costs_are_measured_before_the_first_round_and_leave_no_trace_in_the_output():
    rng = np.random.default_rng(3)
    table = rng.dirichlet(np.full(6, 0.4), size=6)
    table[:, 0] = 0
    experience = Experience()
    asked = check_settings(max_tokens=30, num_draft_tokens="auto")
    outputs, summaries = [], []
    for _ in range(SWEEPS + 1):
        main = ToyMain(table)
        *events, summary = decode(main, ToyDrafter(table), [1], asked, policy_of(asked, experience))
        outputs.append([id for event in events if isinstance(event, Round) for id in event.emitted])
        summaries.append(summary)
        n_rounds = sum(isinstance(event, Round) for event in events)
        assert main.passes - n_rounds == (len(CALIBRATED) if len(outputs) <= SWEEPS else 0)
    plain = check_settings(max_tokens=30, num_draft_tokens=0)
    events = decode(ToyMain(table), ToyDrafter(table), [1], plain, policy_of(plain))
    assert outputs[0] == outputs[-1] == [id for event in events if isinstance(event, Round) for id in event.emitted]
    assert [summary.calibration_seconds > 0 for summary in summaries] == [True] * SWEEPS + [False]


def test_a_context_too_short_to_measure_in_is_no_error():
    table = np.full((4, 4), 0.25)
    asked = check_settings(max_tokens=None, num_draft_tokens="auto")
    events = list(decode(ToyMain(table, n_ctx=6), ToyDrafter(table), [1], asked, policy_of(asked)))
    assert sum(len(event.emitted) for event in events if isinstance(event, Round)) >= 1


def test_every_round_says_what_it_was_decided_on():
    rng = np.random.default_rng(4)
    table = rng.dirichlet(np.full(6, 0.2), size=6)
    table[:, 0] = 0
    asked = check_settings(max_tokens=60, num_draft_tokens="auto")
    decisions = [
        (event.decision, event)
        for event in decode(ToyMain(table), ToyDrafter(table), [1], asked, policy_of(asked))
        if isinstance(event, Round) and event.decision is not None
    ]
    assert decisions
    for decision, round in decisions:
        assert decision.ended in ("auto", "probe", "length", "room", "end")
        assert round.sent <= decision.kept <= LONGEST
        assert len(decision.auto.verify_seconds) == decision.kept + 1
        assert len(decision.auto.acceptance) == len(decision.confidence) == len(round.drafted)
        assert decision.auto.tokens_per_second > 0

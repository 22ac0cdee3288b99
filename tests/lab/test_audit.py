"""An audit says what real runs do, on the real pair."""

import pytest

import specviz as sv
from specviz.models import demo_drafts
from tests.greedy import PRESETS

SETTINGS = [(1, 0.0), (4, 0.0), (8, 0.0), (8, 0.5), (5, 0.85)]


@pytest.fixture(scope="module")
def audited():
    return sv.audit(prompts=PRESETS, max_tokens=48, thorough=True, distributions=True)


def test_accepted_tokens_and_rounds_of_every_draft_are_exact(audited):
    assert len(audited.drafts) == len(demo_drafts()) == 3
    for i, name in enumerate(audited.drafts):
        with sv.load(draft=name) as pair:
            for length, p_min in SETTINGS:
                asked = {"num_draft_tokens": length, "p_min": p_min, "detail": False}
                real = pair.generate(PRESETS[i], max_tokens=48, **asked)
                assert real.token_ids == audited.traces[i].token_ids
                predicted = audited.replay(name, i, length, p_min)
                assert predicted.accepted == tuple(round.accepted for round in real.rounds), (name, length, p_min)
                assert predicted.exact
                assert predicted.sent == tuple(round.sent for round in real.rounds)
                assert predicted.drafted == tuple(len(round.drafted) for round in real.rounds)


def test_probabilities_are_those_that_a_run_records(audited):
    with sv.load(draft="17m") as pair:
        real = pair.generate(PRESETS[0], max_tokens=48, num_draft_tokens=6)
    name = next(name for name in audited.drafts if "17m" in name)
    compared = 0
    for round in real.rounds:
        for n in range(round.accepted):
            at = round.start + n
            assert audited.confidence(name, 0)[at] == pytest.approx(round.q[n], rel=1e-3)
            assert audited.probability(name, 0)[at] == pytest.approx(round.q[n], rel=1e-3)
            compared += 1
    assert compared > 10


def test_the_surface_has_every_setting_once(audited):
    surface = audited.surface(lengths=range(4), cutoffs=(0.0, 0.5))
    assert len(surface) == len(surface.drop_duplicates(["draft", "num_draft_tokens", "p_min"])) == 3 * 4 * 2
    assert (surface.accepted + surface.rounds == surface.tokens).all()
    plain = surface[surface.num_draft_tokens == 0]
    assert (plain.rounds == plain.tokens).all()
    assert (surface.groupby("draft").tokens_per_round.max() > 1.2).all()


def test_n_min_is_exact_with_the_continuations_after_misses(audited):
    name = next(name for name in audited.drafts if "12m" in name)
    with sv.load(draft="12m") as pair:
        for i, prompt in enumerate(PRESETS):
            real = pair.generate(prompt, max_tokens=48, num_draft_tokens=8, p_min=0.5, n_min=3, detail=False)
            predicted = audited.replay(name, i, 8, 0.5, 3)
            assert predicted.sent == tuple(round.sent for round in real.rounds)
            assert predicted.accepted == tuple(round.accepted for round in real.rounds)


def test_distributions_are_compared_along_the_answers(audited):
    for name in audited.drafts:
        for i, trace in enumerate(audited.traces):
            found = audited.overlap(name, i)
            assert found.q == pytest.approx(audited.probability(name, i), rel=1e-3, abs=1e-6)
            assert found.p == pytest.approx([token.p for token in trace.tokens], rel=1e-3)
            assert (found.product <= found.greedy.clip(found.common) + 1e-6).all()
            assert (found.common <= 1).all() and (found.greedy <= found.ceiling + 1e-9).all()
            assert ((found.rank == 1) == audited.matches(name, i)).mean() > 0.99, "equal probabilities apart"
    expected = audited.expected([0, 4])
    assert set(expected.rule) == {"match", "rejection", "match, sampled draft", "ceiling"}
    assert (expected[expected.num_draft_tokens == 0].tokens_per_round == 1).all()
    of = expected[expected.num_draft_tokens == 4].pivot(index="draft", columns="rule", values="tokens_per_round")
    assert (of.ceiling >= of.match).all() and (of.rejection > of["match, sampled draft"]).all()


def test_what_sampling_is_expected_to_accept_is_what_runs_accept():
    audited = sv.audit("auto", ["22m"], PRESETS, max_tokens=64, temperature=1.0)
    assert audited.sampled
    with pytest.raises(ValueError, match="sampled"):
        audited.surface()
    expected = audited.expected([3]).set_index("rule").acceptance
    with sv.load(draft="22m") as pair:
        for rule in ("match", "rejection"):
            accepted = refused = 0
            for seed, prompt in enumerate(PRESETS):
                asked = {"num_draft_tokens": 3, "temperature": 1.0, "rule": rule, "seed": seed, "detail": False}
                tally = pair.generate(prompt, max_tokens=64, **asked).tally
                accepted, refused = accepted + tally.accepted, refused + tally.rejecting_rounds
            alpha = accepted / (accepted + refused)
            assert alpha == pytest.approx(expected[rule], abs=0.15), "an estimate: other texts, some 200 tokens"
    with pytest.raises(ValueError, match="distributions=True"):
        sv.audit("auto", ["22m"], traces=audited.traces[:1]).expected()


def test_traces_are_taken_as_they_are(audited):
    again = sv.audit(drafts=["12m"], traces=audited.traces[:1])
    name = again.drafts[0]
    assert (again.matches(name, 0) == audited.matches(name, 0)).all()


def test_what_cannot_be_audited_is_refused(audited, pair):
    with pytest.raises(ValueError, match="nothing to audit"):
        sv.audit()
    stopped = pair.generate(PRESETS[1], max_tokens=48, stop=audited.traces[1].text[20:24])
    with pytest.raises(ValueError, match="stop string"):
        sv.audit(traces=[stopped])
    with pytest.raises(ValueError, match="is of SmolLM2"):
        sv.audit("22m", ["12m"], traces=audited.traces[:1])
    with pytest.raises(ValueError, match="no draft model"):
        sv.audit(drafts=["ngram"], prompts=["Hello"], max_tokens=4)

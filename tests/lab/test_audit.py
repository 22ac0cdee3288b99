"""An audit says what real runs do, on the real pair."""

import pytest

import specviz as sv
from specviz.models import demo_drafts
from tests.greedy import PRESETS

SETTINGS = [(1, 0.0), (4, 0.0), (8, 0.0), (8, 0.5), (5, 0.85)]


@pytest.fixture(scope="module")
def audited():
    return sv.audit(prompts=PRESETS, max_tokens=64)


def test_accepted_tokens_and_rounds_of_every_draft_are_exact(audited):
    assert len(audited.drafts) == len(demo_drafts()) == 3
    for name in audited.drafts:
        with sv.load(draft=name) as pair:
            for i, prompt in enumerate(PRESETS):
                for length, p_min in SETTINGS:
                    real = pair.generate(prompt, max_tokens=64, num_draft_tokens=length, p_min=p_min, detail=False)
                    assert real.token_ids == audited.traces[i].token_ids
                    predicted = audited.replay(name, i, length, p_min)
                    assert predicted.accepted == tuple(round.accepted for round in real.rounds), (name, length, p_min)


def test_probabilities_are_those_that_a_run_records(audited):
    with sv.load(draft="17m") as pair:
        real = pair.generate(PRESETS[0], max_tokens=64, num_draft_tokens=6)
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


def test_traces_are_taken_as_they_are(audited):
    again = sv.audit(drafts=["12m"], traces=audited.traces[:1])
    name = again.drafts[0]
    assert (again.matches(name, 0) == audited.matches(name, 0)).all()


def test_what_cannot_be_audited_is_refused(audited, pair):
    with pytest.raises(ValueError, match="nothing to audit"):
        sv.audit()
    sampled = pair.generate("Hello", max_tokens=4, temperature=1.0)
    with pytest.raises(ValueError, match="sampled"):
        sv.audit(traces=[sampled])
    with pytest.raises(ValueError, match="is of SmolLM2"):
        sv.audit("22m", ["12m"], traces=audited.traces[:1])
    with pytest.raises(ValueError, match="no draft model"):
        sv.audit(drafts=["ngram"], prompts=["Hello"], max_tokens=4)

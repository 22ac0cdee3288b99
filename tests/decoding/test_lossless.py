"""Whatever is drafted, what is produced has the distribution of plain sampling.

Chi-square tests against the exactly enumerated distribution; each raises a false alarm with probability 1e-7.
"""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from specviz.decoding import (
    Experience,
    FixedLength,
    MinLength,
    ProbabilityCutoff,
    check_settings,
    decode,
    distribution,
    policy_of,
)
from specviz.decoding.auto import CALIBRATED
from specviz.engines.llamacpp.context import Context
from specviz.engines.llamacpp.model import Model
from specviz.engines.llamacpp.sequences import LlamaDrafter, LlamaMain, NativeSampler
from specviz.engines.ngram import NGramDrafter
from specviz.engines.row import Row
from specviz.trace import Round
from tests.tiny import N_VOCAB, write_model
from tests.toy import ToyDrafter, ToyMain

FALSE_ALARM = 1e-7


def check_goodness_of_fit(counts, expected):
    """Compare counts of outcomes with their probabilities; rare outcomes are pooled."""
    n = sum(counts.values())
    assert abs(sum(expected.values()) - 1) < 1e-6
    assert not [outcome for outcome in counts if expected.get(outcome, 0) == 0], "an impossible outcome"
    ranked = sorted(expected, key=expected.get, reverse=True)
    common = [outcome for outcome in ranked if n * expected[outcome] >= 5]
    observed = [counts[outcome] for outcome in common]
    wanted = [n * expected[outcome] for outcome in common]
    rest = n - sum(wanted)
    if rest > 5:
        observed.append(n - sum(observed))
        wanted.append(rest)
    statistic = sum((a - b) ** 2 / b for a, b in zip(observed, wanted, strict=True))
    freedom = max(1, len(wanted) - 1)
    assert chi2.sf(statistic, freedom) > FALSE_ALARM, f"chi-square {statistic:.1f} at {freedom} degrees of freedom"


@st.composite
def toy_pairs(draw, n=5):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    main = rng.dirichlet(np.full(n, draw(st.sampled_from([0.2, 1.0]))), size=n)
    similarity = draw(st.sampled_from([0.0, 0.6, 1.0]))
    draft = similarity * main + (1 - similarity) * rng.dirichlet(np.full(n, 0.5), size=n)
    main[:, 0], draft[:, 0] = 0, 0  # no end token: every answer has the same length
    return main / main.sum(1, keepdims=True), draft / draft.sum(1, keepdims=True)


def test_a_cutoff_that_looks_at_the_drawn_token_would_not_be_lossless():
    """Why the cutoff looks at the draft's favourite: dropping tokens for what they are distorts q."""

    class Tempting(ToyDrafter):
        def draft(self, history, room, policy):
            draft = super().draft(history, room, policy)
            n = next((i for i, q in enumerate(draft.q) if q < 0.5), draft.n_send)
            return replace(draft, n_send=n)

    main = np.array([[0, 0.5, 0.5]] * 3)
    table = np.array([[0, 0.8, 0.2]] * 3)
    share = {}
    for drafter, p_min in ((Tempting, 0.0), (ToyDrafter, 0.5)):
        n_first = 0
        for seed in range(4000):
            asked = check_settings(
                max_tokens=2, num_draft_tokens=1, p_min=p_min, rule="rejection", temperature=1.0, seed=seed
            )
            drafts = drafter(table, np.random.default_rng([seed, 9]))
            events = decode(ToyMain(main, greedy=False), drafts, [1], asked, policy_of(asked))
            n_first += next(event.emitted[0] for event in events if isinstance(event, Round)) == 1
        share[drafter] = n_first / 4000
    assert share[ToyDrafter] == pytest.approx(0.5, abs=0.05)
    assert share[Tempting] == pytest.approx(0.6, abs=0.05)


def test_dropping_short_sampled_drafts_would_not_be_lossless():
    """Why `n_min` holds the cutoff back instead: how sure the second token is depends on what the first one is."""

    class CutsWhatWasSampled(ToyDrafter):
        def draft(self, history, room, policy):
            draft = super().draft(history, room, policy)
            return replace(draft, n_send=MinLength.send(policy, draft.n_send))

    main = np.array([[0, 0.3, 0.7, 0]] * 4)
    table = np.array([[0, 0.5, 0.5, 0], [0, 0.9, 0.1, 0], [0, 0.5, 0.5, 0], [0, 0.7, 0.3, 0]])
    cut_short = ProbabilityCutoff(FixedLength(2), 0.6)
    share = []
    for drafter, policy in (
        (CutsWhatWasSampled, MinLength(cut_short, 2, sampled=False)),
        (ToyDrafter, MinLength(cut_short, 2, sampled=True)),
    ):
        n_first = 0
        for seed in range(4000):
            asked = check_settings(max_tokens=3, rule="rejection", temperature=1.0, seed=seed)
            drafts = drafter(table, np.random.default_rng([seed, 9]))
            events = decode(ToyMain(main, greedy=False), drafts, [3], asked, policy)
            n_first += next(event.emitted[0] for event in events if isinstance(event, Round)) == 1
        share.append(n_first / 4000)
    assert share == pytest.approx([0.39, 0.3], abs=0.04)


POLICIES = [
    {"num_draft_tokens": 0},
    {"num_draft_tokens": 3},
    {"num_draft_tokens": 3, "p_min": 0.5},
    {"num_draft_tokens": 4, "p_min": 0.6, "n_min": 2},
    {"num_draft_tokens": 3, "entropy_max": 1.1},
    {"num_draft_tokens": 4, "entropy_max": 2.0, "p_min": 0.2, "n_min": 3},
    {"num_draft_tokens": "auto"},
]


def named(settings):
    return ",".join(f"{name}={value}" for name, value in settings.items())


def experience(slope):
    """A pair whose passes cost this much more with each token: whether drafting pays is then up to its acceptance."""
    made = Experience()
    made.sweeps_left = 0
    made.verify.calibrate([(width, 1e-4 * (1 + slope * (width - 1))) for width in CALIBRATED])
    return made


@pytest.mark.parametrize("rule", ["match", "rejection"])
@pytest.mark.parametrize("policy", POLICIES, ids=named)
@settings(max_examples=4, deadline=None)
@given(pair=toy_pairs(), slope=st.sampled_from([0.01, 0.4]))
def test_on_toy_models(rule, policy, pair, slope):
    main, draft = pair
    length, counts, learned = 3, Counter(), experience(slope)
    for seed in range(1500):
        asked = check_settings(max_tokens=length, rule=rule, temperature=1.0, seed=seed, detail=False, **policy)
        rng = np.random.default_rng([seed, 9]) if rule == "rejection" else None
        events = decode(ToyMain(main, greedy=False), ToyDrafter(draft, rng), [1], asked, policy_of(asked, learned))
        counts[tuple(id for event in events if isinstance(event, Round) for id in event.emitted)] += 1
    expected = {
        ids: main[1, ids[0]] * main[ids[0], ids[1]] * main[ids[1], ids[2]] for ids in product(range(5), repeat=length)
    }
    check_goodness_of_fit(counts, {ids: p for ids, p in expected.items() if p > 0})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A main model of 30 tokens, one draft that resembles it and one that does not, in llama.cpp."""
    folder = tmp_path_factory.mktemp("tiny")
    main = Model(str(write_model(folder / "main.gguf", 1)))
    drafts = {
        "alike": Model(str(write_model(folder / "alike.gguf", 2, like=1, mix=0.05))),
        "unlike": Model(str(write_model(folder / "unlike.gguf", 3))),
    }
    context = Context(main, n_ctx=256, n_threads=1)
    yield context, {name: Context(model, n_ctx=256, n_threads=1) for name, model in drafts.items()}


SAMPLERS = [
    {"temperature": 1.0},
    {"temperature": 0.6},
    {"temperature": 1.0, "top_k": 5},
    {"temperature": 1.3, "top_p": 0.8},
    {"temperature": 0.9, "min_p": 0.1},
    {"temperature": 0.8, "top_k": 12, "top_p": 0.9, "min_p": 0.02, "repeat_penalty": 1.5, "repeat_last_n": 3},
    {"temperature": 1.0, "repeat_penalty": 2.0, "ignore_eos": True},
]
PROMPT = [1, 7, 11, 4]


def exact(context, end_tokens, settings, length, prompt=PROMPT):
    """Enumerate the answers of `length` tokens (an end token ends them) with their probabilities, by the reference."""
    banned = sorted(end_tokens) if settings.ignore_eos else []
    answers, finished = {(): 1.0}, {}
    for _ in range(length):
        longer = {}
        for answer, p in answers.items():
            history = [*prompt, *answer]
            context.prefill(history[:-1], lambda: False)
            context.evaluate(history[-1:])
            next_token = distribution(context.logits(0), settings, history, banned)
            for token, share in zip(next_token.ids.tolist(), next_token.probabilities.tolist(), strict=True):
                (finished if token in end_tokens else longer)[(*answer, token)] = p * share
        answers = longer
    return finished | answers


@pytest.fixture(scope="module")
def expected(tiny):
    """The exact distribution of two tokens under each sampler, enumerated once."""
    return [exact_by_llama_cpp(tiny[0], sampler, 2) for sampler in SAMPLERS]


def exact_by_llama_cpp(context, asked_with, length, prompt=PROMPT):
    return exact(context, context.model.end_tokens, check_settings(**asked_with), length, prompt)


def count(main_of, drafter_of, asked_with, n, prompt=PROMPT):
    """Count the first two tokens of `n` answers; also return how many drafted tokens were accepted."""
    counts, accepted, learned = Counter(), 0, experience(0.05)
    for seed in range(n):
        asked = check_settings(**{"max_tokens": 6, "seed": seed, "detail": False} | asked_with)
        main, drafter = main_of(asked), drafter_of(asked)
        ids = []
        for event in decode(main, drafter, prompt, asked, policy_of(asked, learned)):
            if isinstance(event, Round):
                ids.extend(event.emitted)
                accepted += event.accepted
                if len(ids) >= 2:
                    break
        end = next((i + 1 for i, id in enumerate(ids) if main.is_end(id)), len(ids))
        counts[tuple(ids[: min(2, end)])] += 1
        main.close(), drafter.close()
    return counts, accepted


def count_through_llama_cpp(context, drafter_of, *asked):
    return count(lambda asked: LlamaMain(context, asked, lambda: False), drafter_of, *asked)


@pytest.mark.parametrize("sampler", range(len(SAMPLERS)), ids=lambda i: named(SAMPLERS[i]))
@pytest.mark.parametrize("rule", ["match", "rejection"])
def test_every_sampler_through_llama_cpp(tiny, expected, sampler, rule):
    context, drafts = tiny
    accepted = 0
    for name, policy in (("alike", POLICIES[1]), ("unlike", POLICIES[1]), ("alike", POLICIES[2])):
        counts, taken = count_through_llama_cpp(
            context,
            lambda asked, name=name: LlamaDrafter(drafts[name], asked, lambda: False, n_vocab_main=N_VOCAB),
            SAMPLERS[sampler] | policy | {"rule": rule},
            1200,
        )
        check_goodness_of_fit(counts, expected[sampler])
        accepted += taken
    assert accepted > 0, "drafting took part"


@pytest.mark.parametrize("policy", POLICIES[3:], ids=named)
@pytest.mark.parametrize("rule", ["match", "rejection"])
@pytest.mark.parametrize("sampler", [0, 5], ids=lambda i: named(SAMPLERS[i]))
def test_every_policy_through_llama_cpp(tiny, expected, policy, rule, sampler):
    context, drafts = tiny
    counts, accepted = count_through_llama_cpp(
        context,
        lambda asked: LlamaDrafter(drafts["alike"], asked, lambda: False, n_vocab_main=N_VOCAB),
        SAMPLERS[sampler] | policy | {"rule": rule},
        1200,
    )
    check_goodness_of_fit(counts, expected[sampler])
    assert accepted > 0, "drafting took part"


@pytest.mark.parametrize("rule", ["match", "rejection"])
@pytest.mark.parametrize("n_vocab", [N_VOCAB - 20, N_VOCAB + 100])
def test_a_draft_with_fewer_or_more_tokens_through_llama_cpp(tiny, expected, tmp_path, rule, n_vocab):
    context, _ = tiny
    draft = Context(
        Model(str(write_model(tmp_path / "draft.gguf", 1, n_vocab=n_vocab, peak=2.0))), n_ctx=256, n_threads=1
    )
    counts, accepted = count_through_llama_cpp(
        context,
        lambda asked: LlamaDrafter(draft, asked, lambda: False, n_vocab_main=N_VOCAB),
        SAMPLERS[0] | POLICIES[1] | {"rule": rule, "ignore_eos": True, "detail": True},
        1200,
    )
    check_goodness_of_fit(counts, exact_by_llama_cpp(context, SAMPLERS[0] | {"ignore_eos": True}, 2))
    assert accepted > 0, "drafting took part"


@pytest.mark.parametrize("rule", ["match", "rejection"])
@pytest.mark.parametrize("policy", [POLICIES[1], POLICIES[3], POLICIES[-1]], ids=named)
def test_n_gram_drafts_through_llama_cpp(tiny, rule, policy):
    context, _ = tiny
    asked_with = SAMPLERS[2] | policy | {"rule": rule}

    def what_follows(token):
        """How likely the main model repeats the token that followed 7, 11 before."""
        prompt = [1, 7, 11, token, 7, 11]
        return exact_by_llama_cpp(context, SAMPLERS[2], 1, prompt).get((token,), 0)

    prompt = [1, 7, 11, max(range(4, N_VOCAB), key=what_follows), 7, 11]
    counts, accepted = count_through_llama_cpp(context, lambda asked: NGramDrafter(), asked_with, 1200, prompt)
    check_goodness_of_fit(counts, exact_by_llama_cpp(context, SAMPLERS[2], 2, prompt))
    assert accepted > 0, "drafting took part"


@pytest.fixture(scope="module")
def two_tokens(pair):
    """On the real pair: the exact distribution of the first two tokens of an answer, four to choose from each time."""

    def next_token(prompt):
        (round,) = pair.generate(prompt, max_tokens=1, draft=None, n_candidates=4, **REAL).rounds
        total = sum(p for _, p in round.main_top[0])
        return {id: p / total for id, p in round.main_top[0]}

    first = next_token(REAL_PROMPT)
    starts = {}
    for seed in range(2000):
        if len(starts) == len(first):
            break
        trace = pair.generate(REAL_PROMPT, max_tokens=1, draft=None, seed=seed, **REAL)
        starts[trace.token_ids[0]] = trace
    return {(a, b): first[a] * p for a, trace in starts.items() for b, p in next_token(trace).items()}


REAL_PROMPT = "Tell me a story"
REAL = {"temperature": 1.0, "top_k": 4, "ignore_eos": True}


@pytest.mark.parametrize("rule", ["match", "rejection"])
def test_on_the_real_pair(pair, two_tokens, rule):
    counts, accepted = Counter(), 0
    for seed in range(300):
        trace = pair.generate(REAL_PROMPT, max_tokens=3, num_draft_tokens=2, rule=rule, seed=seed, detail=False, **REAL)
        counts[tuple(trace.token_ids[:2])] += 1
        accepted += trace.stats.accepted_draft_tokens_count
    check_goodness_of_fit(counts, two_tokens)
    assert accepted > 100, "drafting took part"


any_sampler = given(
    seed=st.integers(0, 2**32 - 1),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 4, 100]),
    top_p=st.sampled_from([0.1, 0.7, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    repeat_penalty=st.sampled_from([0.5, 1.0, 1.3]),
    repeat_last_n=st.integers(0, 6),
    ignore_eos=st.booleans(),
)


def check_by_reference(sampler, asked, end_tokens, seed):
    """Compare what an engine's sampler draws from, after random logits and tokens, with the reference."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, N_VOCAB).astype(np.float32)
    recent = rng.integers(0, N_VOCAB, 8).tolist()
    ours = sampler.distribution(Row(logits.copy(), np.empty_like(logits)), lambda n: recent[-n:])
    reference = distribution(logits, asked, recent, sorted(end_tokens) if asked.ignore_eos else [])
    possible = ours.probabilities > 0
    assert ours.ids[possible].tolist() == reference.ids.tolist()
    assert ours.probabilities[possible] == pytest.approx(reference.probabilities, rel=1e-4, abs=1e-9)


@settings(max_examples=200, deadline=None)
@any_sampler
def test_the_native_sampler_is_the_reference(tiny, seed, **asked_with):
    model, asked = tiny[0].model, check_settings(**asked_with)
    sampler = NativeSampler(model, asked)
    check_by_reference(sampler, asked, model.end_tokens, seed)
    sampler.close()

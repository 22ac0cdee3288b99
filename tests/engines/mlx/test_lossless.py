"""Both rules keep the distribution of plain sampling, through MLX's models, caches and sampler."""

import pytest
from hypothesis import settings

from specviz.decoding import check_settings
from specviz.engines.mlx.sequences import MlxDrafter, MlxMain
from specviz.engines.sampler import Sampler
from tests.decoding.test_lossless import (
    POLICIES,
    SAMPLERS,
    any_sampler,
    check_by_reference,
    check_goodness_of_fit,
    count,
    exact,
    named,
)
from tests.engines.mlx.folders import N_VOCAB

N_ANSWERS = 400


@pytest.mark.parametrize("sampler", [SAMPLERS[i] for i in (0, 2, 5, 6)], ids=named)
@pytest.mark.parametrize("rule", ["match", "rejection"])
def test_every_sampler_through_mlx(tiny, sampler, rule):
    main = tiny["main"]
    expected = exact(main.context, main.model.end_tokens, check_settings(**sampler), 2)
    accepted = 0
    for name, policy in (("alike", POLICIES[1]), ("unlike", POLICIES[2])):
        draft = tiny[name]
        counts, taken = count(
            lambda asked: MlxMain(main.model, main.context, asked, lambda: False),
            lambda asked, draft=draft: MlxDrafter(
                draft.model, draft.context, asked, lambda: False, n_vocab_main=N_VOCAB
            ),
            sampler | policy | {"rule": rule},
            N_ANSWERS,
        )
        check_goodness_of_fit(counts, expected)
        accepted += taken
    assert accepted > 0, "drafting took part"


@settings(max_examples=200, deadline=None)
@any_sampler
def test_the_sampler_is_the_reference(seed, **asked_with):
    asked, ends = check_settings(**asked_with), {2, 9}
    check_by_reference(Sampler(asked, n_vocab=N_VOCAB, end_tokens=ends), asked, ends, seed)

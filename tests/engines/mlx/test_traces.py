"""A trace of one engine beside one of the other: the same fields, and the same contents where both say the same."""

import msgspec
import pytest

import specviz as sv

PROMPT, N_TOKENS = "Tell me a story", 24


@pytest.fixture(scope="module")
def traces(quick_pair, quick_mlx, tmp_path_factory):
    """The answers of the same models in llama.cpp and in MLX, saved and read back."""
    folder = tmp_path_factory.mktemp("traces")
    files = (folder / "llamacpp.jsonl", folder / "mlx.jsonl")
    for pair, file in zip((quick_pair, quick_mlx), files, strict=True):
        pair.generate(PROMPT, max_tokens=N_TOKENS, seed=1, ignore_eos=True, baseline_tokens=4).save(file)
    return tuple(map(sv.read_trace, files))


def fields(value):
    """Names and types of everything in a struct, down to the last one."""
    if isinstance(value, msgspec.Struct):
        return {name: fields(getattr(value, name)) for name in value.__struct_fields__}
    return type(value)


def test_both_have_the_same_fields_and_ask_for_the_same(traces):
    ours, theirs = (trace.header for trace in traces)
    assert fields(ours) == fields(theirs)
    assert ours.engine.startswith("llama.cpp") and theirs.engine.startswith("MLX")
    for name in ("version", "specviz", "drafter", "rule", "settings", "prompt", "prompt_ids", "continued"):
        assert getattr(ours, name) == getattr(theirs, name)
    for role in ("main", "draft"):
        a, b = getattr(ours, role), getattr(theirs, role)
        assert (a.architecture, a.n_params, a.n_vocab, a.n_ctx) == (b.architecture, b.n_params, b.n_vocab, b.n_ctx)
    assert fields(traces[0].summary) == fields(traces[1].summary)
    assert [type(event) for event in traces[0].events()][:3] == [type(event) for event in traces[1].events()][:3]


def test_every_drafted_token_has_its_account_in_both(traces):
    for trace in traces:
        drafted = [round for round in trace.rounds if round.drafted]
        assert len(drafted) > 3
        for round in drafted:
            assert len(round.q) == len(round.draft_top) == len(round.drafted)
            assert len(round.p) == len(round.rank) == round.sent
            assert all(len(top) == 5 for top in (*round.main_top, *round.draft_top))
            assert round.draft_seconds > 0 and round.verify_seconds > 0


def test_rounds_agree_as_long_as_the_texts_do(traces):
    agreed = 0
    for ours, theirs in zip(*(trace.rounds for trace in traces), strict=False):
        if (ours.drafted, ours.emitted) != (theirs.drafted, theirs.emitted):
            break
        assert ours.accepted == theirs.accepted and fields(ours) == fields(theirs)
        assert ours.p == pytest.approx(theirs.p, rel=0.2, abs=0.01)
        assert ours.q == pytest.approx(theirs.q, rel=0.2, abs=0.01)
        agreed += 1
    assert agreed >= 3


def test_both_are_shown_by_the_same_views(traces):
    ours, theirs = traces
    assert list(ours.to_pandas().columns) == list(theirs.to_pandas().columns)
    assert [curve.name for curve in ours.figure().data] == [curve.name for curve in theirs.figure().data]
    for trace in traces:
        html = trace._repr_html_()
        assert trace.header.main.name in html and html.count("<u ") > 3 and html.count("data:image/svg+xml") == 3
    assert ours.stats.to_dict().keys() == theirs.stats.to_dict().keys()

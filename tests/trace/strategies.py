"""Hypothesis strategies for traces."""

from hypothesis import strategies as st

from specviz.trace import Baseline, Header, ModelInfo, Pieces, Round, StopReason, Summary, Trace

probabilities = st.floats(0, 1, width=32)
ids = st.integers(0, 200)
seconds = st.floats(0, 10, allow_nan=False)


@st.composite
def rounds(draw, index=0, start=0, closing=None):
    drafted = tuple(draw(st.lists(ids, max_size=5)))
    sent = draw(st.integers(0, len(drafted)))
    taken = draw(st.integers(0, sent))
    accepted = draw(st.integers(0, taken))
    detail = draw(st.booleans())

    def per(n, of=probabilities):
        return tuple(draw(st.lists(of, min_size=n, max_size=n))) if detail else ()

    candidates = st.lists(st.tuples(ids, probabilities), max_size=3).map(tuple)
    has_closing = accepted == taken and draw(st.booleans()) if closing is None else closing
    return Round(
        index=index,
        start=start,
        drafted=drafted,
        sent=sent,
        accepted=accepted,
        past_end=taken - accepted,
        closing=draw(ids) if has_closing and accepted == taken else None,
        q=per(len(drafted)),
        p=per(sent),
        rank=per(sent, st.none() | st.integers(1, 50)),
        main_top=per(sent + 1, candidates),
        time=draw(seconds),
        draft_seconds=draw(seconds),
        verify_seconds=draw(seconds),
        other_seconds=draw(seconds),
    )


@st.composite
def traces(draw, max_rounds=6):
    trace = Trace(Header(main=ModelInfo(name=draw(st.text(max_size=8))), prompt=draw(st.text(max_size=20))))
    named = draw(st.dictionaries(ids, st.text(max_size=4), max_size=20))
    raw = dict(draw(st.dictionaries(ids, st.binary(min_size=1, max_size=3), max_size=3)).items())
    raw = {id: piece for id, piece in raw.items() if not _is_text(piece)}
    trace.add(Pieces(text={id: text for id, text in named.items() if id not in raw}, raw=raw, control=(0,)))
    for index in range(draw(st.integers(0, max_rounds))):
        if draw(st.booleans()) and index == 0:
            trace.add(Baseline(start=len(trace), n_tokens=4, seconds=draw(seconds), time=0.0))
        trace.add(draw(rounds(index=index, start=len(trace))))
    if draw(st.booleans()):
        trace.add(Summary(stop_reason=draw(st.sampled_from(StopReason)), prompt_seconds=draw(seconds)))
    return trace


def _is_text(piece):
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True

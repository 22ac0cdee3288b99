"""Text, tokens, memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, Summary, TokenDecoder, Trace


@given(st.text(max_size=30), st.integers(1, 5))
def test_token_texts_joined_are_the_text(text, size):
    data = text.encode("utf-8", "replace")
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    decoder = TokenDecoder()
    assert "".join([*map(decoder.feed, pieces), decoder.flush()]) == data.decode("utf-8", "replace")


def test_a_character_split_over_tokens_comes_with_the_token_that_completes_it():
    trace = Trace(Header(main=ModelInfo(name="m")))
    smile = "☺".encode()
    trace.add(Pieces(text={3: "!", 4: "<end>"}, raw={1: smile[:2], 2: smile[2:]}, control=(4,)))
    trace.add(Round(index=0, start=0, drafted=(1, 2, 3), sent=3, accepted=3, closing=4))
    assert [token.text for token in trace.tokens] == ["", "☺", "!", ""]
    assert trace.text == "☺!"
    assert trace.token_ids == [1, 2, 3, 4]


def test_the_text_ends_before_the_stop_string_that_came_first():
    trace = Trace(Header(main=ModelInfo(name="m"), settings=Settings(stop=("zz", "b"))))
    trace.add(Pieces(text={1: "ab", 2: "zz"}))
    trace.add(Round(index=0, start=0, closing=1))
    trace.add(Round(index=1, start=1, closing=2))
    assert trace.text == "abzz"
    trace.add(Summary(stop_reason="stopStringFound"))
    assert trace.text == "a"


def test_20_000_tokens_take_under_20_mb():
    top = tuple((40_000 + i, 0.123456789 * (i + 1)) for i in range(5))
    tracemalloc.start()
    trace = Trace(Header(main=ModelInfo(name="m")))
    while len(trace) < 20_000:
        trace.add(
            Round(
                index=len(trace.rounds),
                start=len(trace),
                drafted=(40_001, 40_002, 40_003, 40_004),
                sent=4,
                accepted=1,
                closing=40_005,
                q=(0.123456789,) * 4,
                p=(0.123456789,) * 4,
                q_sampler=(1.0,) * 4,
                p_sampler=(0.0,) * 4,
                rank=(1, 2, None, None),
                main_top=(top,) * 5,
                draft_top=(top,) * 4,
                time=1.234567,
                draft_seconds=0.0012345,
                verify_seconds=0.0012345,
                other_seconds=0.0012345,
            )
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 20e6

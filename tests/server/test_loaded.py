"""Pairs come when they are wanted and go when nobody uses them, or others need the room."""

import pytest

from specviz.server.catalogue import Choice, Offered
from specviz.server.errors import ApiError
from specviz.server.loaded import LoadedPairs
from tests.server.conftest import DRAFT, MAIN, OTHER


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def offered(model):
    return Offered(model.name, model)


PAIR = Choice(offered(MAIN), offered(DRAFT))
PLAIN = Choice(offered(OTHER))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    made = []

    def make(memory_bytes=10**10, ttl=60.0):
        made.append(LoadedPairs(ttl, memory_bytes, {}, clock))
        return made[-1]

    yield make
    for pairs in made:
        pairs.close()


def test_a_pair_is_loaded_once_and_serves_requests_without_a_draft_too(make):
    pairs = make()
    pair = pairs.pair(PAIR)
    assert pairs.pair(PAIR) is pair
    assert pairs.pair(Choice(offered(MAIN))) is pair and pairs.pair(Choice(offered(MAIN), ngram=True)) is pair
    assert pairs.ids == (MAIN.name, DRAFT.name)
    assert pairs.context_of(offered(MAIN)) == 2048 and pairs.context_of(offered(DRAFT)) is None
    other = pairs.pair(Choice(offered(MAIN), offered(OTHER)))
    assert other is not pair and set(pairs.ids) == {MAIN.name, DRAFT.name, OTHER.name}


def test_idle_pairs_are_freed(make, clock):
    pairs = make(ttl=60)
    assert pairs.free_idle() is None
    pair = pairs.pair(PAIR)
    pairs.pair(PLAIN, ttl=10)
    clock.now = 5
    assert pairs.free_idle() == 5
    clock.now = 10
    assert pairs.free_idle() == 50 and pairs.ids == (MAIN.name, DRAFT.name)
    pairs.used(pair)
    clock.now = 69
    assert pairs.free_idle() == 1
    clock.now = 70
    assert pairs.free_idle() is None and pairs.ids == ()


def test_what_was_not_used_for_longest_makes_room(make, clock):
    whole = make()
    whole.pair(PAIR)
    whole.pair(PLAIN)
    both = whole._total()
    whole.close()
    pairs = make(memory_bytes=both)
    pairs.pair(PAIR)
    clock.now = 1
    pairs.pair(PLAIN)
    assert len(pairs.ids) == 3, "both fit"
    tight = make(memory_bytes=both - 1)
    tight.pair(PAIR)
    clock.now = 2
    tight.pair(PLAIN)
    assert tight.ids == (OTHER.name,)
    clock.now = 3
    tight.pair(PAIR)
    assert tight.ids == (MAIN.name, DRAFT.name)


def test_what_can_never_fit_is_refused_before_it_is_loaded(make):
    pairs = make(memory_bytes=10**6)
    with pytest.raises(ApiError, match=r"takes \d+ MB, but the server may use 1 MB") as found:
        pairs.pair(PAIR)
    assert found.value.status == 400 and pairs.ids == ()

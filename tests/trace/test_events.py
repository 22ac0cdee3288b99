"""A round's accounts hold whatever happened in it, and a round that cannot be is refused."""

import msgspec
import pytest
from hypothesis import given

from specviz.trace import Fate, Provenance, Round, Tally
from tests.trace.strategies import rounds


@given(rounds())
def test_fates_and_provenances_account_for_every_token(round):
    assert len(round.fates) == len(round.drafted)
    assert len(round.provenance) == len(round.emitted)
    assert round.fates.count(Fate.REFUSED) <= 1
    order = [Fate.ACCEPTED, Fate.PAST_END, Fate.REFUSED, Fate.DISCARDED, Fate.UNSENT]
    assert list(round.fates) == sorted(round.fates, key=order.index)
    assert sum(fate is not Fate.UNSENT for fate in round.fates) == round.sent
    if round.refused and round.closing is not None:
        assert round.closing_provenance is Provenance.CORRECTION


@given(rounds())
def test_a_tally_counts_each_drafted_token_once(round):
    tally = Tally()
    tally.add(round)
    assert tally.drafted == tally.accepted + tally.refused + tally.discarded + tally.unsent + tally.past_end
    assert tally.tokens == len(round.emitted) == sum(tally.provenance.values())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"drafted": (1, 2), "sent": 3}, "sent is 3, but only 2"),
        ({"drafted": (1, 2), "sent": 1, "accepted": 2}, "accepted \\+ past_end is 2"),
        ({"drafted": (1, 2), "sent": 2, "q": (0.5,)}, "q has 1 entries, expected 2"),
        ({"drafted": (1, 2), "sent": 1, "p": (0.5, 0.5)}, "p has 2 entries, expected 1"),
        ({"drafted": (1,), "sent": 1, "main_top": ((),)}, "main_top has 1 entries, expected 2"),
    ],
)
def test_an_impossible_round_is_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        Round(index=0, start=0, **fields)
    encoded = msgspec.json.encode({"type": "round", "index": 0, "start": 0} | fields)
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.json.decode(encoded, type=Round)

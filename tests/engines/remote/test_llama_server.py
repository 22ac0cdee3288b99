"""llama-server's counts, turned back into the rounds that they came from; the real one runs in benchmarks/remote.py."""

import json
from contextlib import contextmanager
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specviz as sv
from specviz.engines.errors import EngineError
from specviz.engines.remote.llama_server import SYNTHETIC, _Rounds
from specviz.trace import Fate, Header, ModelInfo, StopReason, Trace
from specviz.trace.events import UNTOLD
from tests.engines.remote import contracts

PROPS = {
    "build_info": "b1-0c1e570",
    "model_path": "/models/big.gguf",
    "default_generation_settings": {"n_ctx": 512},
}
rounds_of_a_server = st.lists(
    st.integers(0, 5).flatmap(lambda k: st.tuples(st.just(k), st.integers(0, k))), max_size=20
)


def stream(rounds, cut=0):
    """What comes with each token where rounds drafted and had accepted so many; the last `cut` tokens never came."""
    drafted = accepted = n = 0
    events = []
    for k, taken in rounds:
        drafted, accepted = drafted + k, accepted + taken
        for _ in range(taken + 1):
            n += 1
            timings = {"predicted_ms": 10.0 * n, "prompt_ms": 5.0, "cache_n": 1}
            if drafted:
                timings |= {"draft_n": drafted, "draft_n_accepted": accepted}
            events.append((100 + n % 7, f"t{n % 7}", timings))
    return events[: len(events) - cut]


def trace_of(events):
    rounds = _Rounds()
    found = [event for one in events for event in rounds.add(*one)] + list(rounds.end())
    return Trace.of([Header(main=ModelInfo(name="big")), *found])


@given(rounds_of_a_server)
def test_rounds_are_found_again(rounds):
    trace = trace_of(stream(rounds))
    assert [(round.sent, round.accepted) for round in trace.rounds] == rounds
    for round in trace.rounds:
        assert round.drafted[round.accepted :] == (UNTOLD,) * (round.sent - round.accepted)
        assert round.closing is not None and UNTOLD not in round.emitted
    assert trace.tally.drafted == sum(k for k, _ in rounds)
    assert trace.tally.seconds == pytest.approx(0.01 * len(trace))


@given(rounds_of_a_server.filter(bool), st.integers(1, 5))
def test_a_stop_inside_a_round_leaves_no_closing_token(rounds, cut):
    *_, (k, taken) = rounds
    cut = min(cut, taken + 1)
    trace = trace_of(stream(rounds, cut))
    if cut == taken + 1:
        assert len(trace.rounds) == len(rounds) - 1
        return
    last = trace.rounds[len(trace.rounds) - 1]
    assert last.closing is None and last.accepted == taken + 1 - cut and last.past_end == cut - 1
    assert last.fates.count(Fate.REFUSED) == (k > taken)


def test_the_text_is_right_where_a_token_is_a_part_of_a_character():
    events = [(7, "", {}), (8, "é", {}), (9, " ", {}), (7, "", {}), (8, "ü", {}), (8, "é", {})]
    trace = trace_of(events)
    assert trace.text == "é üé"
    assert [id >= SYNTHETIC for id in trace.token_ids] == [False, False, False, False, True, False]


class Server(contracts.Recorded):
    """As much of llama-server as is asked."""

    pages: ClassVar = {"/props": PROPS}
    script = stream([(4, 2), (4, 4), (0, 0), (4, 0)])

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        if self.path == "/completion" and body["stream"]:
            self.send_response(200)
            self.end_headers()
            for token, text, timings in self.script:
                self._event({"content": text, "tokens": [token], "stop": False, "timings": timings})
            self._event(
                {"content": "", "tokens": [], "stop": True, "stop_type": "limit", "timings": self.script[-1][2]}
            )
            return
        reply = {
            "/completion": {"timings": {"draft_n": 3}},
            "/apply-template": {"prompt": "<user>Hi"},
            "/tokenize": {"tokens": [1, 2, 3]},
        }[self.path]
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def attached():
    page = {"do_POST": Server.do_POST, "pages": Server.pages, "script": Server.script}
    with contracts.server(**page) as (url, handler), sv.load(url) as pair:
        yield pair, handler


def test_a_generation_is_a_trace_like_any_other(tmp_path):
    with attached() as (pair, handler):
        assert pair.main.name == "big" and pair.main.n_ctx == 512 and pair.draft.name == "the server's draft"
        assert pair.engine == "llama-server (b1-0c1e570)" and pair.tokenize("Hi") == [1, 2, 3]
        trace = pair.generate("Hi", max_tokens=9, temperature=0.7, top_k=5, seed=4, stop=["x"])
        path, body = handler.asked[-1]
    assert (
        path == "/completion" and body["prompt"] == "<user>Hi" and body["timings_per_token"] and body["return_tokens"]
    )
    assert (body["n_predict"], body["temperature"], body["top_k"], body["seed"], body["stop"]) == (9, 0.7, 5, 4, ["x"])
    assert [round.accepted for round in trace.rounds] == [2, 4, 0, 0]
    stats = trace.stats
    assert (stats.accepted_draft_tokens_count, stats.rejected_draft_tokens_count) == (6, 6)
    assert stats.mean_acceptance_length == 3.0 and trace.header.prompt_ids == (1, 2, 3)
    assert trace.summary.stop_reason == StopReason.MAX_TOKENS and trace.summary.prompt_reused == 1
    assert trace.piece(UNTOLD).decode() == "▯" and "▯" not in trace.text
    assert sv.read_trace(trace.save(tmp_path / "x.jsonl")).stats == stats


def test_what_it_cannot_do_is_said():
    with attached() as (pair, _):
        with pytest.raises(EngineError, match="no rule 'rejection'"):
            pair.generate("Hi", rule="rejection", temperature=1.0)
        with pytest.raises(EngineError, match="was started with its draft"):
            sv.attach(pair.spec.main.path, draft="other")

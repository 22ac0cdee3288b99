"""A race to watch: what its messages add up to, and every way it can end."""

import os
import threading
import time

import pytest

import specviz as sv
from specviz.lab.race import Race

PROMPTS = ["Tell me a story", "Why does it rain?"]


class Page:
    """Applies a race's messages as the page does, and complains where the page would."""

    def __init__(self, track):
        self.seq, self.messages, self.lanes, self.phases, self.runs = 0, [], {}, [], []
        self.heats, self.run = {}, {"prompt": 0}
        self.ended = {}
        track.send = self.receive

    def receive(self, message, buffers=None):
        self.messages.append((time.monotonic(), message))
        assert message["type"] == "race" and message["seq"] == self.seq + 1, "a gap"
        self.seq = message["seq"]
        if message["whole"] or message["run"]["prompt"] != self.run["prompt"]:
            self.lanes = {}
        self.run, self.heats = message["run"], message.get("heats", self.heats)
        join(self.lanes, message["lanes"])
        name = (self.run["prompt"], self.run["way"], self.run["number"])
        if self.run["way"] and name not in self.runs:
            self.runs.append(name)
        if self.run["way"] in self.lanes and not self.run["live"]:
            self.ended[name] = self.lanes[self.run["way"]]
        phase = message["state"]["phase"]
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)


def join(lanes, more):
    for way, columns in more.items():
        known = lanes.get(way)
        if known is None or known["serial"] != columns["serial"]:
            lanes[way] = columns
        else:
            lanes[way] = {name: known[name] + columns[name] for name in columns if name != "serial"} | {
                "serial": known["serial"]
            }


@pytest.fixture
def make(quick_pair):
    made = []

    def track(prompts=PROMPTS, **settings):
        one = sv.RaceTrack(quick_pair, prompts, **{"max_tokens": 32} | settings)
        made.append(one)
        return one, Page(one)

    yield track
    for one in made:
        one.close()
        assert one.wait(30)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def test_what_is_told_adds_up_to_the_race(make):
    track, page = make()
    assert (track.phase, track.verdict, track.result) == ("idle", "", None)
    started = time.monotonic()
    track.start()
    assert track.wait(120)
    seconds = time.monotonic() - started
    assert page.phases == ["loading", "warming", "racing", "warming", "racing", "finished"]
    assert len(page.messages) <= seconds / 0.033 + 8
    order = [("speculative", 1), ("plain", 1), ("length 0", 1), ("length 0", 2), ("plain", 2), ("speculative", 2)]
    assert page.runs == [(prompt, way, number) for prompt in (0, 1) for way, number in order]
    raced = track.result
    assert isinstance(raced, Race) and track.phase == "finished" and track.verdict == raced.verdict
    for i, heat in enumerate(raced.heats):
        last = [one for one in heat.timings if one.way == "speculative"][-1]
        lane = page.ended[i, "speculative", 2]
        assert lane["count"][-1] == last.n_tokens == len(lane["text"]) == len(lane["kind"])
        assert lane["seconds"][-1] == pytest.approx(last.seconds, abs=1e-5)
        assert lane["speed"][-1] == pytest.approx(last.n_tokens / last.seconds, abs=0.06)
        assert lane["kind"].lower().count("a") == last.accepted and len(lane["count"]) == last.rounds
        assert "".join(lane["text"]) == "".join(page.ended[i, "plain", 2]["text"]), "greedy, Q4_0: the same text"
        assert set(page.ended[i, "plain", 2]["kind"].lower()) == {"p"}
    assert page.heats["ratio"] == pytest.approx(raced.ratios(), abs=1e-6)
    assert page.heats["interval"] == pytest.approx(list(raced.interval()), abs=1e-6)
    assert page.messages[-1][1]["speedup"] == pytest.approx(raced.interval().ratio, abs=1e-6)
    assert page.heats["parting"] == [None, None] and page.heats["done"] == 2


def test_an_interval_comes_with_the_second_prompt(make):
    track, page = make()
    track.start()
    assert track.wait(120)
    told = [message["heats"] for _, message in page.messages if "heats" in message]
    assert next((heats["done"], heats["interval"]) for heats in told if heats["done"]) == (1, None)
    assert all(heats["verdict"] == "" for heats in told if heats["done"] < 2)


def test_one_prompt_has_an_interval_over_its_runs(make):
    track, page = make(PROMPTS[:1], repeats=2)
    track.start()
    assert track.wait(120)
    assert page.heats["interval"] == pytest.approx(list(track.result.interval()), abs=1e-6)
    assert page.run["of"] == 4 and page.runs[-1] == (0, "speculative", 4)


def test_a_snapshot_in_the_middle_and_what_comes_after_it_are_everything(make):
    track, page = make(PROMPTS[:1], max_tokens=200, ignore_eos=True)
    assert track.get_state()["snapshot"]["heats"]["prompt"] == PROMPTS[:1], "before the first race"
    track.start()
    wait_until(lambda: "plain" in page.lanes and len(page.lanes["plain"]["text"]) > 20)
    snapshot = track.get_state()["snapshot"]
    assert snapshot["whole"] and snapshot["lanes"]["speculative"]["text"]
    lanes = dict(snapshot["lanes"])
    assert track.wait(120)
    for _, message in page.messages:
        if message["seq"] > snapshot["seq"]:
            join(lanes, message["lanes"])
    assert lanes == page.lanes
    track._on_message(track, {"type": "resync"}, [])
    assert page.messages[-1][1]["whole"] and page.lanes == lanes


def test_a_page_that_asks_in_the_middle_has_everything_at_the_end(make):
    track, page = make(PROMPTS[:1], max_tokens=200, ignore_eos=True)
    track.start()
    wait_until(lambda: "plain" in page.lanes and len(page.lanes["plain"]["text"]) > 20)
    for _ in range(5):
        before = page.seq
        track._on_message(track, {"type": "resync"}, [])
        assert page.seq > before, "an answer is newer than all that was told"
        time.sleep(0.02)
    assert track.wait(120)
    assert sum(message["whole"] for _, message in page.messages) == 6
    for way in ("plain", "speculative"):
        last = [one for one in track.result.heats[0].timings if one.way == way][-1]
        assert page.lanes[way]["count"][-1] == last.n_tokens == len(page.lanes[way]["text"]) == 200
        assert page.lanes[way]["seconds"][-1] == pytest.approx(last.seconds, abs=1e-5)
    assert page.heats["ratio"] == pytest.approx([track.result.heats[0].speedup()], abs=1e-6)


def test_stop_while_it_races_keeps_the_prompts_that_are_done(make):
    track, page = make(max_tokens=100, ignore_eos=True)
    track.start()
    wait_until(lambda: page.run["prompt"] == 1 and page.run["live"], 60)
    track.stop()
    track.stop()
    assert track.wait(10)
    assert page.phases[-2:] == ["stopping", "stopped"] and track.phase == "stopped"
    assert len(track.result.heats) == 1 and track.verdict == track.result.verdict
    track.start()
    assert track.result is None
    wait_until(lambda: page.phases[-1] == "racing")
    track.stop()
    assert track.wait(10) and track.phase == "stopped"


def test_stop_while_it_warms_up(make):
    track, page = make(max_tokens=3000, ignore_eos=True)
    track.start()
    wait_until(lambda: page.phases[-1] == "warming")
    time.sleep(0.3)
    track.stop()
    assert track.wait(30) and track.phase == "stopped" and track.result is None


def test_the_buttons_of_the_page(make):
    track, page = make(repeats=50)
    track._on_message(track, {"type": "start"}, [])
    wait_until(lambda: page.run["live"])
    track._on_message(track, {"type": "start"}, [])
    track._on_message(track, {"type": "stop"}, [])
    assert track.wait(30) and track.phase == "stopped"
    assert page.phases == ["loading", "warming", "racing", "stopping", "stopped"]


def test_without_a_draft_it_fails_in_words():
    track = sv.RaceTrack("22m", "Hello", draft=None)
    page = Page(track)
    track.start()
    assert track.wait(60) and track.phase == "failed"
    state = page.messages[-1][1]["state"]
    assert state["message"] == "A race needs a pair with a draft" and state["can_start"] and not state["can_stop"]


def test_a_crash_is_told_and_the_next_race_runs(make):
    track, page = make(PROMPTS[:1], repeats=50, max_tokens=400, ignore_eos=True)
    track.start()
    wait_until(lambda: page.run["live"] and page.run["way"] == "plain")
    os.kill(track._pairs[1]._client.pid, 9)
    assert track.wait(30)
    assert track.phase == "crashed" and "SIGKILL" in page.messages[-1][1]["state"]["message"]
    track._repeats = 1
    track.start()
    assert track.wait(60) and track.phase == "finished"
    assert not [thread for thread in threading.enumerate() if thread.name == "specviz-race"]


def test_the_record_of_a_saved_notebook(make):
    track, _ = make(["<b>Why</b>?"])
    assert "idle" in track._html() and "1 prompt," in repr(track)
    track.start()
    assert track.wait(60)
    html = track._html()
    assert "&lt;b&gt;Why&lt;/b&gt;?" in html and "<b>Why" not in html and "tokens/s" in html
    assert track.result.verdict in repr(track)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"tempreature": 1}, "tempreature"), ({"max_tokens": 0}, "max_tokens"), ({"repeats": 0}, "repeats")],
)
def test_wrong_settings_are_refused_at_once(settings, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        sv.RaceTrack(**settings)
    with pytest.raises(ValueError, match="no prompts"):
        sv.RaceTrack(prompts=[])

"""From a generation to messages: in order, none lost, every ending told."""

import threading
import time

import ipywidgets
import pytest
import traitlets as t

import specviz as sv
from specviz.trace import Header, ModelInfo, StopReason, Summary, Trace
from specviz.widgets.feed import ended
from specviz.widgets.parts import Part


class Page:
    """Applies a feed's messages as the page does, and complains where the page would."""

    def __init__(self, feed):
        self.tokens, self.phases, self.seq, self.messages = [], [], 0, []
        self.content = {}
        feed.send = self.receive

    def receive(self, message, buffers=None):
        if message["type"] == "picker":
            return
        self.messages.append((time.monotonic(), message))
        assert message["seq"] == self.seq + 1, "a gap"
        self.seq = message["seq"]
        if message["type"] == "snapshot" or message["reset"]:
            self.tokens = []
        self.tokens += message.get("tokens", {"text": []})["text"]
        self.content |= {name: message[name] for name in ("stats", "baseline", "state", "run_info") if name in message}
        if not self.phases or self.phases[-1] != message["state"]["phase"]:
            self.phases.append(message["state"]["phase"])


@pytest.fixture
def feed():
    feed = sv.Feed()
    yield feed
    feed.close()


def test_all_tokens_arrive_in_order_in_few_messages(feed, quick_pair):
    page = Page(feed)
    started = time.monotonic()
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=300, ignore_eos=True, baseline_tokens=8))
    assert feed.wait(60)
    seconds = time.monotonic() - started
    assert "".join(page.tokens) == feed.trace.text == feed.text
    assert page.phases[0] == "loading" and page.phases[-2:] == ["generating", "finished"]
    assert len(page.messages) < 40 * seconds + 8
    assert feed.phase == "finished" and feed.stats["output_tokens"] == 300
    assert page.content["baseline"]["n_tokens"] == 8
    assert page.content["state"]["can_continue"] and page.content["state"]["can_generate"]


def test_a_snapshot_in_mid_stream_and_the_batches_after_it_are_everything(feed, quick_pair):
    page = Page(feed)
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=400, ignore_eos=True))
    while page.seq < 8:
        time.sleep(0.01)
    for _ in range(5):
        snapshot = feed.get_state()["snapshot"]
        restored, after = list(snapshot.get("tokens", {"text": []})["text"]), snapshot["seq"]
        time.sleep(0.1)
    assert feed.wait(60)
    restored += [
        text
        for _, message in page.messages
        if message["seq"] > after
        for text in message.get("tokens", {"text": []})["text"]
    ]
    assert restored == page.tokens
    assert len(restored) == 400


def test_a_resync_answers_with_everything_so_far(feed, quick_pair):
    page = Page(feed)
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=50, ignore_eos=True))
    assert feed.wait(60)
    tokens = list(page.tokens)
    feed._on_message(feed, {"type": "resync"}, [])
    assert page.messages[-1][1]["type"] == "snapshot"
    assert page.tokens == tokens and page.messages[-1][1]["run"] == 1


def test_before_the_first_run_there_is_no_snapshot(feed):
    assert feed.get_state()["snapshot"] == {}


def test_stop_ends_it_and_the_next_run_clears(feed, quick_pair):
    page = Page(feed)
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=None, ignore_eos=True))
    while len(page.tokens) < 20:
        time.sleep(0.01)
    feed.stop()
    assert feed.wait(10)
    assert page.phases[-2:] == ["stopping", "stopped"]
    assert feed.trace.summary.stop_reason == "userStopped"
    feed.follow(quick_pair.stream("Say hi", max_tokens=5, ignore_eos=True))
    assert feed.wait(10)
    assert len(page.tokens) == 5 and page.messages[-1][1]["run"] == 2


def test_appending_keeps_what_is_shown(feed, quick_pair):
    page = Page(feed)
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=10, ignore_eos=True))
    feed.wait(10)
    feed.follow(quick_pair.stream(feed.trace, max_tokens=10, ignore_eos=True), append=True)
    feed.wait(10)
    assert len(page.tokens) == 20
    assert len(feed.get_state()["snapshot"]["tokens"]["text"]) == 20


def test_traits_can_be_observed(feed, quick_pair):
    seen = []
    feed.observe(lambda change: seen.append(change.new), "phase")
    feed.follow(quick_pair.stream("Say hi", max_tokens=5, ignore_eos=True))
    feed.wait(10)
    assert seen[-1] == "finished"


def test_parts_share_a_feed_and_stand_in_layouts(feed):
    parts = [
        sv.TokenStream(feed),
        sv.AcceptancePlot(feed),
        sv.ThroughputPlot(feed),
        sv.SpeedupPlot(feed),
        sv.RoundTimeline(feed),
        sv.AcceptedStrip(feed),
        sv.PositionPlot(feed),
        sv.StatsTable(feed, metrics="vllm"),
    ]
    box = ipywidgets.VBox(parts)
    assert all(part.feed == f"anywidget:{feed.model_id}" for part in box.children)
    names = ["tokens", "acceptance", "throughput", "speedup", "timeline", "accepted", "positions", "stats"]
    assert [part.part for part in parts] == names
    assert (feed.metrics, parts[-1].metrics) == ("specviz", "vllm")
    assert len(str(Part._esm)) < 2000, "a part carries no bundle of its own"
    assert isinstance(sv.TokenStream().source, sv.Feed)


@pytest.fixture
def explorer(quick_pair):
    explorer = sv.explore(quick_pair.spec.main.path, quick_pair.spec.draft.path, max_tokens=20, ignore_eos=True)
    yield explorer
    explorer.close()


def test_the_explorer_generates_continues_and_changes_drafts(explorer):
    page = Page(explorer)
    explorer.generate()
    assert explorer.wait(60) and explorer.phase == "finished"
    assert page.content["run_info"]["draft"].endswith("12m.Q4_0")
    assert explorer.stats["speedup"] is not None
    explorer.continue_()
    assert explorer.wait(60) and len(page.tokens) == 40
    explorer.draft = "none"
    explorer.generate()
    assert explorer.wait(60)
    assert explorer.stats["total_draft_tokens_count"] == 0 and page.content["run_info"]["draft"] == ""


def test_the_automatic_length_overrides_length_and_cutoff(explorer):
    page = Page(explorer)
    explorer.p_min = 0.5
    explorer.auto_length = True
    explorer.generate()
    assert explorer.wait(60) and explorer.phase == "finished"
    settings = explorer.trace.header.settings
    assert settings.num_draft_tokens == page.content["run_info"]["num_draft_tokens"] == "auto"
    assert settings.p_min == 0 and explorer.p_min == 0.5
    assert all(round.decision is not None for round in explorer.trace.rounds if round.drafted)


def test_n_gram_lookup_is_a_draft_like_others(explorer):
    page = Page(explorer)
    explorer.draft, explorer.prompt, explorer.max_tokens = "ngram", "one two three " * 8, 60
    explorer.generate()
    assert explorer.wait(60) and explorer.phase == "finished"
    assert explorer.trace.header.drafter == "ngram"
    assert page.content["run_info"]["draft"] == "n-gram lookup"
    assert explorer.stats["total_draft_tokens_count"] > 0


def test_the_rule_is_the_chosen_one(explorer):
    assert explorer.rule == "match"
    explorer.rule, explorer.temperature = "rejection", 0.8
    explorer.generate()
    assert explorer.wait(60) and explorer.phase == "finished"
    assert explorer.trace.header.rule == "rejection"
    with pytest.raises(t.TraitError):
        explorer.rule = "luck"


def test_the_arguments_of_explore_are_those_of_load_and_generate():
    explorer = sv.explore(draft="ngram", num_draft_tokens="auto", p_min=0.25, rule="rejection")
    try:
        assert explorer.draft == "ngram" and explorer.auto_length
        assert (explorer.num_draft_tokens, explorer.p_min, explorer.rule) == (4, 0.25, "rejection")
    finally:
        explorer.close()


def test_the_explorer_without_arguments_is_on_the_demo_pair():
    explorer = sv.explore()
    try:
        assert explorer.main.endswith("SmolLM2-135M-Instruct.Q4_1.gguf") and explorer.draft.endswith("17m.Q4_0.gguf")
        assert explorer.chosen["main"] == "SmolLM2-135M-Instruct.Q4_1"
    finally:
        explorer.close()


def test_pressing_generate_twice_starts_over(explorer):
    page = Page(explorer)
    explorer.max_tokens = 2000
    explorer.generate()
    while len(page.tokens) < 5:
        time.sleep(0.01)
    explorer.max_tokens = 7
    explorer.generate()
    assert explorer.wait(60)
    assert len(page.tokens) == 7 and page.phases[-1] == "finished"


def test_stop_while_loading_stops(explorer):
    explorer.max_tokens = 3000
    explorer.generate()
    while not explorer._state["can_stop"]:
        time.sleep(0.001)
    explorer.stop()
    assert explorer.wait(30) and explorer.phase == "stopped"


def test_a_crash_is_told_and_the_next_generate_works(explorer):
    page = Page(explorer)
    explorer.max_tokens = 3000
    explorer.generate()
    while len(page.tokens) < 20:
        time.sleep(0.01)
    import os

    os.kill(explorer._pair._client.pid, 9)
    assert explorer.wait(30)
    assert explorer.phase == "crashed" and "SIGKILL" in page.content["state"]["message"]
    kept = list(page.tokens)
    assert len(kept) >= 20 and page.content["state"]["can_generate"]
    explorer.max_tokens = 9
    explorer.generate()
    assert explorer.wait(60) and explorer.phase == "finished" and len(page.tokens) == 9


@pytest.mark.parametrize(("setting", "complaint"), [({"prompt": "  "}, "The prompt is empty")])
def test_what_cannot_run_is_told(explorer, setting, complaint):
    page = Page(explorer)
    for name, value in setting.items():
        setattr(explorer, name, value)
    explorer.generate()
    assert explorer.wait(30)
    assert explorer.phase == "failed" and complaint in page.content["state"]["message"]


def test_unknown_settings_and_models_are_refused_at_once():
    with pytest.raises(TypeError, match="unknown setting tempreature of an Explorer"):
        sv.explore(tempreature=1)
    with pytest.raises(sv.ModelNotFoundError, match="nowhere"):
        sv.explore("nowhere.gguf")


def test_no_thread_is_left_behind(explorer):
    explorer.generate()
    assert explorer.wait(60)
    assert not [thread for thread in threading.enumerate() if thread.name == "specviz-feed" and thread.is_alive()]


def test_a_page_that_asks_about_a_round_is_told_of_it(feed, quick_pair):
    feed.follow(quick_pair.stream("Tell me a story", max_tokens=20, ignore_eos=True))
    feed.wait(10)
    feed.follow(quick_pair.stream(feed.trace, max_tokens=20, ignore_eos=True), append=True)
    feed.wait(10)
    answers = []
    feed.send = answers.append
    content = feed.get_state()["snapshot"]
    last = content["tokens"]["round"][-1]
    for question in ({"run": 1, "round": last}, {"run": 0, "round": last}, {"run": 1, "round": last + 1}, {"run": 1}):
        feed._on_message(feed, {"type": "inspect"} | question, [])
    (answer,) = answers
    assert (answer["type"], answer["run"], answer["round"]) == ("detail", 1, last)
    assert answer["tokens"][-1]["index"] == len(content["tokens"]["text"]) - 1
    assert all(token["main_top"]["text"] for token in answer["tokens"])


@pytest.mark.parametrize(
    ("reason", "phase", "message", "can_continue"),
    [
        (StopReason.EOS_FOUND, "finished", "end of text; a note", True),
        (StopReason.MAX_TOKENS, "finished", "token limit; a note", True),
        (StopReason.CONTEXT_LENGTH, "finished", "context full; a note", False),
        (StopReason.USER_STOPPED, "stopped", "a note", True),
    ],
)
def test_the_status_says_why_it_ended(reason, phase, message, can_continue):
    trace = Trace.of([Header(main=ModelInfo(name="m"), prompt="?"), Summary(stop_reason=reason, notes=("a note",))])
    shown = ended([trace])
    assert (shown["phase"], shown["message"], shown["can_continue"]) == (phase, message, can_continue)

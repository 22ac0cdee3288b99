"""Follow-ups, edits, new answers: what the kernel asks, keeps and tells the page."""

import pytest

import specviz as sv
from specviz.trace import Header, ModelInfo, Pieces, Round, Trace, Turn
from specviz.widgets.static_html import conversation_html
from specviz.widgets.turn_columns import turn_columns
from tests.widgets.test_feed import Page

HOSTILE = "<img src=x onerror=alert(1)> \u202egnp\u202c </script>"


@pytest.fixture
def explorer(quick_pair):
    spec = quick_pair.spec
    explorer = sv.explore(spec.main.path, spec.draft.path, max_tokens=12, ignore_eos=True, prompt="My name is Ada.")
    yield explorer
    explorer.close()


def done(explorer):
    assert explorer.wait(60)
    assert explorer.phase == "finished", explorer._state
    return explorer.conversation


def two_turns(explorer):
    explorer.generate()
    done(explorer)
    explorer.follow_up("What is my name?")
    return done(explorer)


def users(conversation):
    return [turn.user for turn in conversation.turns]


def shown(explorer):
    return explorer.get_state()["snapshot"]["conversation"]["turns"]


def test_a_follow_up_is_asked_with_what_was_said_before(explorer, quick_pair):
    explorer.system = "Answer in one word."
    page = Page(explorer)
    first, second = two_turns(explorer).turns
    assert page.content["run_info"]["prompt"] == "What is my name?" == second.traces[0].header.prompt
    asked = second.traces[0].header.prompt_ids
    said = ["Answer in one word.", "My name is Ada.", first.text.strip(), "What is my name?"]
    positions = [_find(quick_pair.tokenize(text), asked) for text in said]
    assert positions == sorted(positions) and positions[0] >= 0
    (earlier,) = shown(explorer)
    assert earlier["user"] == "My name is Ada." and "".join(earlier["text"]) == first.text
    assert "accepted" in earlier["caption"] and "tok/s" in earlier["caption"]
    assert page.tokens == [token.text for token in explorer.trace.tokens]


def _find(part, whole):
    return next((i for i in range(len(whole)) if list(whole[i : i + len(part)]) == part), -1)


def test_a_reset_tells_the_turns_before_and_what_was_asked(explorer):
    page = Page(explorer)
    two_turns(explorer)
    resets = [message for _, message in page.messages if message.get("reset")]
    assert [len(one["conversation"]["turns"]) for one in resets] == [0, 1]
    assert [one["run_info"]["prompt"] for one in resets] == ["My name is Ada.", "What is my name?"]


def test_an_earlier_turn_is_edited_and_what_followed_can_be_brought_back(explorer):
    before = two_turns(explorer)
    explorer.edit(0, "My name is Bob.")
    edited = done(explorer)
    assert users(edited) == ["My name is Bob."] and explorer.prompt == "My name is Bob."
    assert explorer.get_state()["snapshot"]["conversation"] == {"turns": [], "can_undo": True}
    explorer.undo()
    assert users(explorer.conversation) == users(before) and explorer.prompt == "My name is Ada."
    assert explorer.conversation.encode() == before.encode()
    assert explorer.text == before.turns[-1].text and len(shown(explorer)) == 1
    explorer.undo()
    assert explorer.conversation.encode() == edited.encode()
    with pytest.raises(IndexError, match="there is no turn 5: the conversation has 1"):
        explorer.edit(5, "x")


def test_generate_answers_the_last_turn_anew_or_begins_another_conversation(explorer):
    explorer.name = "Names"
    before = two_turns(explorer)
    explorer.temperature = 1.0
    explorer.generate()
    anew = done(explorer)
    assert users(anew) == users(before) and anew.turns[0].traces == before.turns[0].traces
    assert anew.turns[1].traces != before.turns[1].traces
    explorer.prompt = "Another thing."
    explorer.generate()
    assert users(done(explorer)) == ["Another thing."] and explorer.name == ""
    explorer.undo()
    assert explorer.name == "Names" and users(explorer.conversation) == users(before)


def test_continuing_belongs_to_the_turn_and_keeps_its_provenance(explorer):
    two_turns(explorer)
    kinds = [token.provenance for token in explorer.trace.tokens]
    explorer.continue_()
    conversation = done(explorer)
    assert [len(turn.traces) for turn in conversation.turns] == [1, 2]
    assert [token.provenance for token in conversation.turns[1].traces[0].tokens] == kinds
    explorer.follow_up("Go on.")
    done(explorer)
    assert [len(turn.traces) for turn in explorer.conversation.turns] == [1, 2, 1]
    assert "".join(shown(explorer)[1]["text"]) == conversation.turns[1].text


def test_a_saved_conversation_is_gone_on_with(explorer, tmp_path):
    explorer.name, explorer.system = "Names", "Be brief."
    before = two_turns(explorer)
    path = explorer.save(tmp_path / "chat.jsonl")
    opened = sv.explore(explorer.main, explorer.draft, conversation=path, max_tokens=12, ignore_eos=True)
    try:
        assert (opened.name, opened.system, opened.prompt) == ("Names", "Be brief.", "My name is Ada.")
        snapshot = opened.get_state()["snapshot"]
        assert snapshot["state"]["can_continue"] and snapshot["run_info"]["prompt"] == "What is my name?"
        assert "".join(snapshot["tokens"]["text"]) == opened.text == before.turns[1].text
        assert opened.conversation.encode() == before.encode()
        opened.continue_()
        assert [len(turn.traces) for turn in done(opened).turns] == [1, 2]
        opened.follow_up("And mine?")
        assert users(done(opened)) == ["My name is Ada.", "What is my name?", "And mine?"]
    finally:
        opened.close()


def test_a_page_that_saves_is_sent_the_file(explorer, tmp_path):
    explorer.name = "../Ada & \u202eBob"
    conversation = two_turns(explorer)
    sent = []
    explorer.send = lambda message, buffers=None: sent.append((message, buffers))
    explorer._on_message(explorer, {"type": "save", "id": "view-1"}, [])
    ((message, (data,)),) = sent
    assert message == {"type": "file", "id": "view-1", "name": "Ada  Bob.jsonl"}
    path = tmp_path / message["name"]
    path.write_bytes(data)
    assert sv.read_conversation(path).encode() == conversation.encode()


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [("{", "The JSON schema is not JSON"), ("[1]", "The JSON schema must be an object"), ("{}", "ignore_eos")],
)
def test_a_schema_that_is_none_is_told_and_the_answer_stays(explorer, schema, complaint):
    explorer.generate()
    before = done(explorer)
    explorer.json_schema = schema
    for ask in (explorer.regenerate, lambda: explorer.follow_up("As JSON?"), explorer.continue_):
        ask()
        assert explorer.wait(60) and explorer.phase == "failed"
        assert complaint in explorer._state["message"]
        assert explorer.conversation.encode() == before.encode() and explorer._state["can_continue"]


def test_an_answer_follows_the_schema(explorer):
    explorer.ignore_eos, explorer.max_tokens = False, 60
    explorer.json_schema = '{"enum": ["red", "green"]}'
    explorer.generate()
    done(explorer)
    assert explorer.text in ('"red"', '"green"')


def test_an_empty_follow_up_changes_nothing(explorer):
    explorer.generate()
    before = done(explorer)
    explorer.follow_up("  ")
    assert explorer.wait(60) and explorer._state["message"] == "The prompt is empty"
    assert explorer.conversation.encode() == before.encode()


def test_a_full_context_is_told_and_the_question_can_be_edited(quick_pair):
    spec = quick_pair.spec
    explorer = sv.explore(spec.main.path, spec.draft.path, max_tokens=8, ignore_eos=True, n_ctx=128)
    try:
        explorer.generate()
        done(explorer)
        explorer.follow_up("word " * 400)
        assert explorer.wait(60) and explorer.phase == "failed"
        assert "the context of" in explorer._state["message"] and "larger n_ctx" in explorer._state["message"]
        explorer.edit(1, "Short.")
        assert users(done(explorer)) == [explorer.prompt, "Short."]
    finally:
        explorer.close()


def test_a_new_conversation_puts_the_old_one_aside(explorer):
    before = two_turns(explorer)
    page = Page(explorer)
    page.seq = explorer._seq
    explorer.new_conversation()
    assert explorer.conversation.turns == () and explorer.phase == "idle" and explorer.text == ""
    assert page.messages[-1][1]["conversation"] == {"turns": [], "can_undo": True}
    assert "tokens" not in page.messages[-1][1]
    explorer.undo()
    assert explorer.conversation.encode() == before.encode()


def test_an_earlier_turn_is_told_in_runs_without_reasoning_and_control_tokens():
    trace = Trace(Header(main=ModelInfo(name="m")))
    trace.add(Pieces.of(dict(enumerate((b"<think>", b"hm", b"</think>", b"Yes", b", sir", b"<end>"))), [5]))
    trace.add(Round(index=0, start=0, drafted=(0, 1, 2, 3), sent=4, accepted=4, closing=4))
    trace.add(Round(index=1, start=5, closing=5))
    told = turn_columns(Turn("Well?", (trace,)))
    assert (told["user"], told["text"], told["kind"]) == ("Well?", ["Yes", ", sir"], "ab")
    assert told["caption"].startswith("100.0 % accepted") and "3 tokens of reasoning left out" in told["caption"]


def test_the_record_shows_all_turns_and_executes_nothing(explorer):
    explorer.prompt, explorer.name = HOSTILE, HOSTILE
    conversation = two_turns(explorer)
    html = conversation_html(conversation)
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") == 2 and "What is my name?" in html
    assert "<img src=x" not in html and "</script>" not in html and "\u202e" not in html
    assert html.index("&lt;img") < html.index("What is my name?")
    assert conversation_html(sv.Conversation()) == ""

"""The table of the docs says what the code knows."""

from pathlib import Path

from specviz.engines.remote import capabilities as known

TABLE = {
    "rounds: who proposed which token": "rounds",
    "totals of drafted and accepted tokens": "totals",
    "token ids": "token_ids",
    "which tokens were refused": "refused_tokens",
    "p and q": "probabilities",
    "times of drafting and verifying, apart": "parts_of_time",
    "the draft can be chosen with a request": "draft_choice",
    "draft length and cutoffs of a request are obeyed": "draft_settings",
}
SERVERS = {
    "llama-server": known.LLAMA_SERVER_TELLS,
    "LM Studio": known.LM_STUDIO_TELLS,
    "specviz serve": known.SPECVIZ_TELLS,
    "vLLM": known.VLLM_TELLS,
}


def test_the_matrix_of_the_docs():
    text = (Path(__file__).parents[3] / "docs" / "remote.md").read_text()
    head, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    servers = [name.strip() for name in head if name.strip()]
    assert servers == list(SERVERS)
    told = {label: answers for label, *answers in rows}
    assert TABLE.keys() <= told.keys()
    for label, field in TABLE.items():
        for server, answer in zip(servers, told[label], strict=True):
            assert answer.startswith("yes") == getattr(SERVERS[server], field), (label, server)


def test_notes_name_what_is_missing_and_no_more():
    assert known.LLAMA_SERVER_TELLS.note.startswith("the server does not tell which tokens were refused, p and q")
    assert "who proposed" not in known.LLAMA_SERVER_TELLS.note
    assert "its own" not in known.SPECVIZ_TELLS.note and "nobody else" in known.VLLM_TELLS.note

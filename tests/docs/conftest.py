"""A quick pair in place of every pair that a page loads, and answers of few tokens."""

import pytest

import specviz.pair
from specviz.decoding import check_settings
from specviz.models import demo_drafts
from specviz.pair import find_draft

MAX_TOKENS = 24


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Load the 22m draft as any main model, with the 12m one unless the page names another of the demo's."""
    known = {size: model for model in demo_drafts() for size in ("12m", "17m", "22m") if size in model.name}

    def quick_draft(draft, main):
        named = [size for size in known if size in str(draft)]
        off = draft is None or str(draft) in ("", "none", "ngram")
        return find_draft(draft, main) if off else known[named[0] if named else "12m"]

    def few_tokens(**given):
        if given.get("ignore_eos"):
            return check_settings(**given)  # a measurement, which needs all of them
        return check_settings(**given | {"max_tokens": min(given.get("max_tokens") or MAX_TOKENS, MAX_TOKENS)})

    monkeypatch.setattr(specviz.pair, "find_main", lambda main, engine=None: known["22m"])
    monkeypatch.setattr(specviz.pair, "find_draft", quick_draft)
    monkeypatch.setattr(specviz.pair, "check_settings", few_tokens)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.jsonl").write_text('{"prompt": "Count to ten.", "category": "counting"}\n')

"""What is asked of a pair in which a model cannot be rewound, whatever the engine."""

from __future__ import annotations

from pathlib import Path

import specviz as sv
from specviz.trace import StopReason


def decoded_plainly(main: Path, draft: Path, culprit: str) -> None:
    """The text is that without a draft, also from a used cache, and the trace names the model that is in the way."""
    asked = {"max_tokens": 12, "ignore_eos": True}
    with sv.load(main, None) as plain:
        expected = plain.generate("abc", **asked)
        assert not expected.summary.notes
    with sv.load(main, draft) as pair:
        for drafted_by in ("auto", "ngram"):
            trace = pair.generate("abc", baseline_tokens=4, draft=drafted_by, **asked)
            pair.generate("cba", **asked)
            assert trace.token_ids == expected.token_ids
            if drafted_by == "ngram" and culprit == draft.name.removesuffix(".gguf"):
                continue
            assert trace.header.draft is None and trace.header.drafter == "none" and not trace.baselines
            (note,) = trace.summary.notes
            assert note.startswith(f"decoded plainly: {culprit} is a recurrent or hybrid model")
            assert trace.summary.stop_reason == StopReason.MAX_TOKENS

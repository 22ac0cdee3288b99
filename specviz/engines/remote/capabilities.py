"""What a server tells of speculative decoding; what it does not is left out, never guessed."""

from __future__ import annotations

from msgspec import Struct


class Capabilities(Struct, frozen=True, kw_only=True):
    """What can be learned of a generation from a server."""

    rounds: bool
    """Where each round begins and ends, and how many of its drafted tokens were accepted."""
    totals: bool
    """How many tokens were drafted and accepted in all."""
    token_ids: bool
    refused_tokens: bool = False
    """Which tokens were refused."""
    probabilities: bool = False
    """p and q."""
    parts_of_time: bool = False
    """How long drafting and verifying took, apart."""
    draft_choice: bool = False
    """The draft model can be chosen with a request."""
    draft_settings: bool = False
    """Draft length and cutoffs of a request are obeyed."""
    shared_totals: bool = False
    """Totals are of the whole server: they are a generation's only while nobody else asks."""

    def rows(self) -> list[tuple[str, bool]]:
        """Return what there is to tell, in words, and whether it is told."""
        return [
            ("who proposed which token", self.rounds),
            ("how many were drafted and accepted", self.totals and not self.shared_totals),
            ("which tokens were refused", self.refused_tokens),
            ("p and q", self.probabilities),
            ("times of drafting and verifying", self.parts_of_time),
            ("obeys draft length and cutoff", self.draft_settings),
            ("lets the draft be chosen", self.draft_choice),
        ]

    @property
    def note(self) -> str:
        """What is missing, as a sentence for the reader of a trace."""
        missing = [
            words
            for told, words in (
                (self.rounds, "who proposed which token"),
                (self.refused_tokens, "which tokens were refused"),
                (self.probabilities, "p and q"),
                (self.parts_of_time, "how long drafting and verifying took"),
            )
            if not told
        ]
        parts = [f"the server does not tell {', '.join(missing)}"] if missing else []
        if not self.draft_settings:
            parts.append("draft length and cutoffs are its own")
        if self.shared_totals:
            parts.append("its totals are right only while nobody else asks it")
        return "; ".join(parts)


LLAMA_SERVER_TELLS = Capabilities(rounds=True, totals=True, token_ids=True)
"""With `timings_per_token` (server-context.cpp): counts after every token. Draft settings of a request are switched off
in its sources (server-schema.cpp, "we disable speculative parameter adjustments for now")."""
LM_STUDIO_TELLS = Capabilities(rounds=False, totals=True, token_ids=False, draft_choice=True)
"""REST API v0: `stats` with the last chunk. Not tried with LM Studio itself."""
SPECVIZ_TELLS = Capabilities(rounds=False, totals=True, token_ids=False, draft_choice=True, draft_settings=True)
"""`specviz serve`, through the same API."""
VLLM_TELLS = Capabilities(rounds=False, totals=True, token_ids=False, shared_totals=True)
"""Counters of `/metrics`, before and after. Not tried with vLLM itself."""

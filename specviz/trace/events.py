"""The events of a generation, in the order in which they happen.

    Header, then any number of (Pieces | Baseline | Round), then Summary

The same objects travel from the engine host to the kernel (as MessagePack) and into a file (as JSON lines), so that
there is one data model and one validation. All are immutable.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

SCHEMA_VERSION = 1

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0)]
Count = Annotated[int, Meta(ge=0)]
TokenId = Annotated[int, Meta(ge=0, lt=2**31)]
Candidates = tuple[tuple[TokenId, Probability], ...]
"""The most probable tokens of one position with their probabilities, best first."""
UNTOLD = 2**31 - 1
"""Id of a drafted token that a remote server did not name."""


class Provenance(StrEnum):
    """Where an output token came from."""

    ACCEPTED = "accepted"
    """Drafted, and kept by the rule."""
    CORRECTION = "correction"
    """The main model's own token in place of a refused one."""
    BONUS = "bonus"
    """The main model's own token after a draft that was accepted whole."""
    PLAIN = "plain"
    """The main model's own token in a round that sent no draft."""


class Fate(StrEnum):
    """What became of a drafted token. Each has exactly one."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The first that the rule did not take; at most one a round."""
    DISCARDED = "discarded"
    """Sent, but stood after the refused one: never compared."""
    UNSENT = "unsent"
    """Drafted, dropped before the verify pass: a cutoff or a stop."""
    PAST_END = "past_end"
    """The rule took it, a stop cut it off."""


class StopReason(StrEnum):
    """Why a generation ended, in LM Studio's words."""

    USER_STOPPED = "userStopped"
    MODEL_UNLOADED = "modelUnloaded"
    FAILED = "failed"
    EOS_FOUND = "eosFound"
    STOP_STRING_FOUND = "stopStringFound"
    TOOL_CALLS = "toolCalls"
    MAX_TOKENS = "maxPredictedTokensReached"
    CONTEXT_LENGTH = "contextLengthReached"


class Placement(Struct, frozen=True, kw_only=True):
    """Where a model really is and what it takes there, as the engine tells after loading it; not what was asked for.

    `str()` says it in a few words.
    """

    devices: tuple[str, ...]
    """With weights on them: GPUs first, each with what it is, such as `CUDA0 (NVIDIA H100)`; then `CPU`."""
    n_layers: Count = 0
    """Layers of the model, its output layer included."""
    n_gpu_layers: Count = 0
    """How many of them lie on a GPU."""
    kv_type: str = ""
    """Of the numbers in its KV cache."""
    flash_attention: bool = False
    n_threads: Count = 0
    weights_bytes: Count = 0
    """A model in two roles has its weights once, and they are counted for both."""
    cache_bytes: Count = 0
    compute_bytes: Count = 0
    """Buffers of forward passes."""

    @property
    def total_bytes(self) -> int:
        """Memory of all of it: weights, cache and buffers."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes

    def __str__(self) -> str:
        gpus = [device for device in self.devices if device != "CPU"]
        where = f"{self.n_gpu_layers} of {self.n_layers} layers on {', '.join(gpus)}" if gpus else "on CPU"
        threads = f"{self.n_threads} thread{'' if self.n_threads == 1 else 's'}"
        cache = f"{_megabytes(self.cache_bytes)} {self.kv_type} cache"
        memory = f"{_megabytes(self.weights_bytes)} weights, {cache}, {_megabytes(self.compute_bytes)} buffers"
        return f"{where}, {threads}, {memory}"


def _megabytes(n: int) -> str:
    return f"{n / 1e6:,.0f} MB"


class ModelInfo(Struct, frozen=True, kw_only=True):
    """A model as a trace remembers it. Holds the file's name, never its path."""

    name: str
    architecture: str = ""
    quantization: str = ""
    n_params: Count = 0
    n_vocab: Count = 0
    n_ctx: Count = 0
    """Tokens that the context could hold in this run."""
    size_bytes: Count = 0
    placement: Placement | None = None
    """None: not told (traces of older versions, other engines)."""


class Settings(Struct, frozen=True, kw_only=True):
    """How a generation was asked for; what may be asked is checked in `specviz.decoding.settings`."""

    max_tokens: int | None = 256
    """None: until the context is full."""
    temperature: float = 0.0
    top_k: int = 0
    """Sample from the k most probable tokens only; 0: from all."""
    top_p: float = 1.0
    """Sample from the fewest most probable tokens that together have this probability."""
    min_p: float = 0.0
    """Sample from tokens that have at least this share of the most probable one's probability."""
    repeat_penalty: float = 1.0
    """Divides the (positive) logits of recent tokens."""
    repeat_last_n: int = 64
    """How many tokens count as recent."""
    rule: str = "match"
    """Acceptance rule: `match` or `rejection`."""
    num_draft_tokens: int | Literal["auto"] = 4
    """Length of a draft; `auto`: chosen round by round by what pays (`specviz.decoding.auto`)."""
    p_min: float = 0.0
    """Drafting stops where the draft model gives its favourite token less than this probability."""
    entropy_max: float | None = None
    """Drafting stops where the entropy of the draft's distribution exceeds this, in nats; None: never."""
    n_min: int = 0
    """Shorter drafts are dropped."""
    seed: int | None = None
    ignore_eos: bool = False
    """End-of-generation tokens are never chosen, by neither model."""
    stop: tuple[str, ...] = ()
    json_schema: str = ""
    """The answer is JSON that follows this schema (as JSON text; `{}`: any); empty: it is free. llama.cpp only."""
    detail: bool = True
    """Record p, q, ranks and the top candidates."""
    n_candidates: int = 5
    """How many of the most probable tokens of each position are recorded."""
    baseline_tokens: int = 0
    """Length of the plain stretches that measure the baseline, in tokens; 0: none."""
    baseline_every: int = 256
    """A stretch is measured at the start and again after this many output tokens."""


class Header(Struct, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """The first event: what is about to run."""

    format: Literal["specviz-trace"] = "specviz-trace"
    version: int = SCHEMA_VERSION
    created: str = ""
    """ISO 8601, UTC."""
    specviz: str = ""
    engine: str = ""
    main: ModelInfo
    draft: ModelInfo | None = None
    drafter: str = "none"
    """`model`, `ngram`, `none`; or `remote`: a server drafts, and does not tell who proposed which token."""
    rule: str = "match"
    settings: Settings = Settings()
    prompt: str = ""
    """The text the user gave (of a chat: the last user message)."""
    prompt_ids: tuple[TokenId, ...] = ()
    continued: Count = 0
    """How many of the last prompt tokens are the output of the trace that this one continues."""
    threads: Count = 0
    """CPU threads asked for, of the main model; `placement` of each model says what it got."""


class Pieces(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="pieces"):
    """Texts of token ids that later events use for the first time."""

    text: dict[TokenId, str] = {}
    raw: dict[TokenId, bytes] = {}
    """Pieces that are no complete UTF-8 (base64 in a file)."""
    control: tuple[TokenId, ...] = ()
    """Ids, of those above, that carry no text of the answer: end of turn and the like."""

    @classmethod
    def of(cls, pieces: dict[int, bytes], control: Iterable[int] = ()) -> Pieces:
        """Sort pieces by whether they are text."""
        text: dict[int, str] = {}
        raw: dict[int, bytes] = {}
        for id, piece in sorted(pieces.items()):
            try:
                text[id] = piece.decode()
            except UnicodeDecodeError:
                raw[id] = piece
        return cls(text=text, raw=raw, control=tuple(sorted(control)))


class Baseline(Struct, frozen=True, kw_only=True, tag_field="type", tag="baseline"):
    """A stretch of plain decoding, measured in the run itself and then rewound: its tokens are not output."""

    start: Count
    """Output tokens that stood when it was measured."""
    n_tokens: Annotated[int, Meta(ge=1)]
    seconds: Seconds
    time: Seconds
    """When it began, in seconds since the generation started."""

    @property
    def tokens_per_second(self) -> float:
        """Plain decoding speed of this stretch."""
        return self.n_tokens / self.seconds if self.seconds > 0 else 0.0


class AutoInputs(Struct, frozen=True, kw_only=True):
    """What the policy `auto` decided a round's draft on: its estimates before the round."""

    tokens_per_second: float
    """Best long-run rate that drafting, or not, promises: the price of a second."""
    draft_seconds: Seconds
    """Of one drafted token."""
    verify_seconds: tuple[Seconds, ...]
    """Of passes of width 1, 2, ... up to 1 + the kept tokens."""
    acceptance: tuple[Probability, ...]
    """Of each drafted token, given that those before it are accepted."""


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a draft-length policy decided in a round, and on what.

    Its limits stand in the settings; what it saw of the draft stands in `confidence` and `entropy`.
    """

    ended: str
    """Why drafting ended: `length`, `p_min`, `entropy`, `auto`, `probe` (drafted to be compared, not sent), `end` (an
    end token), `room` (token limit or context)."""
    kept: Count
    """Drafted tokens that no cutoff stopped; where fewer were sent, the policy dropped the rest."""
    confidence: tuple[Probability, ...] = ()
    """At each position: the draft's probability of its favourite token (an n-gram drafter's trust). Empty where the
    policy does not look."""
    entropy: tuple[Annotated[float, Meta(ge=0.0)], ...] = ()
    """At each position: entropy of the draft's distribution, in nats."""
    auto: AutoInputs | None = None


class Round(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="round"):
    """One draft-then-verify step.

    `k = len(drafted)` tokens were drafted, the first `sent` of them went to the main model, which took `accepted` of
    them into the output and closed the round with a token of its own, unless a stop ended it first.

    Sequences over drafted tokens have length `k` (`q`, `draft_top`) or `sent` (`p`, `rank`), `main_top` has length
    `sent + 1`; they are empty where detail was off.
    """

    index: Count
    start: Count
    """Index in the output of the first token of this round."""
    drafted: tuple[TokenId, ...] = ()
    sent: Count = 0
    accepted: Count = 0
    past_end: Count = 0
    """Tokens after the accepted ones that the rule took too, cut off by a stop."""
    closing: TokenId | None = None
    q: tuple[Probability | None, ...] = ()
    """Draft model's probability of each drafted token: full-vocabulary softmax at temperature 1. None: the drafter has
    no probabilities."""
    q_sampler: tuple[Probability | None, ...] = ()
    """The same after the draft's sampler; 1 for the greedy choice."""
    p: tuple[Probability, ...] = ()
    """Main model's probability of each sent token, after the tokens before it; softmax at temperature 1."""
    p_sampler: tuple[Probability | None, ...] = ()
    """The same after the main model's sampler: what the rule decided on; None for tokens that it did not compare."""
    rank: tuple[Annotated[int, Meta(ge=1)] | None, ...] = ()
    """Rank, in the draft model's distribution, of the token that the main model chose at each sent position (1: it was
    the draft's favourite). None after a refusal, where the main model chose nothing."""
    closing_p: Probability | None = None
    closing_p_sampler: Probability | None = None
    main_top: tuple[Candidates, ...] = ()
    draft_top: tuple[Candidates, ...] = ()
    decision: Decision | None = None
    """Of the draft-length policy; None where there was nothing to decide."""
    time: Seconds = 0.0
    """When the round began, in seconds since the generation started."""
    draft_seconds: Seconds = 0.0
    verify_seconds: Seconds = 0.0
    other_seconds: Seconds = 0.0
    """All the rest up to the round's end: sampling, recording, rollback."""

    def __post_init__(self) -> None:
        k = len(self.drafted)
        if not self.sent <= k:
            raise ValueError(f"sent is {self.sent}, but only {k} tokens were drafted")
        if not self.accepted + self.past_end <= self.sent:
            raise ValueError(f"accepted + past_end is {self.accepted + self.past_end}, but sent is {self.sent}")
        for name, length in (
            ("q", k),
            ("q_sampler", k),
            ("draft_top", k),
            ("p", self.sent),
            ("p_sampler", self.sent),
            ("rank", self.sent),
            ("main_top", self.sent + 1),
        ):
            value = getattr(self, name)
            if value and len(value) != length:
                raise ValueError(f"{name} has {len(value)} entries, expected {length}")

    @property
    def emitted(self) -> tuple[int, ...]:
        """Ids of the output tokens of this round."""
        kept = self.drafted[: self.accepted]
        return kept if self.closing is None else (*kept, self.closing)

    @property
    def refused(self) -> bool:
        """Whether the rule refused a token of this round."""
        return self.accepted + self.past_end < self.sent

    @property
    def closing_provenance(self) -> Provenance | None:
        """Provenance of the closing token; None where a stop left the round without one."""
        if self.closing is None:
            return None
        if self.sent == 0:
            return Provenance.PLAIN
        return Provenance.CORRECTION if self.refused else Provenance.BONUS

    @property
    def provenance(self) -> tuple[Provenance, ...]:
        """Provenance of each output token of this round."""
        closing = self.closing_provenance
        return (Provenance.ACCEPTED,) * self.accepted + (() if closing is None else (closing,))

    @property
    def fates(self) -> tuple[Fate, ...]:
        """Fate of each drafted token."""
        taken = self.accepted + self.past_end
        refused = int(self.refused)
        return (
            (Fate.ACCEPTED,) * self.accepted
            + (Fate.PAST_END,) * self.past_end
            + (Fate.REFUSED,) * refused
            + (Fate.DISCARDED,) * (self.sent - taken - refused)
            + (Fate.UNSENT,) * (len(self.drafted) - self.sent)
        )

    @property
    def seconds(self) -> float:
        """The whole time of the round."""
        return self.draft_seconds + self.verify_seconds + self.other_seconds


class Reported(Struct, frozen=True, kw_only=True):
    """Totals of drafting that a remote server told, where its rounds are not known."""

    accepted: Count
    rejected: Count
    """Refused or discarded."""
    ignored: Count
    """Never sent, or past the end."""
    tokens_per_second: float | None = None
    draft_model: str = ""
    output_tokens: Count = 0
    """0: not told; then what came in one piece counts as a token."""


class Summary(Struct, frozen=True, kw_only=True, tag_field="type", tag="summary"):
    """The last event: how it ended."""

    stop_reason: StopReason
    prompt_reused: Count = 0
    """Prompt tokens of the main model that were still in its cache."""
    prompt_seconds: Seconds = 0.0
    """Time of prompt processing, both models."""
    calibration_seconds: Seconds = 0.0
    """Time of measuring the main model's passes, where the policy had to know them and did not yet."""
    time_to_first_token: Seconds | None = None
    """From the start of prompt processing to the first output token, baseline stretches left out."""
    error: str = ""
    notes: tuple[str, ...] = ()
    """What a reader should know, such as why drafting was switched off."""
    reported: Reported | None = None


Event = Header | Pieces | Baseline | Round | Summary

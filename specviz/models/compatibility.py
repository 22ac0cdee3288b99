"""Whether one model can draft for another, and why not: by the facts, and by the rules of llama.cpp and of MLX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from specviz.models.card import DamagedModelError, ModelCard, Tokenizer
from specviz.models.library import printable
from specviz.models.reading import read_path
from specviz.models.vocabulary import TokenDifference, Vocabulary

MAX_SIZE_DIFFERENCE = 128
FIRST_COMPARED_TOKEN = 5
"""SPEC_VOCAB_MAX_SIZE_DIFFERENCE and SPEC_VOCAB_CHECK_START_TOKEN_ID of llama.cpp's common/speculative.cpp."""

Strictness = Literal["whole", "rule", "none"]
"""`whole`: kind, size, every token, special tokens and flags agree. `rule`: the engine takes the pair, and what differs
lies where its rule does not look. `none`: it does not."""


class VocabularyDifference(Struct, frozen=True):
    """Where the token texts of two vocabularies first differ, among the ids that both have; None: nowhere."""

    anywhere: TokenDifference | None = None
    compared: TokenDifference | None = None
    """Among the tokens that llama.cpp compares, as it reads them."""

    def swapped(self) -> VocabularyDifference:
        """Return the same with main and draft exchanged."""
        anywhere, compared = (None if token is None else token.swapped() for token in (self.anywhere, self.compared))
        return VocabularyDifference(anywhere, compared)


class Compatibility(Struct, frozen=True, kw_only=True):
    """What there is to say about a main model and a draft model."""

    main: str
    draft: str
    """Their names."""
    compatible: bool
    """Whether the engine that runs both can use the draft."""
    strictness: Strictness
    reasons: tuple[str, ...] = ()
    """If not compatible, why, the decisive one first; if compatible, what differs all the same. Without full stops."""
    llamacpp_accepts: bool = False
    """By the rule of llama.cpp (`common_speculative_are_compatible`), whatever the format of the files."""
    mlx_accepts: bool = False
    """By the rule of mlx-lm and LM Studio: tokenizers of equal `vocab_size`, and no look at any token."""
    kinds: tuple[str, str] = ("", "")
    sizes: tuple[int, int] = (0, 0)
    first_difference: TokenDifference | None = None
    """The first token, of all that both have, whose text differs."""
    bos: tuple[int | None, int | None] = (None, None)
    eos: tuple[int | None, int | None] = (None, None)
    add_bos: tuple[bool, bool] = (False, False)
    add_eos: tuple[bool, bool] = (False, False)

    def __bool__(self) -> bool:
        return self.compatible

    def __str__(self) -> str:
        can = "can draft" if self.compatible else "cannot draft"
        also = {"whole": ": their vocabularies are the same", "rule": ", though they differ:", "none": ":"}
        llamacpp, mlx = (
            "accepts the pair" if accepts else "refuses it" for accepts in (self.llamacpp_accepts, self.mlx_accepts)
        )
        lines = [
            f"{self.draft} {can} for {self.main}{also[self.strictness]}",
            *(f"- {reason}" for reason in self.reasons),
            f"llama.cpp's rule: {llamacpp}; MLX's rule: {mlx}",
        ]
        return "\n".join(map(printable, lines))


def compare(main: ModelCard | str | Path, draft: ModelCard | str | Path) -> Compatibility:
    """Say whether one model can draft for another, reading both (0.1 s; `Library.compare` remembers).

    Parameters
    ----------
    main, draft
        A card, a GGUF file (any part of a split one) or an MLX folder.

    Raises
    ------
    FileNotFoundError
        If a path leads to no model.
    """
    read = [read_path(model.path if isinstance(model, ModelCard) else model) for model in (main, draft)]
    (main_card, main_vocabulary), (draft_card, draft_vocabulary) = read

    def difference() -> VocabularyDifference:
        if main_vocabulary is None or draft_vocabulary is None:
            raise DamagedModelError("has no token list")
        return vocabulary_difference(main_vocabulary, draft_vocabulary)

    return compare_cards(main_card, draft_card, difference)


def vocabulary_difference(main: Vocabulary, draft: Vocabulary) -> VocabularyDifference:
    """Compare two vocabularies whole, and as llama.cpp does.

    llama.cpp compares C strings, which end at a zero byte, and reads an empty text of token i as `[EMPTY_i]`.
    """
    anywhere = main.first_difference(draft)
    compared = main.first_difference(draft, FIRST_COMPARED_TOKEN)
    if compared is not None and _as_c(compared.id, compared.main) == _as_c(compared.id, compared.draft):
        compared = next(
            (
                TokenDifference(id, a, b)
                for id, (a, b) in enumerate(zip(main.texts(), draft.texts(), strict=False))
                if id >= FIRST_COMPARED_TOKEN and _as_c(id, a) != _as_c(id, b)
            ),
            None,
        )
    return VocabularyDifference(anywhere, compared)


def _as_c(id: int, text: bytes) -> bytes:
    return text.split(b"\0", 1)[0] if text else b"[EMPTY_%d]" % id


def compare_cards(main: ModelCard, draft: ModelCard, difference: Callable[[], VocabularyDifference]) -> Compatibility:
    """Say whether one model can draft for another.

    Parameters
    ----------
    main, draft
        What is known of them.
    difference
        Compares their vocabularies; called only if both have one and the digests differ.
    """
    a, b = main.tokenizer, draft.tokenizer
    unusable = [reason for role, card in (("main", main), ("draft", draft)) if (reason := _unusable(role, card))]
    if unusable or a is None or b is None:
        return Compatibility(
            main=main.name, draft=draft.name, compatible=False, strictness="none", reasons=tuple(unusable)
        )
    texts = VocabularyDifference() if a.digest == b.digest or "" in (a.digest, b.digest) else difference()
    objections = llamacpp_objections(a, b, texts.compared)
    remarks = _remarks(a, b, texts.anywhere)
    if main.format != draft.format:
        refusals = [_different_engines(main, draft), *objections[:1]]
    elif main.format == "gguf":
        refusals = objections
    else:
        refusals = _mlx_objections(a, b, texts.compared)
    return Compatibility(
        main=main.name,
        draft=draft.name,
        compatible=not refusals,
        strictness="none" if refusals else "rule" if remarks else "whole",
        reasons=tuple(refusals or remarks),
        llamacpp_accepts=not objections,
        mlx_accepts=mlx_accepts(a, b),
        kinds=(a.kind, b.kind),
        sizes=(a.n_vocab, b.n_vocab),
        first_difference=texts.anywhere,
        bos=(a.bos, b.bos),
        eos=(a.eos, b.eos),
        add_bos=(a.add_bos, b.add_bos),
        add_eos=(a.add_eos, b.add_eos),
    )


def llamacpp_objections(main: Tokenizer, draft: Tokenizer, compared: TokenDifference | None) -> list[str]:
    """Say what llama.cpp has against a pair, in the order of `common_speculative_are_compatible`; empty: nothing."""
    objections = []
    if main.kind != draft.kind:
        objections.append(f"their tokenizers are of different kinds ({main.kind} and {draft.kind})")
    for name in ("bos", "eos"):
        adds, draft_adds = getattr(main, f"add_{name}"), getattr(draft, f"add_{name}")
        id, draft_id = getattr(main, name), getattr(draft, name)
        if adds != draft_adds:
            objections.append(f"only the {'main model' if adds else 'draft'} adds the {name.upper()} token to a prompt")
        elif adds and id != draft_id:
            objections.append(f"their {name.upper()} tokens differ ({_id(id)} and {_id(draft_id)})")
    if abs(main.n_vocab - draft.n_vocab) > MAX_SIZE_DIFFERENCE:
        objections.append(f"their vocabularies have {main.n_vocab:,} and {draft.n_vocab:,} tokens")
    if compared is not None:
        objections.append(_token(compared))
    return objections


def mlx_accepts(main: Tokenizer, draft: Tokenizer) -> bool:
    """Whether mlx-lm takes a pair (mlx_lm/generate.py: equal `tokenizer.vocab_size`, which leaves out added tokens).

    A GGUF does not say which tokens were added; there all count.
    """
    if main.n_base and draft.n_base:
        return main.n_base == draft.n_base
    return main.n_vocab == draft.n_vocab


def _mlx_objections(main: Tokenizer, draft: Tokenizer, compared: TokenDifference | None) -> list[str]:
    """A draft with other tokens would run in mlx-lm, and hardly ever be right: we refuse it."""
    objections = []
    if not mlx_accepts(main, draft):
        objections.append(
            f"their tokenizers have {main.n_base:,} and {draft.n_base:,} tokens, and MLX needs equal numbers"
        )
    if compared is not None:
        objections.append(_token(compared))
    return objections


def _remarks(main: Tokenizer, draft: Tokenizer, anywhere: TokenDifference | None) -> list[str]:
    """Say what differs at all."""
    remarks = []
    if main.n_vocab != draft.n_vocab:
        larger = "main model" if main.n_vocab > draft.n_vocab else "draft"
        remarks.append(
            f"the {larger} has {abs(main.n_vocab - draft.n_vocab):,} more tokens ({main.n_vocab:,} and "
            f"{draft.n_vocab:,})"
        )
    if anywhere is not None:
        remarks.append(_token(anywhere))
    for name in ("bos", "eos"):
        id, draft_id = getattr(main, name), getattr(draft, name)
        if id != draft_id:
            remarks.append(f"their {name.upper()} tokens differ ({_id(id)} and {_id(draft_id)})")
    for name in ("kind", "pre", "add_bos", "add_eos"):
        if getattr(main, name) != getattr(draft, name):
            remarks.append(f"{SETTINGS[name]} differs ({getattr(main, name)} and {getattr(draft, name)})")
    return remarks


SETTINGS = {
    "kind": "the kind of tokenizer",
    "pre": "the pre-tokenizer",
    "add_bos": "whether a prompt begins with BOS",
    "add_eos": "whether a prompt ends with EOS",
}


def _unusable(role: str, card: ModelCard) -> str:
    who = f"the {role} {'model ' if role == 'main' else ''}{card.name}"
    if card.damaged:
        return f"{who} {card.damaged}"
    if card.kind not in ("model", "vocabulary"):
        return f"{who} is {WHAT[card.kind]}, which generates no text"
    if card.tokenizer is None:
        return f"{who} has no tokenizer"
    return ""


WHAT = {
    "projector": "a projector for images",
    "adapter": "a LoRA adapter",
    "imatrix": "an importance matrix",
    "embedding": "an embedding model",
    "unknown": "a file that could not be read",
}


def _different_engines(main: ModelCard, draft: ModelCard) -> str:
    mains, drafts = ("a GGUF" if card.format == "gguf" else "an MLX" for card in (main, draft))
    return (
        f"the main model is {mains} model and runs in {main.engine}, the draft is {drafts} model and runs in "
        f"{draft.engine}: take {mains} copy of the draft, or {drafts} copy of the main model"
    )


def _token(difference: TokenDifference) -> str:
    main, draft = difference.shown
    return f"token {difference.id} is {main!r} in the main model and {draft!r} in the draft"


def _id(id: int | None) -> str:
    return "none" if id is None else str(id)

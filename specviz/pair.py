"""A pair of models, ready to generate: what `specviz.load` returns."""

from __future__ import annotations

import contextlib
import os
import secrets
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

from specviz.decoding import check_settings
from specviz.decoding.settings import MAX_SEED
from specviz.engines import messages as m
from specviz.engines.chat import Message
from specviz.engines.client import Call, Client, InProcessClient, decode_event, shared_client
from specviz.engines.errors import EngineError, PromptError
from specviz.models import LocalModel, demo_drafts, demo_mains, find_model
from specviz.trace import Event, Header, ModelInfo, Round, StopReason, Summary, Trace

Prompt = str | Sequence[Message] | Trace
DEFAULT_ENGINE = "llama.cpp"
NGRAM = "ngram"


def load(
    main: str | Path = "auto",
    draft: str | Path | None = "auto",
    *,
    engine: str | None = None,
    n_ctx: int | None = None,
    n_threads: int | None = None,
    n_gpu_layers: int = 0,
    draft_gpu_layers: int = 0,
    in_process: bool = False,
) -> Pair:
    """Load a main model and a draft model.

    Parameters
    ----------
    main
        A GGUF file, or a part of a known model's name; `"auto"`: the demo model.
    draft
        The same for the draft; `"auto"`: the demo draft where the main model is a demo model, else none;
        `"ngram"`: no model, n-grams of the text are looked up; `None`, `""` or `"none"`: off, plain decoding.
    engine
        `"llama.cpp"`, which is the default.
    n_ctx
        Tokens of prompt and answer that fit; None: what the main model was trained for, at most 4,096.
    n_threads
        CPU threads; None: one less than there are physical cores, since llama.cpp slows down a hundredfold when it
        shares all cores with a browser.
    n_gpu_layers, draft_gpu_layers
        Layers placed on a GPU, of each model; -1: all.
    in_process
        Run the engine in this process; a crash of it is then a crash of yours.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.
    ModelFileError, IncompatibleDraftError, EngineMissingError
        If it cannot be loaded, does not fit, or the engine is not installed.

    Examples
    --------
    >>> with sv.load() as pair:
    ...     trace = pair.generate("Explain the Pythagorean theorem")
    """
    _positive("n_ctx", n_ctx)
    _positive("n_threads", n_threads)
    threads = n_threads or default_threads()
    main_model = find_main(main)
    ngram = str(draft).lower() == NGRAM
    draft_model = None if ngram else find_draft(draft, main_model)
    client: Client = InProcessClient() if in_process else shared_client()
    engine = engine or DEFAULT_ENGINE
    try:
        make(main_model, client, engine, threads)
        spec = m.PairSpec(
            engine=engine,
            main=m.ModelSpec(path=str(main_model.path), n_ctx=n_ctx or 0, n_threads=threads, n_gpu_layers=n_gpu_layers),
            draft=None
            if draft_model is None
            else m.ModelSpec(path=str(draft_model.path), n_threads=threads, n_gpu_layers=draft_gpu_layers),
            ngram=ngram,
        )
        return Pair(spec, client, owns_client=in_process)
    except BaseException:
        if in_process:
            client.close()
        raise


def default_threads() -> int:
    """One less than the physical cores we may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable) - 1)


def find_main(main: str | Path) -> LocalModel:
    """Return the main model that an argument of `load` means."""
    if str(main) == "auto":
        return demo_mains()[0]
    if Path(main).suffix.lower() == ".gguf":
        return find_model(main, [])
    return find_model(main, demo_mains())


def find_draft(draft: str | Path | None, main: LocalModel) -> LocalModel | None:
    """Return the draft model that an argument of `load` means; None: off."""
    if draft is None or str(draft).lower() in ("", "none"):
        return None
    if str(draft) == "auto":
        with contextlib.suppress(FileNotFoundError):
            if main.name in {model.name for model in demo_mains()}:
                return demo_drafts()[0]
        return None
    return find_model(draft, demo_drafts())


def make(model: LocalModel, client: Client, engine: str, n_threads: int) -> None:
    """Make a copy that does not exist yet (some seconds), whole or not at all."""
    if model.exists or model.source is None:
        return
    model.path.parent.mkdir(parents=True, exist_ok=True)
    part = model.path.with_name(f"{model.path.name}.{os.getpid()}.part")
    try:
        for _ in client.call(
            m.Requantize,
            engine=engine,
            source=str(model.source),
            target=str(part),
            file_type=model.file_type,
            n_threads=n_threads,
        ):
            pass
        os.replace(part, model.path)
    finally:
        part.unlink(missing_ok=True)


class Generation:
    """A generation under way: iterate over its rounds, or over all its events.

    Attributes
    ----------
    trace : Trace or None
        What has happened so far; None until the prompt has been read.
    phase : str
        `waiting`, `loading`, `prefill`, `generating`, `ended`.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.trace: Trace | None = None
        self.phase = "waiting"
        self.phase_detail = ""

    def cancel(self) -> None:
        """Stop it; it ends within a round and keeps what it has."""
        self._call.cancel()

    def next_event(self, timeout: float | None = None) -> Event | m.Phase | None:
        """Return what comes next; None at the end.

        Raises
        ------
        queue.Empty
            If nothing came within `timeout` seconds.
        EngineError
            If it failed; `error.trace` and `.trace` hold what there was.
        """
        try:
            while (reply := self._call.get(timeout)) is not None:
                if isinstance(reply, m.Phase):
                    self.phase, self.phase_detail = reply.phase, reply.detail
                    return reply
                if isinstance(reply, m.Happened):
                    event = decode_event(reply)
                    self._add(event)
                    return event
        except EngineError as error:
            self.phase = "ended"
            error.trace = self.trace
            if self.trace is not None and self.trace.summary is None:
                self.trace.add(Summary(stop_reason=StopReason.FAILED, error=str(error)))
            raise
        self.phase = "ended"
        return None

    def _add(self, event: Event) -> None:
        if isinstance(event, Header):
            self.trace = Trace(event)
        elif self.trace is not None:
            self.trace.add(event)
            if isinstance(event, Round):
                self.phase = "generating"

    def __iter__(self) -> Iterator[Round]:
        while (event := self.next_event()) is not None:
            if isinstance(event, Round):
                yield event

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: object) -> None:
        if self.phase != "ended":
            self.cancel()
            with contextlib.suppress(EngineError):
                for _round in self:
                    pass


class Pair:
    """A main model with its draft, loaded in an engine. Made by `load`; close it, or use it as a context manager.

    Attributes
    ----------
    main, draft : ModelInfo
        The models as they are loaded (`draft` is None where there is none).
    engine : str
        Name and version of the engine.
    last_trace : Trace or None
        Of the latest generation, also of one that was interrupted or failed.
    """

    def __init__(self, spec: m.PairSpec, client: Client, *, owns_client: bool = False) -> None:
        self.spec = spec
        self._client = client
        self._owns_client = owns_client
        self._generation: Generation | None = None
        self.main: ModelInfo
        self.draft: ModelInfo | None
        for reply in client.call(m.Load, pair=spec):
            if isinstance(reply, m.Loaded):
                self.main, self.draft, self.engine = reply.main, reply.draft, reply.engine
        _open_pairs.add(self)

    @property
    def last_trace(self) -> Trace | None:
        """Trace of the latest generation."""
        return None if self._generation is None else self._generation.trace

    def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int | None = 256,
        temperature: float = 0.0,
        num_draft_tokens: int | Literal["auto"] = 4,
        p_min: float = 0.0,
        seed: int | None = None,
        draft: str | None = "auto",
        raw: bool = False,
        **settings: Any,
    ) -> Trace:
        """Generate an answer and return its trace.

        Parameters
        ----------
        prompt
            A user's text, a list of chat messages (`{"role": ..., "content": ...}`), or a trace to be continued.
        max_tokens
            Output tokens at most; None: until the context is full.
        temperature
            0 is greedy.
        num_draft_tokens
            Tokens drafted in each round; 0: plain decoding; `"auto"`: chosen round by round by what pays here.
        p_min
            Drafting stops where the draft model gives its favourite token less than this probability.
        seed
            Of the sampler; None draws one, which the trace records.
        draft
            `"auto"`: the pair's draft; `"ngram"`: lookup of n-grams in the text so far; None: plain decoding.
        raw
            Continue `prompt` as a text instead of answering it as a chat message.
        **settings
            `top_k`, `top_p`, `min_p`, `repeat_penalty`, `repeat_last_n`, `rule`, `n_min`, `entropy_max`, `ignore_eos`,
            `stop`, `detail`, `n_candidates`, `baseline_tokens`, `baseline_every`: see `specviz.trace.Settings`.

        Raises
        ------
        ValueError, TypeError
            If a setting is out of range or unknown, before anything runs.
        PromptError
            If the prompt is empty or too long.
        EngineError
            If the engine fails; the partial trace is `error.trace`.
        KeyboardInterrupt
            On interrupt the engine is stopped; the partial trace is `pair.last_trace`.
        """
        generation = self.stream(
            prompt,
            max_tokens=max_tokens,
            temperature=temperature,
            num_draft_tokens=num_draft_tokens,
            p_min=p_min,
            seed=seed,
            draft=draft,
            raw=raw,
            **settings,
        )
        with generation:
            for _ in generation:
                pass
        assert generation.trace is not None
        return generation.trace

    def stream(self, prompt: Prompt, *, draft: str | None = "auto", raw: bool = False, **settings: Any) -> Generation:
        """Start a generation and return it; iterating over it yields each `Round` as it happens.

        Parameters and errors are those of `generate`. Leaving a `with` block stops it.
        """
        checked = check_settings(**settings)
        if checked.seed is None:
            checked = check_settings(**settings | {"seed": secrets.randbelow(MAX_SEED)})
        if draft not in ("auto", None, "", "none", NGRAM):
            raise ValueError('draft must be "auto", "ngram" or None here; load another pair to use another draft')
        spec = self.spec
        if draft != "auto":
            spec = m.PairSpec(engine=spec.engine, main=spec.main, ngram=draft == NGRAM)
        call = self._client.call(m.Generate, pair=spec, settings=checked, **_prompt_fields(prompt, raw))
        self._generation = Generation(call)
        return self._generation

    def tokenize(self, text: str) -> list[int]:
        """Return the main model's token ids of a text."""
        ids: list[int] = []
        for reply in self._client.call(m.Tokenize, pair=self.spec, text=_clean(text)):
            if isinstance(reply, m.Tokens):
                ids = list(reply.ids)
        return ids

    def close(self) -> None:
        """Free the models that no other open pair uses."""
        if self not in _open_pairs:
            return
        _open_pairs.discard(self)
        if self._owns_client:
            self._client.close()
            return
        keep = tuple(pair.spec for pair in _open_pairs if pair._client is self._client)
        with contextlib.suppress(EngineError):
            for _ in self._client.call(m.Unload, keep=keep):
                pass

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        draft = self.draft.name if self.draft is not None else "n-gram lookup" if self.spec.ngram else "no draft"
        return f"<Pair {self.main.name} with {draft}, {self.engine}>"


_open_pairs: weakref.WeakSet[Pair] = weakref.WeakSet()


def _prompt_fields(prompt: Prompt, raw: bool) -> dict[str, Any]:
    """Turn what a user gives as a prompt into the fields of a `Generate` request."""
    if isinstance(prompt, Trace):
        ids = prompt.token_ids
        end_found = prompt.summary is not None and prompt.summary.stop_reason == StopReason.EOS_FOUND
        kept = ids[:-1] if end_found else ids
        return {
            "token_ids": (*prompt.header.prompt_ids, *kept),
            "prompt": prompt.header.prompt,
            "continued": prompt.header.continued + len(kept),
        }
    if isinstance(prompt, str):
        text = _clean(prompt)
        if not (text if raw else text.strip()):
            raise PromptError("the prompt is empty")
        if raw:
            return {"text": text, "prompt": text}
        return {"messages": ({"role": "user", "content": text},), "prompt": text}
    messages = []
    for i, message in enumerate(prompt):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise TypeError(f"message {i} must be a dict with role and content")
        messages.append({str(key): _clean(str(value)) for key, value in message.items()})
    if not messages:
        raise PromptError("the prompt is empty: there are no messages")
    return {"messages": tuple(messages), "prompt": messages[-1]["content"]}


def _clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can read."""
    return text.encode("utf-8", "replace").decode()


def _positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")

"""A pair of models, ready to generate: what `specviz.load` returns."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import warnings
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from specviz.decoding import check_settings
from specviz.decoding.settings import MAX_SEED
from specviz.engines import messages as m
from specviz.engines.chat import Message
from specviz.engines.client import Call, Client, InProcessClient, decode_event, shared_client
from specviz.engines.errors import EngineError, EngineMissingError, IncompatibleDraftError, PromptError
from specviz.models import NGRAM_LOOKUP, LocalModel, ModelNotFoundError, demo_drafts, demo_mains, find_model
from specviz.models.card import ENGINES
from specviz.models.compatibility import Compatibility, compare
from specviz.models.convert import FILE_TYPE, mlx_copy
from specviz.models.defaults import NGRAM, NONE, default_draft, set_default_draft
from specviz.models.index import local_models
from specviz.trace import Event, Header, ModelInfo, Round, StopReason, Summary, Trace

if TYPE_CHECKING:
    from specviz.engines.remote.capabilities import Capabilities

Prompt = str | Sequence[Message] | Trace


def load(
    main: str | Path = "auto",
    draft: str | Path | None = "auto",
    *,
    engine: str | None = None,
    n_ctx: int | None = None,
    draft_ctx: int | None = None,
    n_threads: int | None = None,
    draft_threads: int | None = None,
    n_gpu_layers: int = 0,
    draft_gpu_layers: int | None = None,
    main_gpu: int | None = None,
    draft_main_gpu: int | None = None,
    kv_type: str = "f16",
    draft_kv_type: str | None = None,
    flash_attention: bool = True,
    draft_flash_attention: bool | None = None,
    in_process: bool = False,
    api_key: str | None = None,
) -> Pair:
    """Load a main model and a draft model.

    Parameters
    ----------
    main
        A GGUF file, an MLX model's folder, or a part of the name of a demo model or else of any model on this machine
        (which are then looked for: a second, much longer the first time); `"auto"`: the demo model; or the URL of a
        running llama-server, LM Studio, vLLM or `specviz serve` (`attach`).
    draft
        The same for the draft; `"auto"`: what `set_draft` said for the main model, else the demo draft where it is a
        demo model, else none; `"ngram"`: no model, n-grams of the text are looked up; `None`, `""` or `"none"`: off,
        plain decoding.
    engine
        `"llama.cpp"` or `"mlx"`; None: the one that runs the main model, by its format; llama.cpp for the demo, of
        which MLX gets copies that are made on first use.
    n_ctx, draft_ctx
        Tokens of prompt and answer that fit, of each model; None: what the main model was trained for, at most 4,096;
        for the draft the same (a draft whose context is full stops drafting).
    n_threads, draft_threads
        CPU threads; None: one less than there are physical cores, since llama.cpp slows down a hundredfold when it
        shares all cores with a browser; for the draft as many as for the main model.
    n_gpu_layers, draft_gpu_layers
        Layers placed on GPUs, of each model; -1: all. `draft_gpu_layers=None`: all. Without a GPU they stay on the CPU.
    main_gpu, draft_main_gpu
        Number of the one GPU that a model is placed on, from 0; None: its layers are spread over all GPUs, a draft goes
        where the main model does.
    kv_type, draft_kv_type
        Numbers of the KV cache: `"f16"`, `"q8_0"` (half the memory, answers may change) or `"q4_0"` (a quarter); for
        the draft None: as for the main model.
    flash_attention, draft_flash_attention
        Off, greedy answers depend on how many tokens are verified at once; for the draft None: as for the main model.
    in_process
        Run the engine in this process; a crash of it is then a crash of yours.
    api_key
        Of a server.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.
    ModelFileError, IncompatibleDraftError, EngineMissingError
        If it cannot be loaded, does not fit, or the engine is not installed.
    ValueError
        If a number or a word is none of those above; nothing has been loaded then.

    Notes
    -----
    Where the models really are, and the memory they take, is told by `pair.main.placement` and `pair.draft.placement`.
    Placement was seen to be obeyed with CUDA on one H100; several GPUs were not tried.

    Examples
    --------
    >>> with sv.load() as pair:
    ...     trace = pair.generate("Explain the Pythagorean theorem")
    """
    if is_url(main):
        servers_own = draft is None or str(draft).lower() in ("auto", "", NONE)
        return attach(str(main), draft=None if servers_own else str(draft), api_key=api_key)
    threads = default_threads() if n_threads is None else n_threads
    main_spec = _spec("", n_ctx, threads, n_gpu_layers, main_gpu, kv_type, flash_attention)
    draft_spec = _spec(
        "draft_",
        n_ctx if draft_ctx is None else draft_ctx,
        threads if draft_threads is None else draft_threads,
        -1 if draft_gpu_layers is None else draft_gpu_layers,
        main_gpu if draft_main_gpu is None else draft_main_gpu,
        kv_type if draft_kv_type is None else draft_kv_type,
        flash_attention if draft_flash_attention is None else draft_flash_attention,
    )
    main_model = find_main(main, engine)
    draft_model = find_draft(draft, main_model)
    engine = engine_of(main_model)
    ngram = draft_model is NGRAM_LOOKUP
    client: Client = InProcessClient() if in_process else shared_client()
    try:
        for model in (main_model, draft_model):
            if model is not None:
                make(model, client, engine, threads)
        spec = m.PairSpec(
            engine=engine,
            main=msgspec.structs.replace(main_spec, path=str(main_model.path)),
            draft=None
            if draft_model is None or ngram
            else msgspec.structs.replace(draft_spec, path=str(draft_model.path)),
            ngram=ngram,
        )
        return Pair(spec, client, owns_client=in_process)
    except BaseException:
        if in_process:
            client.close()
        raise


def attach(url: str, *, model: str | None = None, draft: str | None = None, api_key: str | None = None) -> Pair:
    """Attach to a server that is running; its traces hold what it tells (`pair.capabilities`), and nothing guessed.

    Parameters
    ----------
    url
        Of a llama-server, of LM Studio, of vLLM (both of which were not tried), or of `specviz serve`.
    model, draft
        Ids of models, where the server has several; None: the loaded one, with the draft that the server takes.
    api_key
        That the server wants.

    Raises
    ------
    EngineError
        If nothing answers there, or it is none of these servers.
    """
    from specviz.engines.remote.client import RemoteClient

    client = RemoteClient(url, model=model, draft=draft, api_key=api_key)
    return Pair(m.PairSpec(engine="remote", main=m.ModelSpec(path=url)), client, owns_client=True)


def is_url(main: str | Path) -> bool:
    """Whether a main model is meant by the URL of a server."""
    return str(main).lower().startswith(("http://", "https://"))


def _spec(
    prefix: str,
    n_ctx: int | None,
    n_threads: int,
    gpu_layers: int,
    main_gpu: int | None,
    kv_type: str,
    flash_attention: bool,
) -> m.ModelSpec:
    """Check how a model is to be placed and return its spec, still without a path."""
    count = prefix or "n_"
    _at_least(1, f"{count}ctx", n_ctx)
    _at_least(1, f"{count}threads", n_threads)
    _at_least(-1, f"{count}gpu_layers", gpu_layers)
    _at_least(0, f"{prefix}main_gpu", main_gpu)
    if kv_type not in m.KV_TYPES:
        raise ValueError(f"{prefix}kv_type must be one of {', '.join(m.KV_TYPES)}, got {kv_type!r}")
    if kv_type != "f16" and not flash_attention:
        raise ValueError(f"{prefix}kv_type {kv_type} needs {prefix}flash_attention")
    return m.ModelSpec(
        path="",
        n_ctx=n_ctx or 0,
        n_threads=n_threads,
        n_gpu_layers=gpu_layers,
        main_gpu=main_gpu,
        kv_type=kv_type,
        flash_attention=flash_attention,
    )


def default_threads() -> int:
    """One less than the physical cores we may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable) - 1)


def find_main(main: str | Path, engine: str | None = None) -> LocalModel:
    """Return the main model that arguments of `load` mean.

    Raises
    ------
    ModelNotFoundError
        If it cannot be found.
    EngineMissingError
        If no engine here runs it, or not the one that is asked for.
    """
    name = None if engine is None else engine_name(engine)
    if str(main) == "auto":
        return in_engine(demo_mains(), name)[0]
    return _find(main, in_engine(_demo_mains(), name), name)


def engine_name(engine: str) -> str:
    """Return an engine's name as it is written here."""
    for name in ENGINES.values():
        if name.lower() == engine.lower():
            return name
    raise EngineMissingError(f"there is no engine {engine!r}; there are {', '.join(ENGINES.values())}")


def engine_of(model: LocalModel) -> str:
    """Return the engine that runs a model."""
    is_mlx = model.path.is_dir() or model.file_type.startswith(FILE_TYPE)
    return ENGINES["mlx" if is_mlx else "gguf"]


def in_engine(models: list[LocalModel], engine: str | None) -> list[LocalModel]:
    """Return demo models as an engine takes them."""
    return [mlx_copy(model) for model in models] if engine == ENGINES["mlx"] else models


def find_draft(draft: str | Path | None, main: LocalModel) -> LocalModel | None:
    """Return the draft that an argument of `load` means: a model, `NGRAM_LOOKUP`, or None: off.

    Raises
    ------
    ModelNotFoundError, EngineMissingError
        As for `find_main`.
    """
    word = NONE if draft is None else str(draft).lower()
    if word == "auto":
        return _auto_draft(main)
    if word in ("", NONE):
        return None
    return NGRAM_LOOKUP if word == NGRAM else _find(str(draft), in_engine(demo_drafts(), engine_of(main)))


def check(main: str | Path, draft: str | Path) -> Compatibility:
    """Say whether a draft model fits a main model, and if not, why: `print` it. Only their files' metadata is read.

    Parameters
    ----------
    main
        As for `load`.
    draft
        A model, as for `load`.

    Raises
    ------
    ModelNotFoundError, EngineMissingError
        If a model cannot be found, or no engine here runs it.

    Examples
    --------
    >>> print(sv.check("f16", "12m"))
    """
    main_model = find_main(main)
    return compare(main_model.readable, _find(draft, in_engine(demo_drafts(), engine_of(main_model))).readable)


def set_draft(main: str | Path, draft: str | Path | None, *, remember: bool = False) -> None:
    """Say which draft `"auto"` means for a main model.

    Parameters
    ----------
    main
        As for `load`.
    draft
        As for `load`: a model, `"ngram"`, or None: off. `"auto"`: what was said before is forgotten.
    remember
        Also for sessions to come; otherwise only in this one.

    Raises
    ------
    ModelNotFoundError, EngineMissingError
        If a model cannot be found, or no engine here runs it.
    IncompatibleDraftError
        If the draft does not fit the main model.
    OSError
        If it cannot be remembered.

    Examples
    --------
    >>> sv.set_draft("f16", "12m", remember=True)
    >>> sv.load("f16")                                   # with the draft 12m
    """
    main_model = find_main(main)
    key = os.path.realpath(main_model.path)
    said = None
    if draft is None or str(draft).lower() != "auto":
        chosen = find_draft(draft, main_model)
        said = NONE if chosen is None else NGRAM if chosen is NGRAM_LOOKUP else str(chosen.path)
        if chosen is not None and chosen is not NGRAM_LOOKUP and (problem := _misfit(main_model, said)):
            raise IncompatibleDraftError(f"{chosen.name} cannot draft for {main_model.name}: {problem}")
    if remember:
        set_default_draft(main_model.path, said)
    if remember or said is None:
        _session_drafts.pop(key, None)
    else:
        _session_drafts[key] = said


_session_drafts: dict[str, str] = {}
"""Main model's real path -> a draft's path, `ngram` or `none`."""


def _auto_draft(main: LocalModel) -> LocalModel | None:
    """Return what was said for this session, else what is remembered, else the demo draft of a demo main."""
    for said in (_session_drafts.get(os.path.realpath(main.path)), default_draft(main.path)):
        if said is None:
            continue
        if said in (NONE, NGRAM):
            return NGRAM_LOOKUP if said == NGRAM else None
        problem = _misfit(main, said)
        if not problem:
            return find_model(said, [])
        warnings.warn(f"{said}, the default draft of {main.name}, is not used: {problem}", stacklevel=4)
    engine = engine_of(main)
    demo = {model.name for model in in_engine(_demo_mains(), engine)}
    return in_engine(demo_drafts(), engine)[0] if main.name in demo else None


def _misfit(main: LocalModel, draft: str) -> str:
    """Say why a file cannot draft for a main model; empty: it can."""
    try:
        fit = compare(main.readable, draft)
    except FileNotFoundError:
        return "it is gone"
    return "" if fit else fit.reasons[0]


def _demo_mains() -> list[LocalModel]:
    with contextlib.suppress(ModelNotFoundError):
        return demo_mains()
    return []


def _find(name: str | Path, demo: list[LocalModel], engine: str | None = None) -> LocalModel:
    """Return the model that is called `name`, one of the demo's or another on this machine, that an engine runs."""

    def more() -> list[LocalModel]:
        return [model for model in local_models() if engine in (None, engine_of(model))]

    model = find_model(name, demo, more)
    runs_in = engine_of(model)
    if engine in (None, runs_in):
        return model
    copy = "make an MLX copy of it with `specviz models convert`" if engine == "MLX" else "take a GGUF copy of it"
    raise EngineMissingError(f"{model.name} runs in {runs_in}, not in {engine}: {copy}")


def make(model: LocalModel, client: Client, engine: str, n_threads: int) -> None:
    """Make a copy that does not exist yet (some seconds), whole or not at all; if two make it, the first counts."""
    if model.exists or model.source is None:
        return
    model.path.parent.mkdir(parents=True, exist_ok=True)
    part = model.path.with_name(f"{model.path.name}.{secrets.token_hex(4)}.part")
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
        try:
            os.replace(part, model.path)
        except OSError:
            if not model.exists:
                raise
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


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
        self._unread: m.Reply | None = None
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
            while (reply := self._next_reply(timeout)) is not None:
                event = decode_event(reply) if isinstance(reply, m.Happened) else None
                self._unread = None
                if isinstance(reply, m.Phase):
                    self.phase, self.phase_detail = reply.phase, reply.detail
                    return reply
                if event is not None:
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

    def _next_reply(self, timeout: float | None) -> m.Reply | None:
        """Return a reply; the one before it once more, if an interrupt came while it was read."""
        if self._unread is None:
            self._unread = self._call.get(timeout)
        return self._unread

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


class Scores(NamedTuple):
    """What a draft thinks of a text (`specviz.decoding.score`)."""

    favourite: NDArray[np.integer]
    """What it would have proposed at each position, had all before it been accepted; shape (n_tokens,)."""
    confidence: NDArray[np.floating]
    """Its probability of that."""
    probability: NDArray[np.floating]
    """Its probability of what stands there."""
    after: tuple[tuple[float, ...], ...]
    """For each position what follows a miss (`specviz.decoding.continuations`); empty where it was not asked for."""
    pieces: dict[int, bytes]
    """Texts of the favourites, by id."""


Floats = NDArray[np.floating]


class Overlaps(NamedTuple):
    """How far two models agree on a text: `specviz.decoding.Overlap` of all positions, each of shape (n_tokens,)."""

    common: Floats
    product: Floats
    greedy: Floats
    ceiling: Floats
    rank: Floats
    p: Floats
    q: Floats
    main_entropy: Floats
    draft_entropy: Floats


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
    def capabilities(self) -> Capabilities | None:
        """What a remote server tells; None: this is no server, and everything is told."""
        return getattr(self._client, "capabilities", None)

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

    def stream(
        self,
        prompt: Prompt,
        *,
        draft: str | None = "auto",
        raw: bool = False,
        lengths: Sequence[int] = (),
        tools: Sequence[dict[str, Any]] = (),
        **settings: Any,
    ) -> Generation:
        """Start a generation and return it; iterating over it yields each `Round` as it happens.

        Parameters and errors are those of `generate`. Leaving a `with` block stops it. `lengths`, if there are any, are
        the draft lengths of successive rounds, in turn, over and over, in place of `num_draft_tokens`. `tools` are what
        the chat template is told that may be called, in OpenAI's shape.
        """
        checked = check_settings(**settings)
        if checked.seed is None:
            checked = check_settings(**settings | {"seed": secrets.randbelow(MAX_SEED)})
        if draft not in ("auto", None, "", NONE, NGRAM):
            raise ValueError('draft must be "auto", "ngram" or None here; load another pair to use another draft')
        spec = self.spec
        if draft != "auto":
            spec = m.PairSpec(engine=spec.engine, main=spec.main, ngram=draft == NGRAM)
        call = self._client.call(
            m.Generate,
            pair=spec,
            settings=checked,
            lengths=tuple(lengths),
            tools=_clean(tuple(tools)),
            **_prompt_fields(prompt, raw),
        )
        self._generation = Generation(call)
        return self._generation

    def tokenize(self, text: str) -> list[int]:
        """Return the main model's token ids of a text."""
        ids: list[int] = []
        for reply in self._client.call(m.Tokenize, pair=self.spec, text=_clean(text)):
            if isinstance(reply, m.Tokens):
                ids = list(reply.ids)
        return ids

    def score(self, trace: Trace, *, continued: int = 0) -> Scores:
        """Have the draft read a trace's answer, in passes of up to 32 tokens, and say what it thinks of it.

        Parameters
        ----------
        continued
            Tokens that it goes on to draft after each of its misses; much slower.

        Raises
        ------
        EngineError
            If the pair has no draft model.
        PromptError
            If the text does not fit into the draft's context.
        """
        settings = msgspec.structs.replace(trace.header.settings, temperature=0.0)
        for reply in self._client.call(
            m.ScoreText, pair=self.spec, settings=settings, continued=continued, **_text_of(trace)
        ):
            if isinstance(reply, m.Scores):
                texts = {id: text.encode() for id, text in reply.pieces.text.items()} | reply.pieces.raw
                columns = np.array(reply.favourite, int), np.array(reply.confidence), np.array(reply.probability)
                return Scores(*columns, reply.after, texts)
        raise EngineError("the engine gave no scores")

    def compare(self, trace: Trace, **sampling: Any) -> Overlaps:
        """Have both models read a trace's answer, and say how far their distributions agree.

        Parameters
        ----------
        **sampling
            `temperature`, `top_k`, `top_p`, `min_p`, ...: in place of those that the trace was made with.

        Returns
        -------
        Overlaps
            The fields of `specviz.decoding.Overlap`, each an array of shape (n_tokens,).

        Raises
        ------
        ValueError, TypeError
            If a setting is out of range or unknown, or the temperature is 0, where there are no distributions.
        EngineError, PromptError
            As for `score`.
        """
        settings = check_settings(**msgspec.structs.asdict(trace.header.settings) | sampling)
        if settings.temperature == 0:
            raise ValueError("models are compared at a temperature above 0")
        for reply in self._client.call(m.CompareText, pair=self.spec, settings=settings, **_text_of(trace)):
            if isinstance(reply, m.Overlaps):
                columns = np.array(reply.positions, float).reshape(-1, len(Overlaps._fields)).T
                return Overlaps(*columns)
        raise EngineError("the engine gave no comparison")

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

    def cancel(self) -> None:
        """Stop the generation that was started last, if it has not ended."""
        if self._generation is not None and self._generation.phase != "ended":
            self._generation.cancel()

    @property
    def description(self) -> str:
        """Both models and the engine, in words."""
        draft = self.draft.name if self.draft is not None else "n-gram lookup" if self.spec.ngram else "no draft"
        return f"{self.main.name} with {draft}, {self.engine}"

    def __repr__(self) -> str:
        return f"<Pair {self.description}>"


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
    messages: list[Message] = []
    for i, message in enumerate(prompt):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise TypeError(f"message {i} must be a dict with role and content")
        messages.append(
            {
                str(key): _clean(value if isinstance(value, list | tuple | dict) else str(value))
                for key, value in message.items()
            }
        )
    if not messages:
        raise PromptError("the prompt is empty: there are no messages")
    return {"messages": tuple(messages), "prompt": str(messages[-1]["content"])}


def _text_of(trace: Trace) -> dict[str, tuple[int, ...]]:
    return {"prompt_ids": tuple(trace.header.prompt_ids), "token_ids": tuple(trace.token_ids)}


T = TypeVar("T")


def _clean(value: T) -> T:
    """Replace lone surrogates, which no tokenizer can read, in a text or in all texts of plain data."""
    cleaned: Any = value
    match value:
        case str():
            cleaned = value.encode("utf-8", "replace").decode()
        case dict():
            cleaned = {_clean(key): _clean(one) for key, one in value.items()}
        case list() | tuple():
            cleaned = type(value)(_clean(one) for one in value)
    return cast(T, cleaned)


def _at_least(lowest: int, name: str, value: int | None) -> None:
    if value is not None and value < lowest:
        raise ValueError(f"{name} must be at least {lowest}, got {value}")

"""What an engine process does with requests, whichever engine and wherever it runs.

`Service` is used by the host process (`host.py`) and, in-process, by tests and the server. It handles one request at a
time, on one thread for its whole life: MLX arrays do not cross threads, and two generations at once would only share
the cores.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol

import msgspec

from specviz.decoding import (
    CycledLengths,
    Drafter,
    EvaluationStopped,
    Experience,
    FixedLength,
    MainModel,
    NoDrafter,
    Policy,
    continuations,
    decode,
    overlap,
    policy_of,
    score,
)
from specviz.engines import messages as m
from specviz.engines.chat import Message, render_chat
from specviz.engines.errors import EngineError, PromptError
from specviz.engines.ngram import NGramDrafter
from specviz.trace import Header, ModelInfo, Pieces, Settings, StopReason, Summary

Stopped = Callable[[], bool]


class Engine(Protocol):
    """One engine in one process: its models, loaded once, and their caches."""

    name: str

    def load(self, pair: m.PairSpec) -> tuple[ModelInfo, ModelInfo | None]:
        """Load the pair's models where needed; raise if they do not fit each other."""

    def loaded(self, pair: m.PairSpec) -> bool:
        """Whether `load` has nothing to do."""

    def main(self, spec: m.ModelSpec, settings: Settings, stopped: Stopped) -> MainModel:
        """The main model for one generation."""

    def drafter(self, pair: m.PairSpec, settings: Settings, stopped: Stopped) -> Drafter:
        """The draft model for one generation."""

    def tokenize(self, spec: m.ModelSpec, text: str, *, chat: bool) -> list[int]:
        """Token ids; with the names of control tokens understood where the text is a rendered chat."""

    def chat_template(self, spec: m.ModelSpec) -> tuple[str, str, str] | None:
        """Template, BOS and EOS text; None if the model has none."""

    def requantize(self, source: str, target: str, file_type: str, n_threads: int) -> None:
        """Write a copy of a model file in another type."""

    def obstacle(self, pair: m.PairSpec) -> str:
        """Say why a loaded pair is decoded plainly although its draft fits; empty: nothing is in the way."""

    def unload(self, keep: tuple[m.PairSpec, ...]) -> None:
        """Free what no kept pair uses."""


class Service:
    """Handles requests in the calling thread; `cancel` may be called from any.

    Parameters
    ----------
    engine
        Makes an engine by its name, on first use.
    reply
        Called with each reply, in order.
    """

    def __init__(self, engine: Callable[[str], Engine], reply: Callable[[m.Reply], None]) -> None:
        self._make = engine
        self._engines: dict[str, Engine] = {}
        self._reply = reply
        self._cancelled: set[int] = set()
        self._lock = threading.Lock()
        self._encoder = msgspec.msgpack.Encoder()
        self._experience: dict[tuple[m.PairSpec, str, float], Experience] = {}
        """What `auto` has learned, by what it depends on: pair, rule, temperature."""

    def cancel(self, request: int) -> None:
        """Ask a request to stop; it ends within a round (or never starts)."""
        with self._lock:
            self._cancelled.add(request)

    def handle(self, request: m.Request) -> None:
        """Serve one request; replies end with `Done` or `Failed`, whatever happens."""
        try:
            match request:
                case m.Cancel():
                    self.cancel(request.request)
                    return
                case m.Load():
                    engine = self._engine(request.pair.engine)
                    main, draft = self._load(request.id, engine, request.pair)
                    self._reply(m.Loaded(id=request.id, main=main, draft=draft, engine=engine.name))
                case m.Generate():
                    self._generate(request)
                case m.Tokenize():
                    engine = self._engine(request.pair.engine)
                    self._load(request.id, engine, request.pair)
                    ids = engine.tokenize(request.pair.main, request.text, chat=False)
                    self._reply(m.Tokens(id=request.id, ids=tuple(ids)))
                case m.ScoreText():
                    self._score(request)
                case m.CompareText():
                    self._compare(request)
                case m.Requantize():
                    self._engine(request.engine).requantize(
                        request.source, request.target, request.file_type, request.n_threads
                    )
                case m.Unload():
                    for engine in self._engines.values():
                        engine.unload(request.keep)
                    kept = {pair.main for pair in request.keep}
                    self._experience = {key: one for key, one in self._experience.items() if key[0].main in kept}
            self._reply(m.Done(id=request.id))
        except EngineError as error:
            self._reply(m.Failed(id=request.id, kind=type(error).__name__, message=str(error)))
        except Exception as error:
            self._reply(
                m.Failed(
                    id=request.id,
                    kind="EngineError",
                    message=f"the engine failed unexpectedly: {type(error).__name__}: {error}",
                    detail=traceback.format_exc(),
                )
            )
        finally:
            with self._lock:
                self._cancelled.discard(request.id)

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = self._make(name)
        return self._engines[name]

    def _load(self, id: int, engine: Engine, pair: m.PairSpec) -> tuple[ModelInfo, ModelInfo | None]:
        if not engine.loaded(pair):
            self._reply(m.Phase(id=id, phase="loading"))
        return engine.load(pair)

    def _generate(self, request: m.Generate) -> None:
        def stopped() -> bool:
            return request.id in self._cancelled

        def happened(event: object) -> None:
            self._reply(m.Happened(id=request.id, event=msgspec.Raw(self._encoder.encode(event))))

        engine, pair, settings = self._engine(request.pair.engine), request.pair, request.settings
        main_info, draft_info = self._load(request.id, engine, pair)
        prompt = self._prompt(engine, request)
        main = engine.main(pair.main, settings, stopped)
        drafter: Drafter = NoDrafter()
        try:
            if not prompt:
                raise PromptError("the prompt is empty")
            if len(prompt) >= main.n_ctx:
                raise PromptError(
                    f"the prompt has {len(prompt):,} tokens, but the context of {main_info.name} holds {main.n_ctx:,} "
                    "with the answer; shorten it or load the model with a larger n_ctx"
                )
            policy: Policy = FixedLength(0)
            asked = bool(request.lengths or settings.num_draft_tokens) and bool(pair.draft or pair.ngram)
            obstacle = engine.obstacle(pair) if asked else ""
            if obstacle or not asked:
                draft_info = None
            else:
                drafter = NGramDrafter() if pair.ngram else engine.drafter(pair, settings, stopped)
                key = (pair, settings.rule, settings.temperature)
                policy = policy_of(settings, self._experience.setdefault(key, Experience()))
                if request.lengths:
                    policy = CycledLengths(request.lengths)
            happened(
                Header(
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    specviz=version("specviz-lab"),
                    engine=engine.name,
                    main=main_info,
                    draft=draft_info,
                    drafter=drafter.kind,
                    rule=settings.rule,
                    settings=settings,
                    prompt=request.prompt,
                    prompt_ids=tuple(prompt),
                    continued=request.continued,
                    threads=pair.main.n_threads,
                )
            )
            self._reply(m.Phase(id=request.id, phase="prefill", detail=f"{len(prompt):,} tokens"))
            if obstacle:
                settings = msgspec.structs.replace(settings, baseline_tokens=0)
            events = decode(main, drafter, prompt, settings, policy, stopped=stopped)
            self._run(events, happened, (obstacle,) if obstacle else ())
        finally:
            main.close()
            drafter.close()

    def _score(self, request: m.ScoreText) -> None:
        with self._reading(request) as (_, draft, stopped):
            texts = request.prompt_ids, request.token_ids
            scores = list(score(draft, *texts, stopped))
            favourite, confidence, probability = zip(*scores, strict=True) if scores else ((), (), ())
            length = request.continued
            after = tuple(continuations(draft, *texts, favourite, length, stopped)) if length else ()
            self._reply(
                m.Scores(
                    id=request.id,
                    favourite=favourite,
                    confidence=confidence,
                    probability=probability,
                    after=after,
                    pieces=draft.pieces(favourite) or Pieces(),
                )
            )

    def _compare(self, request: m.CompareText) -> None:
        with self._reading(request, both=True) as (main, draft, stopped):
            found = overlap(main, draft, request.prompt_ids, request.token_ids, stopped)
            self._reply(m.Overlaps(id=request.id, positions=tuple(found)))

    @contextmanager
    def _reading(
        self, request: m.ScoreText | m.CompareText, *, both: bool = False
    ) -> Iterator[tuple[MainModel, MainModel, Stopped]]:
        """Load the pair and hand out its models as readers of a text (the draft twice, if both are not wanted)."""

        def stopped() -> bool:
            return request.id in self._cancelled

        engine, pair = self._engine(request.pair.engine), request.pair
        if pair.draft is None:
            raise EngineError("the pair has no draft model")
        self._load(request.id, engine, pair)
        draft = engine.main(pair.draft, request.settings, stopped)
        main = engine.main(pair.main, request.settings, stopped) if both else draft
        try:
            if len(request.prompt_ids) + len(request.token_ids) > min(main.n_ctx, draft.n_ctx):
                raise PromptError(f"the text does not fit into the context of {min(main.n_ctx, draft.n_ctx):,} tokens")
            with suppress(EvaluationStopped):
                yield main, draft, stopped
        finally:
            draft.close()
            if both:
                main.close()

    @staticmethod
    def _run(events: Iterator[object], happened: Callable[[object], None], notes: tuple[str, ...]) -> None:
        try:
            for event in events:
                happened(msgspec.structs.replace(event, notes=notes) if isinstance(event, Summary) else event)
        except EngineError as error:
            happened(Summary(stop_reason=StopReason.FAILED, error=str(error), notes=notes))
            raise

    @staticmethod
    def _prompt(engine: Engine, request: m.Generate) -> list[int]:
        spec = request.pair.main
        if request.token_ids is not None:
            return list(request.token_ids)
        if request.messages is not None:
            template = engine.chat_template(spec)
            if template is None:
                messages: tuple[Message, ...] = request.messages
                return engine.tokenize(spec, "\n\n".join(one["content"] for one in messages), chat=False)
            text, bos, eos = template
            rendered = render_chat(text, request.messages, request.tools, bos=bos, eos=eos)
            return engine.tokenize(spec, rendered, chat=True)
        return engine.tokenize(spec, request.text or "", chat=False)

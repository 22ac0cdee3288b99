"""The draft-verify loop of speculative decoding (Leviathan 2211.17192, Chen 2302.01318), engine-agnostic.

One round: the drafter proposes d1..dk, the main model evaluates [last, d1..dk] in one pass, the rule keeps the first n
of them and closes the round with a token of the main model's own, both caches forget what was not kept. The invariant
between rounds: the caches hold everything but the last token of the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from specviz.decoding.engine import NO_DRAFT, Draft, Drafter, EvaluationStopped, MainModel
from specviz.decoding.policies import Feedback, Policy
from specviz.decoding.rules import RULES, chance
from specviz.decoding.settings import MAX_DRAFT_TOKENS
from specviz.trace import Baseline, Pieces, Round, Settings, StopReason, Summary, TokenDecoder


def decode(
    main: MainModel,
    drafter: Drafter,
    prompt: Sequence[int],
    settings: Settings,
    policy: Policy,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Pieces | Baseline | Round | Summary]:
    """Generate, yielding each event as it happens, the summary last.

    Parameters
    ----------
    main, drafter
        The engine's two models; `settings.rule` says how they are reconciled.
    prompt
        Token ids, at least one and fewer than `main.n_ctx`.
    settings
        Checked ones (`check_settings`).
    policy
        Chooses the length of each draft (`policy_of`).
    stopped
        Asked between and (by the engine) within forward passes; once true, the generation ends within a round.
    """
    started = perf_counter()
    history = list(prompt)
    rule = RULES[settings.rule]
    rng, aside_rng = np.random.default_rng(settings.seed).spawn(2)
    ending = _Ending(main, settings, len(prompt))
    try:
        reused = main.begin(prompt)
        drafter.begin(prompt)
    except EvaluationStopped:
        yield Summary(stop_reason=StopReason.USER_STOPPED, prompt_seconds=perf_counter() - started)
        return
    prompt_seconds = perf_counter() - started
    calibration_seconds = _calibrate(main, policy, history)
    index, baseline_due, aside, first_token = 0, 0, 0.0, None
    reason: StopReason | None = None
    end = perf_counter()
    while reason is None:
        n_output = len(history) - len(prompt)
        if settings.baseline_tokens and n_output >= baseline_due:
            baseline = _measure_baseline(main, history, settings.baseline_tokens, n_output, started, aside_rng)
            baseline_due = n_output + settings.baseline_every
            aside += perf_counter() - end
            if baseline is not None:
                yield baseline
            end = perf_counter()
        begin, begin_draft = end, perf_counter()
        room = min(ending.room(n_output) - 1, MAX_DRAFT_TOKENS)
        draft = drafter.draft(history, room, policy) if room > 0 else NO_DRAFT
        drafted = perf_counter()
        try:
            if stopped():
                raise EvaluationStopped
            main.evaluate([history[-1], *draft.send])
        except EvaluationStopped:
            reason = StopReason.USER_STOPPED
            if draft.ids:
                yield Round(
                    index=index,
                    start=n_output,
                    drafted=draft.ids,
                    q=draft.q,
                    q_sampler=draft.q_sampler,
                    draft_top=draft.top,
                    decision=draft.decision,
                    time=begin - started,
                    draft_seconds=drafted - begin_draft,
                    other_seconds=perf_counter() - drafted + begin_draft - begin,
                )
            break
        verified = perf_counter()
        taken, closing = rule(main, draft, rng)
        kept, reason = ending.cut((*draft.send[:taken], closing))
        accepted = min(taken, kept)
        emitted = (*draft.send[:taken], closing)[:kept]
        measured = _measure(main, drafter, draft, taken, closing) if settings.detail else {}
        if kept <= taken:
            measured.pop("closing_p", None), measured.pop("closing_p_sampler", None)
        history.extend(emitted)
        main.rewind(len(history) - 1)
        pieces = main.pieces(_ids(draft, closing, measured))
        now = perf_counter()
        if first_token is None:
            first_token = now - started - aside
        if pieces is not None:
            yield pieces
        round = Round(
            index=index,
            start=n_output,
            drafted=draft.ids,
            sent=draft.n_send,
            accepted=accepted,
            past_end=taken - accepted,
            closing=closing if kept > taken else None,
            q=draft.q,
            q_sampler=draft.q_sampler,
            draft_top=draft.top,
            decision=draft.decision,
            time=begin - started,
            draft_seconds=drafted - begin_draft,
            verify_seconds=verified - drafted,
            other_seconds=now - verified + begin_draft - begin,
            **measured,
        )
        if policy.learns:
            compared = min(taken + 1, draft.n_send) or min(1, len(draft.ids))
            policy.learn(Feedback(round, tuple(chance(main, draft, i) for i in range(compared))))
        yield round
        end = now
        index += 1
    yield Summary(
        stop_reason=reason,
        prompt_reused=reused,
        prompt_seconds=prompt_seconds,
        calibration_seconds=calibration_seconds,
        time_to_first_token=first_token,
    )


class _Ending:
    """Where a generation ends: end token, stop string, token limit, full context."""

    def __init__(self, main: MainModel, settings: Settings, n_prompt: int) -> None:
        self._main = main
        self._in_context = main.n_ctx - n_prompt
        self._limit = self._in_context if settings.max_tokens is None else min(settings.max_tokens, self._in_context)
        self._max_reason = (
            StopReason.CONTEXT_LENGTH
            if self._limit == self._in_context and settings.max_tokens != self._limit
            else StopReason.MAX_TOKENS
        )
        self._stop = settings.stop
        self._tail = ""
        self._decoder = TokenDecoder()
        self._n_output = 0

    def room(self, n_output: int) -> int:
        """Output tokens that may still come."""
        return self._limit - n_output

    def cut(self, tokens: Sequence[int]) -> tuple[int, StopReason | None]:
        """Return how many of a round's tokens stand, and the reason if the generation ends there."""
        for n, token in enumerate(tokens, 1):
            self._n_output += 1
            if self._main.is_end(token):
                return n, StopReason.EOS_FOUND
            if self._stop and self._completes_stop(token):
                return n, StopReason.STOP_STRING_FOUND
            if self._n_output >= self._limit:
                return n, self._max_reason
        return len(tokens), None

    def _completes_stop(self, token: int) -> bool:
        self._tail += self._decoder.feed(self._main.text_piece(token))
        if any(stop in self._tail for stop in self._stop):
            return True
        longest = max(map(len, self._stop))
        self._tail = self._tail[-longest:]
        return False


def _measure_baseline(
    main: MainModel, history: Sequence[int], n: int, n_output: int, started: float, rng: np.random.Generator
) -> Baseline | None:
    """Decode `n` tokens plainly from here, keep their time, rewind. None if there is no room or a stop was asked."""
    n = min(n, main.n_ctx - len(history) - 1)
    if n < 1:
        return None
    begin = perf_counter()
    token = history[-1]
    try:
        for _ in range(n):
            main.evaluate([token])
            token = main.distribution(0).draw(rng.random())
    except EvaluationStopped:
        return None
    else:
        seconds = perf_counter() - begin
        return Baseline(start=n_output, n_tokens=n, seconds=seconds, time=begin - started)
    finally:
        main.rewind(len(history) - 1)


def _calibrate(main: MainModel, policy: Policy, history: Sequence[int]) -> float:
    """Measure the passes whose cost the policy wants to know, as far as they fit; return the seconds it took."""
    total = 0.0
    while width := policy.unmeasured():
        if len(history) - 1 + width > main.n_ctx:
            break
        begin = perf_counter()
        try:
            main.evaluate([history[-1]] * width)
        except EvaluationStopped:
            break
        seconds = perf_counter() - begin
        main.rewind(len(history) - 1)
        policy.measured(width, seconds)
        total += seconds
    return total


def _ids(draft: Draft, closing: int, measured: dict[str, Any]) -> list[int]:
    """All token ids that a round mentions."""
    ids = [*draft.ids, closing]
    for candidates in (*draft.top, *measured.get("main_top", ())):
        ids.extend(id for id, _ in candidates)
    return ids


def _measure(main: MainModel, drafter: Drafter, draft: Draft, taken: int, closing: int) -> dict[str, Any]:
    """Look at every sent token under both models: the trace's detail of a round."""
    compared = min(taken + 1, draft.n_send)
    shaped = [main.distribution(i).probability(token) for i, token in enumerate(draft.send[:compared])]
    wanted = (*draft.send[:taken], closing)[: draft.n_send]
    ranks = [drafter.rank(i, token) for i, token in enumerate(wanted)]
    return {
        "p": tuple(main.probability(i, token) for i, token in enumerate(draft.send)),
        "p_sampler": (*shaped, *[None] * (draft.n_send - compared)),
        "rank": (*ranks, *[None] * (draft.n_send - len(ranks))),
        "closing_p": main.probability(taken, closing),
        "closing_p_sampler": main.distribution(taken).probability(closing),
        "main_top": tuple(main.top(i) for i in range(draft.n_send + 1)),
    }

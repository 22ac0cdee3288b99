import { Listeners } from "./listeners.js";
import { Playhead, type Pace } from "./player_timeline.js";
import { Workshop } from "./player_workshop.js";
import type { Batch, Content, CurveColumns, PageMessage, ReasoningColumns, RunState, Snapshot, StatRow } from "./protocol.js";
import { IDLE, Store } from "./store.js";
import { extend, noTimeline, type Timeline } from "./timeline.js";

/** Time (s) that one frame may take of a replay, however long the page was out of sight. */
const LONGEST_FRAME = 0.25;
const PLAYING: RunState = { ...IDLE, phase: "generating", can_generate: false };

/** Plays a recorded generation into a store of its own, which holds what had come by the playhead. */
export class Playback {
  readonly store: Store;
  readonly playhead: Playhead;
  readonly workshop: Workshop;
  /** Of the whole recording. */
  readonly timeline: Timeline = noTimeline();
  /** Whether a view has shown it yet. */
  begun = false;
  playing = false;
  speed = 1;
  pace: Pace;

  readonly #snapshot: Snapshot;
  readonly #signal: AbortSignal;
  readonly #listeners = new Listeners();
  /** Rounds that the store holds; -1: it holds nothing yet. */
  #shown = -1;
  #seq = 0;
  #frame = 0;
  #last = 0;

  constructor(snapshot: Snapshot, send: (message: PageMessage) => void, signal: AbortSignal) {
    this.#snapshot = snapshot;
    const { timeline } = this;
    if (snapshot.rounds) extend(timeline, snapshot.rounds);
    this.#signal = signal;
    this.store = new Store(send);
    this.playhead = new Playhead(timeline);
    this.workshop = new Workshop(snapshot, timeline);
    this.pace = this.playhead.timed ? "recorded" : "constant";
    this.playhead.place(this.playhead.rounds);
    this.#show();
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }

  /** Go on from here or, at the end, from the beginning; a question that is open waits for its answer. */
  play(): void {
    if (this.#signal.aborted || this.playing || this.workshop.question) return;
    if (this.playhead.ended) this.playhead.place(0);
    this.playing = true;
    this.#last = performance.now();
    this.#next();
    this.#moved();
  }

  pause(): void {
    this.playing = false;
    cancelAnimationFrame(this.#frame);
    this.#listeners.notify();
  }

  restart(): void {
    this.workshop.reset();
    this.playhead.place(0);
    this.#moved();
  }

  /** To the time when so many rounds were over. */
  goTo(rounds: number): void {
    this.playhead.place(rounds);
    this.#moved();
  }

  /** By rounds; a round under way is finished, or begun again. */
  step(rounds: number): void {
    const { round, within } = this.playhead;
    this.playing = false;
    cancelAnimationFrame(this.#frame);
    this.goTo(round + rounds + Number(rounds < 0 && within > 0));
  }

  seek(seconds: number): void {
    this.playhead.seek(seconds);
    this.#moved();
  }

  set asking(on: boolean) {
    this.workshop.on = on;
    this.workshop.dismiss();
    this.#listeners.notify();
  }

  /** Say how many will be accepted; the round's end is shown, and the replay waits. */
  answer(answer: number): void {
    const { question } = this.workshop;
    if (!question) return;
    this.workshop.answer(answer);
    this.playhead.place(question.round + 1);
    this.#show();
    this.#listeners.notify();
  }

  /** Move on by so many seconds of the reader's time. */
  advance(seconds: number): void {
    const stopped = this.playhead.advance(seconds * this.speed, this.pace, (round) => this.workshop.asks(round));
    if (stopped) this.workshop.ask(this.playhead.round);
    this.playing &&= !stopped && !this.playhead.ended;
    this.#show();
    this.#listeners.notify();
  }

  #next(): void {
    this.#frame = requestAnimationFrame((now) => {
      if (!this.playing || this.#signal.aborted) return;
      const passed = Math.min(LONGEST_FRAME, Math.max(0, now - this.#last) / 1000);
      this.#last = now;
      this.advance(passed);
      if (this.playing) this.#next();
    });
  }

  #moved(): void {
    this.workshop.dismiss();
    this.#show();
    this.#listeners.notify();
  }

  /** Bring the store to the playhead: by what is new, or back by all that was there. */
  #show(): void {
    const to = this.playhead.round;
    if (to === this.#shown) return;
    this.#seq += 1;
    const { run } = this.#snapshot;
    if (this.#shown < 0 || to < this.#shown) {
      this.store.receive({ type: "snapshot", seq: this.#seq, run, ...this.#content(0, to) });
    } else {
      const batch: Batch = { type: "batch", seq: this.#seq, run, reset: false, ...this.#content(this.#shown, to) };
      this.store.receive(batch);
    }
    this.#shown = to;
  }

  /** What came in the rounds from `from` up to `to`. */
  #content(from: number, to: number): Content {
    const { tokens, dropped, curves, rounds, reasoning, run_info, metrics = {}, metric_words, stats = [], baseline = null, state = IDLE } = this.#snapshot;
    const { timeline } = this;
    const ended = to === this.playhead.rounds;
    const content: Content = ended ? { stats, metrics, baseline, state } : { stats: this.#stats(to), metrics: {}, baseline: null, state: to === 0 ? IDLE : PLAYING };
    if (run_info) content.run_info = run_info;
    if (metric_words) content.metric_words = metric_words;
    if (tokens) content.tokens = cut(tokens, timeline.tokens[from - 1] ?? 0, timeline.tokens[to - 1] ?? 0);
    if (dropped) content.dropped = cut(dropped, timeline.dropped[from - 1] ?? 0, timeline.dropped[to - 1] ?? 0);
    if (curves) content.curves = cut(curves, from, to);
    if (rounds) content.rounds = cut(rounds, from, to);
    if (reasoning) content.reasoning = begun(reasoning, timeline.tokens, from, to);
    return content;
  }

  /** Those statistics that are recorded round by round, under the names of the whole run's. */
  #stats(rounds: number): StatRow[] {
    if (rounds === 0) return [];
    const i = rounds - 1;
    const { curves, stats = [] } = this.#snapshot;
    const { timeline } = this;
    const figure = (name: keyof CurveColumns, format: (value: number) => string) => {
      const value = curves?.[name][i] ?? null;
      return value === null ? undefined : format(value);
    };
    const values: Record<string, string | undefined> = {
      tokens_per_second: figure("tps_cumulative", (value) => value.toFixed(1)),
      speedup: figure("speedup_cumulative", (value) => `${value.toFixed(2)}×`),
      draft_acceptance_rate: figure("acceptance_cumulative", (value) => `${(100 * value).toFixed(1)} %`),
      output_tokens: timeline.tokens[i]?.toLocaleString("en"),
      rounds: rounds.toLocaleString("en"),
      total_draft_tokens_count: timeline.drafted[i]?.toLocaleString("en"),
      accepted_draft_tokens_count: timeline.accepted[i]?.toLocaleString("en"),
    };
    return stats.flatMap((row) => {
      const value = values[row.key];
      return value === undefined ? [] : [{ ...row, value }];
    });
  }
}

/**
 * The stretches begun by round `to`, those left out that were whole at round `from`. One that is not whole yet has no
 * figures: what is recorded is of the whole.
 */
function begun({ start, kind, caption }: ReasoningColumns, tokens: number[], from: number, to: number): ReasoningColumns {
  const before = tokens[from - 1] ?? 0;
  const now = tokens[to - 1] ?? 0;
  const stop = (i: number) => start[i + 1] ?? tokens.at(-1) ?? 0;
  const columns: ReasoningColumns = { from: 0, start: [], kind: "", caption: [] };
  for (const [i, at] of start.entries()) {
    if (at >= now) break;
    if (stop(i) <= before) {
      columns.from = i + 1;
      continue;
    }
    const whole = stop(i) <= now;
    columns.start.push(at);
    columns.kind += whole || kind[i] === "a" ? kind[i] : "o";
    columns.caption.push(whole ? (caption[i] ?? "") : "");
  }
  return columns;
}

function cut<Columns extends object>(columns: Columns, from: number, to: number): Columns {
  return Object.fromEntries(Object.entries(columns).map(([name, values]: [string, string | unknown[]]) => [name, values.slice(from, to)])) as Columns;
}

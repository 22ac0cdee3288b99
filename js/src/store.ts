import { InOrder } from "./in_order.js";
import { Listeners } from "./listeners.js";
import {
  busy,
  CURVES,
  type Baseline,
  type Batch,
  type Content,
  type Conversation,
  type CurveColumns,
  type DroppedColumns,
  type KernelMessage,
  type Maybe,
  type Metrics,
  type PageMessage,
  type ReasoningColumns,
  type RoundDetail,
  type RunInfo,
  type RunState,
  type Snapshot,
  type StatRow,
} from "./protocol.js";
import { Selection } from "./selection.js";
import { extend, noTimeline, type Timeline } from "./timeline.js";

/** Rounds whose details are kept; the one asked for longest ago goes first. */
export const KEPT_DETAILS = 256;

export interface Tokens {
  text: string[];
  kind: string[];
  round: number[];
  p: Maybe[];
  q: Maybe[];
}

export interface Dropped {
  at: number[];
  text: string[];
  fate: string[];
  round: number[];
  p: Maybe[];
  q: Maybe[];
}

export const IDLE: RunState = {
  phase: "idle",
  message: "",
  detail: "",
  can_generate: true,
  can_stop: false,
  can_continue: false,
};

const NO_CONVERSATION: Conversation = { turns: [], can_undo: false };

/** Consecutive tokens that reason, or do not. */
export interface Stretch {
  start: number;
  /** Reasoning, reasoning that goes on, answer. */
  kind: "r" | "o" | "a";
  caption: string;
}

type Listener = () => void;

/**
 * What the kernel has said of a feed so far. Tokens, dropped tokens and curves only grow within one `epoch`;
 * a new epoch (a new generation, a snapshot) means that views start again from nothing.
 */
export class Store {
  epoch = 0;
  run = 0;
  runInfo: RunInfo = {};
  tokens: Tokens = noTokens();
  dropped: Dropped = noDropped();
  curves: CurveColumns = noCurves();
  timeline: Timeline = noTimeline();
  /** Rounds that are selected, in every view of them. */
  readonly selection = new Selection();
  /** Of an answer that reasons; without reasoning there are none. */
  stretches: Stretch[] = [];
  stats: StatRow[] = [];
  baseline: Baseline | null = null;
  state: RunState = IDLE;
  conversation: Conversation = NO_CONVERSATION;
  /** True while the content came whole, from a snapshot, and nothing was appended to it since. */
  restored = false;

  #metrics: NonNullable<Content["metrics"]> = {};
  #metricWords: NonNullable<Content["metric_words"]> = {};
  #details = new Map<number, RoundDetail>();
  readonly #detailListeners = new Listeners();
  #asked: number | null = null;
  readonly #listeners = new Listeners();
  readonly #messages: InOrder<Batch, Snapshot>;
  readonly #send: (message: PageMessage) => void;

  constructor(send: (message: PageMessage) => void) {
    this.#send = send;
    this.#messages = new InOrder<Batch, Snapshot>({
      append: (batch) => this.#append(batch),
      replace: (snapshot) => this.#replace(snapshot),
      ask: () => send({ type: "resync" }),
    });
  }

  /** Sequence number of the last message applied; null before the first. */
  get seq(): number | null {
    return this.#messages.seq;
  }

  /** Whether something is missing, and was asked for. */
  get waiting(): boolean {
    return this.#messages.waiting;
  }

  subscribe(listener: Listener, signal?: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }

  /** Be told when a round's detail has come; those who subscribe to the content are not. */
  subscribeDetails(listener: Listener, signal: AbortSignal): void {
    this.#detailListeners.add(listener, signal);
  }

  receive(message: KernelMessage): void {
    if (message.type === "snapshot") this.#messages.replace(message);
    else if (message.type === "batch") this.#messages.append(message, message.reset);
    else if (message.type === "detail") this.#receiveDetail(message);
  }

  /** The statistics in somebody's names; `tile` says in place of which headline figure one stands. */
  rows(metrics: Metrics): (StatRow & { tile?: string })[] {
    if (metrics === "specviz") return this.stats;
    const words = this.#metricWords[metrics] ?? [];
    return words.flatMap((row, i) => {
      const value = this.#metrics[metrics]?.[i] ?? null;
      return value === null ? [] : [{ ...row, value }];
    });
  }

  /** What is recorded of a round; where that is not here yet it is asked for, and `subscribeDetails` tells when it comes. */
  detail(round: number): RoundDetail | undefined {
    const known = this.#details.get(round);
    if (!known && this.#asked !== round) {
      this.#asked = round;
      this.#send({ type: "inspect", run: this.run, round });
    }
    return known;
  }

  /** Take the `snapshot` trait, which is `{}` before the first run. */
  restore(snapshot: Snapshot | Record<string, never> | null | undefined): void {
    if (snapshot && typeof snapshot.seq === "number") this.#messages.replace(snapshot as Snapshot);
  }

  /** Of a run under way, what came between its snapshot and now is lost: ask for all of it. */
  catchUp(): void {
    if (busy(this.state.phase)) this.#messages.catchUp();
  }

  dispose(): void {
    this.#messages.dispose();
    this.#listeners.clear();
    this.#detailListeners.clear();
  }

  #receiveDetail(detail: RoundDetail): void {
    if (detail.run !== this.run) return;
    this.#details.set(detail.round, detail);
    for (const oldest of this.#details.keys()) {
      if (this.#details.size <= KEPT_DETAILS) break;
      this.#details.delete(oldest);
    }
    if (this.#asked === detail.round) this.#asked = null;
    this.#detailListeners.notify();
  }

  #replace(snapshot: Snapshot): void {
    this.#clear();
    if (snapshot.run !== this.run) this.selection.clear();
    this.runInfo = {};
    this.stats = [];
    this.#metrics = {};
    this.baseline = null;
    this.state = IDLE;
    this.conversation = NO_CONVERSATION;
    this.#apply(snapshot);
    this.run = snapshot.run;
    this.restored = true;
    this.#listeners.notify();
  }

  #append(batch: Batch): void {
    if (batch.reset) {
      this.#clear();
      this.selection.clear();
      this.runInfo = {};
    }
    this.#apply(batch);
    this.run = batch.run;
    this.restored = false;
    this.#listeners.notify();
  }

  #clear(): void {
    this.epoch += 1;
    this.tokens = noTokens();
    this.dropped = noDropped();
    this.curves = noCurves();
    this.timeline = noTimeline();
    this.stretches = [];
    this.#details.clear();
    this.#asked = null;
  }

  #apply(content: Content): void {
    const { tokens, dropped, curves } = content;
    if (tokens) {
      append(this.tokens.text, tokens.text);
      append(this.tokens.kind, tokens.kind);
      append(this.tokens.round, tokens.round);
      append(this.tokens.p, tokens.p);
      append(this.tokens.q, tokens.q);
    }
    if (dropped) this.#applyDropped(dropped);
    if (curves) {
      append(this.curves.x, curves.x);
      for (const name of CURVES) append(this.curves[name], curves[name]);
    }
    if (content.rounds) extend(this.timeline, content.rounds);
    if (content.reasoning) this.#applyReasoning(content.reasoning);
    if (content.run_info) this.runInfo = content.run_info;
    if (content.stats) this.stats = content.stats;
    if (content.metrics) this.#metrics = content.metrics;
    if (content.metric_words) this.#metricWords = content.metric_words;
    if (content.baseline !== undefined) this.baseline = content.baseline;
    if (content.conversation) this.conversation = content.conversation;
    if (content.state) this.state = { ...IDLE, ...content.state };
  }

  #applyDropped(dropped: DroppedColumns): void {
    append(this.dropped.at, dropped.at);
    append(this.dropped.text, dropped.text);
    append(this.dropped.fate, dropped.fate);
    append(this.dropped.round, dropped.round);
    append(this.dropped.p, dropped.p);
    append(this.dropped.q, dropped.q);
  }

  #applyReasoning({ from, start, kind, caption }: ReasoningColumns): void {
    this.stretches.length = Math.min(from, this.stretches.length);
    append(this.stretches, start.map((at, i) => ({ start: at, kind: kind[i] as Stretch["kind"], caption: caption[i] ?? "" })));
  }
}

function append<T>(to: T[], from: Iterable<T>): void {
  for (const value of from) to.push(value);
}

function noTokens(): Tokens {
  return { text: [], kind: [], round: [], p: [], q: [] };
}

function noDropped(): Dropped {
  return { at: [], text: [], fate: [], round: [], p: [], q: [] };
}

function noCurves(): CurveColumns {
  const curves = { x: [] as number[] } as CurveColumns;
  for (const name of CURVES) curves[name] = [];
  return curves;
}

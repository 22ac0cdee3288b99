import type { AnyModel } from "@anywidget/types";
import {
  CURVES,
  type Batch,
  type CurveColumns,
  type ExplorerTraits,
  type ModelColumns,
  type OfferColumns,
  type RoundDetail,
  type RunState,
  type TokenDetail,
} from "../src/protocol.js";
import { IDLE } from "../src/store.js";

type Callback = (...values: unknown[]) => void;
export type Call = ["set", string, unknown] | ["save"] | ["send", unknown];

/** An anywidget model that writes down, in order, what is done to it. */
export class FakeModel {
  readonly traits: Record<string, unknown>;
  readonly calls: Call[] = [];
  readonly handlers = new Map<string, Set<Callback>>();

  constructor(traits: Record<string, unknown> = {}) {
    this.traits = { feed_id: "feed-1", snapshot: {}, view: "feed", ...traits };
  }

  get(name: string): unknown {
    return this.traits[name];
  }

  set(name: string, value: unknown): void {
    this.calls.push(["set", name, value]);
    this.change(name, value);
  }

  save_changes(): void {
    this.calls.push(["save"]);
  }

  send(content: unknown): void {
    this.calls.push(["send", content]);
  }

  on(name: string, callback: Callback): void {
    this.handlers.set(name, (this.handlers.get(name) ?? new Set()).add(callback));
  }

  off(name: string, callback: Callback): void {
    this.handlers.get(name)?.delete(callback);
  }

  emit(name: string, ...values: unknown[]): void {
    for (const callback of [...(this.handlers.get(name) ?? [])]) callback(...values);
  }

  /** As when Python sets a trait. */
  change(name: string, value: unknown): void {
    this.traits[name] = value;
    this.emit(`change:${name}`);
  }

  sent(): unknown[] {
    return this.calls.filter((call) => call[0] === "send").map((call) => call[1]);
  }

  listeners(): number {
    return [...this.handlers.values()].reduce((sum, set) => sum + set.size, 0);
  }

  as<Traits extends Record<string, any>>(): AnyModel<Traits> {
    return this as unknown as AnyModel<Traits>;
  }
}

export function batch(seq: number, content: Partial<Batch> = {}): Batch {
  return { type: "batch", seq, run: 1, reset: false, ...content };
}

export function tokens(texts: string[], kind = "a".repeat(texts.length)): NonNullable<Batch["tokens"]> {
  return { text: texts, kind, round: texts.map(() => 0), p: texts.map(() => 0.9), q: texts.map(() => 0.5) };
}

export function dropped(items: [at: number, text: string, fate: string][]): NonNullable<Batch["dropped"]> {
  return {
    at: items.map(([at]) => at),
    text: items.map(([, text]) => text),
    fate: items.map(([, , fate]) => fate).join(""),
    round: items.map(() => 3),
    q: items.map(() => 0.25),
    p: items.map(() => null),
  };
}

const NO_CANDIDATES = { text: [], p: [], mark: [] };

/** What is recorded of a token, with what differs from a run without detail. */
export function tokenDetail(kind: TokenDetail["kind"], text: string, more: Partial<TokenDetail> = {}): TokenDetail {
  return {
    kind,
    index: null,
    position: null,
    text,
    p: null,
    q: null,
    surprise: null,
    chance: null,
    rank: null,
    choice: null,
    choice_p: null,
    choice_q: null,
    same: null,
    margin: null,
    margin_logits: null,
    unsent_by: null,
    confidence: null,
    entropy: null,
    main_top: NO_CANDIDATES,
    draft_top: NO_CANDIDATES,
    ...more,
  };
}

export function roundDetail(tokens: TokenDetail[], more: Partial<RoundDetail> = {}): RoundDetail {
  const drafted = tokens.filter(({ position }) => position !== null);
  return {
    type: "detail",
    run: 1,
    round: 0,
    rule: "match",
    drawn: false,
    drafter: "model",
    p_min: 0,
    entropy_max: null,
    n_min: 0,
    drafted: drafted.length,
    sent: drafted.filter(({ kind }) => kind !== "u").length,
    accepted: drafted.filter(({ kind }) => kind === "a").length,
    stop_reason: null,
    draft_seconds: 0.005,
    verify_seconds: 0.016,
    other_seconds: 0.002,
    tokens,
    ...more,
  };
}

export function curves(x: number[], value: number | null = 0.5): CurveColumns {
  const columns = { x } as CurveColumns;
  for (const name of CURVES) columns[name] = x.map(() => value);
  return columns;
}

export function runState(phase: RunState["phase"], more: Partial<RunState> = {}): RunState {
  return { ...IDLE, phase, ...more };
}

/** Models by name, each with what differs from an ordinary one. */
export function models(...all: [key: string, more?: Partial<Record<keyof ModelColumns, unknown>>][]): ModelColumns {
  const ordinary = (key: string) => ({
    key,
    name: key,
    path: `/models/${key}.gguf`,
    source: "folder",
    architecture: "llama",
    n_params: 135e6,
    quantization: "Q4_1",
    bits_per_weight: 5.1,
    size_bytes: 98e6,
    n_ctx: 8192,
    n_vocab: 49152,
    tokenizer: "bpe (smollm)",
    has_chat_template: true,
    note: "",
    reason: "",
  });
  const rows = all.map(([key, more]) => ({ ...ordinary(key), ...more }));
  const names = Object.keys(ordinary("")) as (keyof ModelColumns)[];
  return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])) as unknown as ModelColumns;
}

type Offered = { fits?: boolean; reason?: string; recommended?: string; warnings?: string[] };

export function offers(main: string, all: [key: string, more?: Offered][], more: Partial<OfferColumns> = {}): OfferColumns {
  return {
    main,
    key: all.map(([key]) => key),
    fits: all.map(([, one]) => one?.fits ?? true),
    reason: all.map(([, one]) => one?.reason ?? ""),
    recommended: all.map(([, one]) => one?.recommended ?? ""),
    warnings: all.map(([, one]) => one?.warnings ?? []),
    default: "",
    why: "",
    ...more,
  };
}

export const EXPLORER: ExplorerTraits = {
  view: "explorer",
  feed_id: "feed-1",
  snapshot: {},
  name: "",
  system: "",
  prompt: "Why?",
  presets: ["First", "Second"],
  chosen: { main: "BIG", draft: "SMALL" },
  launched: [],
  main: "big",
  draft: "small",
  auto_length: false,
  num_draft_tokens: 4,
  p_min: 0,
  temperature: 0,
  rule: "match",
  max_tokens: 256,
  seed: null,
  ignore_eos: false,
  json_schema: "",
  measure_baseline: true,
  show_provenance: true,
  colour: "provenance",
  show_rejected: false,
  metrics: "specviz",
};

export function byId(root: ParentNode, id: string): HTMLElement {
  const element = root.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  if (!element) throw new Error(`nothing has data-testid=${id}`);
  return element;
}

export const nextFrame = (): Promise<void> =>
  new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())));

/** Everything on the page is as wide as the test says. */
export class FakeResizeObserver {
  static width = 1000;
  static readonly #all = new Set<FakeResizeObserver>();
  readonly #callback: ResizeObserverCallback;

  constructor(callback: ResizeObserverCallback) {
    this.#callback = callback;
  }

  static resize(width: number): void {
    this.width = width;
    for (const observer of this.#all) observer.#report();
  }

  static get observing(): number {
    return this.#all.size;
  }

  observe(): void {
    FakeResizeObserver.#all.add(this);
    queueMicrotask(() => this.#report());
  }

  unobserve(): void {}

  disconnect(): void {
    FakeResizeObserver.#all.delete(this);
  }

  #report(): void {
    if (!FakeResizeObserver.#all.has(this)) return;
    const contentRect = { width: FakeResizeObserver.width } as DOMRectReadOnly;
    this.#callback([{ contentRect } as ResizeObserverEntry], this);
  }
}

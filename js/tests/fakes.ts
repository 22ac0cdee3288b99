import type { AnyModel } from "@anywidget/types";
import { CURVES, type Batch, type Choice, type CurveColumns, type ExplorerTraits, type RunState } from "../src/protocol.js";
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

export function curves(x: number[], value: number | null = 0.5): CurveColumns {
  const columns = { x } as CurveColumns;
  for (const name of CURVES) columns[name] = x.map(() => value);
  return columns;
}

export function runState(phase: RunState["phase"], more: Partial<RunState> = {}): RunState {
  return { ...IDLE, phase, ...more };
}

const choice = (key: string, reason = ""): Choice => ({ key, label: key.toUpperCase(), detail: `about ${key}`, reason });

export const EXPLORER: ExplorerTraits = {
  view: "explorer",
  feed_id: "feed-1",
  snapshot: {},
  prompt: "Why?",
  presets: ["First", "Second"],
  main_choices: [choice("big"), choice("bigger")],
  draft_choices: [choice("none"), choice("small"), choice("other", "another vocabulary"), choice("ngram")],
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
  measure_baseline: true,
  show_provenance: true,
  show_rejected: false,
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

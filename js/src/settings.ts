import type { AnyModel } from "@anywidget/types";
import type { ExplorerTraits, PageMessage, Settings } from "./protocol.js";

export const SAVE_DELAY_MS = 250;

/** The Explorer's traits as settings: set at once, saved a moment later, and always before a message to the kernel. */
export class SettingsModel {
  readonly #model: AnyModel<ExplorerTraits>;
  readonly #signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was set here and not saved yet. The kernel's echo of an earlier save must not undo it: sliders would stutter. */
  readonly #unsaved = new Map<keyof Settings, unknown>();
  readonly #guarded = new Set<keyof Settings>();

  constructor(model: AnyModel<ExplorerTraits>, signal: AbortSignal) {
    this.#model = model;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.flush(), { once: true });
  }

  get<K extends keyof ExplorerTraits>(name: K): ExplorerTraits[K] {
    return this.#model.get(name);
  }

  set<K extends keyof Settings>(name: K, value: Settings[K]): void {
    if (this.#model.get(name) === value) return;
    this.#unsaved.set(name, value);
    this.#guard(name);
    this.#model.set(name, value as ExplorerTraits[K]);
    this.#timer ??= setTimeout(() => this.flush(), SAVE_DELAY_MS);
  }

  flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unsaved.clear();
    this.#model.save_changes();
  }

  #guard<K extends keyof Settings>(name: K): void {
    if (this.#guarded.has(name)) return;
    this.#guarded.add(name);
    const restore = () => {
      if (this.#unsaved.has(name) && this.#model.get(name) !== this.#unsaved.get(name)) {
        this.#model.set(name, this.#unsaved.get(name) as ExplorerTraits[K]);
      }
    };
    this.#model.on(`change:${name}`, restore);
    this.#signal.addEventListener("abort", () => this.#model.off(`change:${name}`, restore), { once: true });
  }

  send(message: PageMessage): void {
    this.flush();
    this.#model.send(message);
  }

  /** Run `follow` now and whenever one of the traits changes, from here or from Python. */
  follow(names: (keyof ExplorerTraits)[], follow: () => void): void {
    for (const name of names) {
      this.#model.on(`change:${name}`, follow);
      this.#signal.addEventListener("abort", () => this.#model.off(`change:${name}`, follow), { once: true });
    }
    follow();
  }
}

type Listener = () => void;

/** Who is told when something has changed. */
export class Listeners {
  readonly #all = new Set<Listener>();

  /** Tell `listener` until `signal` is aborted. */
  add(listener: Listener, signal?: AbortSignal): void {
    if (signal?.aborted) return;
    this.#all.add(listener);
    signal?.addEventListener("abort", () => this.#all.delete(listener), { once: true });
  }

  /** One that is added meanwhile is not told. */
  notify(): void {
    for (const listener of [...this.#all]) listener();
  }

  clear(): void {
    this.#all.clear();
  }
}

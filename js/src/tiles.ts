import { h, perFrame, setText } from "./dom.js";
import type { Baseline } from "./protocol.js";
import type { Store } from "./store.js";
import { count, seconds } from "./words.js";

const TILES = [
  { key: "tokens_per_second", label: "Speed", testid: "tile-speed" },
  { key: "draft_acceptance_rate", label: "Draft acceptance", testid: "tile-acceptance" },
  { key: "mean_acceptance_length", label: "Mean acceptance length", testid: "tile-length" },
  { key: "speedup", label: "Speedup", testid: "tile-speedup" },
] as const;

/** The four figures that answer "was it worth it?". */
export class Tiles {
  readonly element = h("dl", { class: "sv-tiles" });
  readonly #store: Store;
  readonly #values = new Map<string, HTMLElement>();
  readonly #baseline = h("p", { class: "sv-caption", "data-testid": "baseline" });

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    for (const { key, label, testid } of TILES) {
      const value = h("dd", { class: "sv-value" });
      this.#values.set(key, value);
      const tile = h("div", { class: "sv-tile", "data-testid": testid, "data-key": key }, h("dt", {}, label), value);
      if (key === "speedup") tile.append(h("dd", {}, this.#baseline));
      this.element.append(tile);
    }
    store.subscribe(perFrame(() => this.draw(), signal), signal);
    this.draw();
  }

  draw(): void {
    for (const { key } of TILES) {
      const text = this.#store.stats.find((row) => row.key === key)?.value ?? "—";
      const element = this.#values.get(key);
      if (!element || element.textContent === text) continue;
      const [, number, unit] = /^(\S*\d\S*?)(\s*(?:[^\d\s].*)?)$/u.exec(text) ?? [];
      if (number === undefined) element.replaceChildren(text);
      else element.replaceChildren(number, unit ? h("span", { class: "sv-unit" }, unit) : "");
    }
    setText(this.#baseline, baselineText(this.#store.baseline));
  }
}

export function baselineText(baseline: Baseline | null): string {
  if (!baseline) return "no baseline measured";
  const { tokens_per_second: speed, n_tokens: n, age_tokens: age, age_s: since } = baseline;
  return `against ${speed.toFixed(1)} tok/s plain: ${count(n, "token")} of this prompt, ${count(age, "token")} (${seconds(since)}) ago`;
}

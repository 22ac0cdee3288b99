import { h, paced, READABLE_MS, setText, uniqueId } from "./dom.js";
import type { Baseline, Metrics } from "./protocol.js";
import type { Store } from "./store.js";
import { count, seconds } from "./words.js";

const TILES = [
  { key: "tokens_per_second", label: "Tokens/s", testid: "tile-speed" },
  { key: "draft_acceptance_rate", label: "Acceptance rate", testid: "tile-acceptance" },
  { key: "mean_acceptance_length", label: "Acceptance length", testid: "tile-length" },
  { key: "speedup", label: "Speedup", testid: "tile-speedup" },
] as const;

/** The four figures that answer "was it worth it?". */
export class Tiles {
  readonly element = h("div", { class: "sv-tiles" });
  readonly #store: Store;
  readonly #tiles = new Map<string, { label: HTMLElement; value: HTMLElement }>();
  #metrics: Metrics = "specviz";
  readonly #baseline = h("p", { class: "sv-caption", "data-testid": "baseline" });
  readonly #account = h("p", { class: "sv-caption sv-account", "data-testid": "account" });

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    for (const { key, label, testid } of TILES) {
      const name = h("div", { class: "sv-tile-label", id: uniqueId("tile") }, label);
      const value = h("div", { class: "sv-value sv-none" }, "—");
      this.#tiles.set(key, { label: name, value });
      const tile = h(
        "div",
        { class: "sv-tile", role: "group", "aria-labelledby": name.id, "data-testid": testid, "data-key": key },
        name,
        value,
      );
      if (key === "speedup") tile.append(this.#baseline);
      this.element.append(tile);
    }
    this.element.append(this.#account);
    store.subscribe(paced(() => this.draw(), READABLE_MS, signal), signal);
    this.draw();
  }

  /** Tell the figures that others have, too, in somebody's names. */
  show(metrics: Metrics): void {
    this.#metrics = metrics;
    this.draw();
  }

  draw(): void {
    const theirs = this.#store.rows(this.#metrics);
    for (const { key, label } of TILES) {
      const row = theirs.find(({ tile }) => tile === key) ?? this.#store.stats.find((candidate) => candidate.key === key);
      const tile = this.#tiles.get(key);
      if (!tile) continue;
      setText(tile.label, row?.label ?? label);
      tile.label.title = row?.help ?? "";
      drawValue(tile.value, row?.value ?? "—");
    }
    setText(this.#baseline, baselineText(this.#store.baseline));
    setText(this.#account, this.#store.baseline?.account ?? "");
  }
}

/** The figure large, its unit small. */
function drawValue(element: HTMLElement, text: string): void {
  if (element.textContent === text) return;
  element.classList.toggle("sv-none", text === "—");
  const [, number = text, unit] = /^(\S*\d\S*)(\s+\D.*)$/u.exec(text) ?? [];
  element.replaceChildren(number, unit ? h("span", { class: "sv-unit" }, unit) : "");
}

export function baselineText(baseline: Baseline | null): string {
  if (!baseline) return "no baseline measured";
  const { tokens_per_second: speed, n_tokens: n, age_tokens: age, age_s: since } = baseline;
  return `against ${speed.toFixed(1)} tok/s plain: ${count(n, "token")} of this prompt, ${count(age, "token")} (${seconds(since)}) ago`;
}

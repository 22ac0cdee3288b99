import { h, paced, perFrame, READABLE_MS, setText } from "./dom.js";
import { busy } from "./protocol.js";
import type { RoundRange } from "./selection.js";
import type { Store } from "./store.js";
import { between, rangeName, type Timeline } from "./timeline.js";
import { Tooltip } from "./tooltip.js";
import { percent } from "./words.js";

/** What became of drafts, by position: entry 0 is the first drafted token. */
export interface Positions {
  /** Rounds that sent a draft. */
  drafts: number;
  accepted: number[];
  /** Rounds in which the rule came to this position. */
  compared: number[];
}

const RATES = ["marginal", "conditional"] as const;
type Rate = (typeof RATES)[number];

const MEANING: Record<Rate, string> = {
  marginal: "Accepted here, of all drafts",
  conditional: "Accepted here, of the drafts that were accepted up to here",
};

/** Count the rounds from `from` up to `to`, as `Tally` of `specviz/trace/stats.py` does. */
export function positionsOf({ sent, agreed, accepted }: Timeline, { from, to }: RoundRange): Positions {
  const found: Positions = { drafts: 0, accepted: [], compared: [] };
  for (let i = from; i < Math.min(to, sent.length); i++) {
    const length = sent[i] ?? 0;
    if (length === 0) continue;
    found.drafts += 1;
    while (found.accepted.length < length) {
      found.accepted.push(0);
      found.compared.push(0);
    }
    const kept = between(accepted, i, i + 1);
    const count = (column: number[], position: number) => (column[position] = (column[position] ?? 0) + 1);
    for (let position = 0; position < kept; position++) {
      count(found.accepted, position);
      count(found.compared, position);
    }
    const taken = agreed[i] ?? 0;
    if (taken < length) count(found.compared, taken);
  }
  return found;
}

/** Acceptance by position in the draft: of the selected rounds, with the whole run's beside it, or of the whole run. */
export class PositionPlot {
  readonly element: HTMLElement;
  readonly #store: Store;
  readonly #chart = h("div", { class: "sv-pos-chart", "aria-hidden": "true" });
  readonly #table = h("table", {});
  readonly #value = h("span", { class: "sv-number" });
  readonly #runKey = h("li", { "data-rate": "run", hidden: true }, h("i", { "aria-hidden": "true" }), "whole run");
  readonly #note = h("p", { class: "sv-plot-note", hidden: true }, "Nothing was drafted");
  readonly #tooltip: Tooltip;
  #words: string[] = [];

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    const scale = h("div", { class: "sv-pos-scale", "aria-hidden": "true" }, ...["100 %", "50 %", "0 %"].map((text) => h("span", {}, text)));
    const key = RATES.map((rate) => h("li", { "data-rate": rate, title: MEANING[rate] }, h("i", { "aria-hidden": "true" }), rate));
    this.element = h(
      "figure",
      { class: "sv-plot sv-positions", "data-testid": "positions" },
      h(
        "figcaption",
        {},
        h("div", { class: "sv-row" }, h("span", { class: "sv-plot-title", title: "How often the first, second and every further drafted token was accepted" }, "Acceptance by position"), this.#value),
        h("ul", { class: "sv-plot-key" }, ...key, this.#runKey),
      ),
      h("div", { class: "sv-pos-frame" }, scale, this.#chart, this.#note),
      h("div", { class: "sv-hidden" }, this.#table), // a table of its own would be as wide as its words
    );
    this.#tooltip = new Tooltip(this.element);
    this.#chart.addEventListener("pointerover", (event) => this.#explain(event.target), { signal });
    this.#chart.addEventListener("pointerleave", () => this.#tooltip.hide(), { signal });
    store.subscribe(paced(() => this.draw(), READABLE_MS, signal), signal);
    store.selection.subscribe(
      perFrame(() => this.draw(), signal),
      signal,
    );
    this.draw();
  }

  draw(): void {
    const { timeline, selection, state } = this.#store;
    const whole = positionsOf(timeline, { from: 0, to: timeline.sent.length });
    const { range } = selection;
    const part = range && positionsOf(timeline, range);
    const shown = part ?? whole;
    setText(this.#value, range ? rangeName(range) : "");
    this.#runKey.hidden = part === null;
    this.#note.hidden = whole.drafts > 0 || busy(state.phase) || timeline.sent.length === 0;
    const positions = whole.accepted.map((_, i) => i);
    this.#words = positions.map((i) => [shownWords(shown, i), part ? `In the whole run: ${ratesWords(whole, i)}.` : ""].filter(Boolean).join(" "));
    this.#chart.replaceChildren(...positions.map((i) => column(i, shown, part && whole)));
    this.#table.replaceChildren(
      h("caption", {}, `Acceptance by position in the draft${range ? `, ${rangeName(range).toLowerCase()} and the whole run` : ""}`),
      row("th", "Position", ...(part ? RATES.map((rate) => `${rate}, selected`) : []), ...RATES),
      ...positions.map((i) => row("td", String(i + 1), ...(part ? cells(part, i) : []), ...cells(whole, i))),
    );
  }

  #explain(target: EventTarget | null): void {
    const bar = target instanceof Element ? target.closest<HTMLElement>(".sv-pos") : null;
    const words = this.#words[Number(bar?.dataset["position"] ?? 0) - 1];
    if (bar && words) this.#tooltip.show(bar.getBoundingClientRect(), words);
    else this.#tooltip.hide();
  }
}

interface Share {
  n: number;
  of: number;
}

function share({ drafts, accepted, compared }: Positions, rate: Rate, i: number): Share {
  return { n: accepted[i] ?? 0, of: rate === "marginal" ? drafts : (compared[i] ?? 0) };
}

function column(i: number, shown: Positions, whole: Positions | null): HTMLElement {
  const bars = RATES.map((rate) => {
    const level = whole && upTo("b", share(whole, rate, i));
    return h("span", { class: "sv-pos-bar", "data-rate": rate }, upTo("i", share(shown, rate, i)), level);
  });
  return h("div", { class: "sv-pos", "data-position": i + 1 }, h("div", { class: "sv-pos-bars" }, ...bars), h("span", { class: "sv-pos-label" }, String(i + 1)));
}

function upTo(tag: "i" | "b", { n, of }: Share): HTMLElement {
  const element = h(tag);
  element.style.height = `${of ? (100 * n) / of : 0}%`;
  return element;
}

function shareWords({ n, of }: Share): string {
  return `${n.toLocaleString("en")} of ${of.toLocaleString("en")}${of ? ` (${percent(n / of)})` : ""}`;
}

function cells(positions: Positions, i: number): string[] {
  return RATES.map((rate) => shareWords(share(positions, rate, i)));
}

function ratesWords(positions: Positions, i: number): string {
  const [all = "", reached = ""] = cells(positions, i);
  return `${all} of all drafts, ${reached} of those that came so far`;
}

function shownWords(positions: Positions, i: number): string {
  return `Position ${i + 1} was accepted in ${ratesWords(positions, i)}.`;
}

function row(tag: "th" | "td", first: string, ...rest: string[]): HTMLElement {
  return h("tr", {}, h("th", { scope: tag === "th" ? "col" : "row" }, first), ...rest.map((text) => (tag === "th" ? h("th", { scope: "col" }, text) : h("td", {}, text))));
}

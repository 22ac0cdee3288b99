import { h, setText } from "./dom.js";
import type { HeatColumns } from "./protocol.js";
import { times } from "./race_track_words.js";
import { step } from "./ranges.js";

/** The axis shows this factor to either side of 1 at least, and intervals at most to that one. */
const LEAST = 1.1;
const MOST = 4;

/** Each prompt's speedup as a dot on an axis around 1, their geometric mean with its interval below. */
export class RacePrompts {
  readonly element: HTMLElement;
  readonly #rows = h("ol", { class: "sv-race-rows", "data-testid": "race-prompts" });
  readonly #axis = h("div", { class: "sv-race-row sv-race-ticks", "aria-hidden": "true" });
  #heats: HeatColumns | null = null;
  #current = -1;

  constructor() {
    const head = h("div", { class: "sv-row" }, h("h3", {}, "Prompts"), h("span", { class: "sv-caption" }, "speedup with the draft, over plain decoding without one"));
    this.element = h("section", { class: "sv-race-prompts", "aria-label": "Prompts" }, head, this.#rows, this.#axis);
  }

  /** `current` is the prompt under way; -1: none. */
  draw(heats: HeatColumns, current: number): void {
    if (heats === this.#heats && current === this.#current) return;
    this.#heats = heats;
    this.#current = current;
    const factor = reach(heats);
    const at = (ratio: number) => 50 + (50 * Math.log(ratio)) / Math.log(factor);
    const rows = heats.prompt.map((prompt, i) => this.#row(heats, i, prompt, at));
    if (heats.interval) rows.push(meanRow(heats.interval, at));
    this.#rows.replaceChildren(...rows);
    this.#axis.replaceChildren(...(heats.done ? [h("div", { class: "sv-race-plot" }, ...[1 / factor, 1, factor].map((tick) => h("span", {}, times(tick))))] : []));
  }

  #row(heats: HeatColumns, i: number, prompt: string, at: (ratio: number) => number): HTMLElement {
    const ratio = heats.ratio[i] ?? null;
    const plot = h("div", { class: "sv-race-plot", "aria-hidden": "true" });
    if (ratio !== null) plot.append(placed("sv-race-dot", at(ratio)));
    const category = heats.category[i];
    const name = h("span", { class: "sv-race-prompt", title: prompt }, prompt);
    if (category) name.prepend(h("span", { class: "sv-race-category" }, category));
    const row = h("li", { class: "sv-race-row", "data-testid": "race-prompt" }, name, h("span", { class: "sv-number" }, ratio === null ? "—" : times(ratio)), plot);
    if (i === this.#current) row.setAttribute("aria-current", "step");
    const parting = heats.parting[i];
    if (parting) row.append(partingLine(parting, heats.tie[i] === true));
    return row;
  }
}

function partingLine(parting: string, tie: boolean): HTMLElement {
  const badge = h("span", { class: "sv-race-tie", "data-tie": String(tie) }, tie ? "tie" : "no tie");
  const sentence = h("span", {});
  setText(sentence, `${parting.slice(0, 1).toUpperCase()}${parting.slice(1)}.`);
  return h("p", { class: "sv-caption sv-race-parting", "data-testid": "race-parting" }, badge, sentence);
}

function meanRow([ratio, low, high]: [number, number, number], at: (ratio: number) => number): HTMLElement {
  const [from, to] = [Math.max(0, at(low)), Math.min(100, at(high))];
  const bar = h("i", { class: "sv-race-interval" });
  bar.style.insetInlineStart = `${from}%`;
  bar.style.width = `${Math.max(0, to - from)}%`;
  bar.classList.toggle("sv-open-low", at(low) < 0);
  bar.classList.toggle("sv-open-high", at(high) > 100);
  const plot = h("div", { class: "sv-race-plot", "aria-hidden": "true" }, bar, placed("sv-race-mean", at(ratio)));
  return h("li", { class: "sv-race-row sv-race-all", "data-testid": "race-mean" }, h("span", {}, "Geometric mean"), h("span", { class: "sv-number" }, times(ratio)), plot);
}

function placed(className: string, at: number): HTMLElement {
  const mark = h("i", { class: className });
  mark.style.insetInlineStart = `${at}%`;
  return mark;
}

/** The factor that the axis shows to either side of 1. */
function reach({ ratio, interval }: HeatColumns): number {
  const away = (value: number) => Math.max(value, 1 / value);
  const known = ratio.filter((one): one is number => one !== null).map(away);
  const ends = (interval ?? []).map((one) => Math.min(MOST, away(one)));
  const factor = Math.max(LEAST, ...known, ...ends);
  return 1 + step(1.05 * (factor - 1));
}

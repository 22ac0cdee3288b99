import { h, setText } from "./dom.js";
import type { MeasuredColumns } from "./protocol.js";
import { Tooltip } from "./tooltip.js";
import { LENGTHS, type Cell } from "./what_if_figures.js";
import { times } from "./what_if_words.js";

/** Speedups of this factor, and of one over it, have the full colour. */
const FULL = 2;

export interface Chosen {
  draft: number;
  length: number;
}

/** Every draft and draft length at a glance. */
export class Heatmap {
  readonly element: HTMLElement;
  readonly #drafts: string[];
  readonly #cells: HTMLElement[][];
  readonly #title = h("h3", {});
  readonly #about = h("p", { class: "sv-caption", "data-testid": "heatmap-about" });
  readonly #scale: HTMLElement;
  readonly #bestKey = h("li", { "data-mark": "best" });
  readonly #measuredKey = h("li", { "data-mark": "measured" }, "measured");
  #values: Cell[][] = [];
  #measured = new Map<string, number>();
  #pMin = 0;
  #speeds = false;

  constructor(drafts: string[], choose: (chosen: Chosen) => void, tooltip: Tooltip, signal: AbortSignal) {
    this.#drafts = drafts;
    const names = shortened(drafts);
    this.#cells = drafts.map((_, draft) =>
      LENGTHS.map((length) => h("td", { role: "gridcell", tabindex: -1, "data-draft": draft, "data-length": length })),
    );
    const head = h("tr", { role: "row" }, h("th", { role: "columnheader" }, "Draft length"), ...LENGTHS.map((n) => h("th", { role: "columnheader", scope: "col" }, String(n))));
    const rows = names.map((name, draft) =>
      h("tr", { role: "row" }, h("th", { role: "rowheader", scope: "row", title: drafts[draft] }, name), ...(this.#cells[draft] ?? [])),
    );
    const grid = h("table", { class: "sv-wi-grid", role: "grid", "aria-label": "Drafts by draft length", "data-testid": "heatmap" }, h("thead", {}, head), h("tbody", {}, ...rows));
    this.#scale = h("li", { class: "sv-wi-scale" }, `${1 / FULL}×`, h("i", {}), "1×", h("i", {}), `${FULL}×`);
    const key = h(
      "ul",
      { class: "sv-key", "aria-label": "Key" },
      h("li", { "data-mark": "chosen" }, "chosen"),
      this.#bestKey,
      this.#measuredKey,
      this.#scale,
    );
    this.element = h("section", { class: "sv-wi-heat", "aria-label": "Heatmap" }, h("div", {}, this.#title, this.#about), grid, key);

    const cellOf = (target: EventTarget | null) => (target instanceof Element ? target.closest<HTMLElement>("td") : null);
    const at = (cell: HTMLElement): Chosen => ({ draft: Number(cell.dataset["draft"]), length: Number(cell.dataset["length"]) });
    const explain = (cell: HTMLElement | null) => {
      if (cell) tooltip.show(cell.getBoundingClientRect(), ...this.#explanation(at(cell)));
      else tooltip.hide();
    };
    grid.addEventListener("click", (event) => {
      const cell = cellOf(event.target);
      if (cell) choose(at(cell));
    }, { signal });
    grid.addEventListener("keydown", (event) => {
      const cell = cellOf(event.target);
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter" || event.key === " ") choose(at(cell));
      else if (!this.#move(at(cell), event.key)) return;
      event.preventDefault();
      event.stopPropagation();
    }, { signal });
    grid.addEventListener("pointerover", (event) => explain(cellOf(event.target)), { signal });
    grid.addEventListener("pointerleave", () => tooltip.hide(), { signal });
    grid.addEventListener("focusin", (event) => {
      const cell = cellOf(event.target);
      if (cell?.matches(":focus-visible")) explain(cell);
    }, { signal });
    grid.addEventListener("focusout", () => tooltip.hide(), { signal });
  }

  /** Show other values; `speeds`: they are speedups, where there are any. */
  draw(values: Cell[][], speeds: boolean, pMin: number, measured: MeasuredColumns | Record<string, never>, why: string): void {
    this.#values = values;
    this.#speeds = speeds;
    this.#pMin = pMin;
    this.#measured = measuredAt(measured, pMin, this.#drafts);
    setText(this.#title, speeds ? "Predicted speedup" : "Tokens per round");
    setText(this.#about, why);
    setText(this.#bestKey, speeds ? "fastest" : "fewest rounds");
    this.#scale.hidden = !speeds;
    this.#measuredKey.hidden = this.#measured.size === 0;
    const shown = (cell: Cell) => (speeds ? cell.speedup : cell.tokensPerRound);
    const all = values.flat().map((cell) => shown(cell) ?? -Infinity);
    const [best, most] = [Math.max(...all), Math.max(...values.flat().map((cell) => cell.tokensPerRound))];
    let found = false;
    values.forEach((row, draft) =>
      row.forEach((cell, length) => {
        const element = this.#cells[draft]?.[length];
        if (!element) return;
        const value = shown(cell);
        const isBest = !found && value === best;
        found ||= isBest;
        setText(element, value === null ? "—" : value.toFixed(2));
        element.classList.toggle("sv-best", isBest);
        element.classList.toggle("sv-measured", this.#measured.has(`${draft}:${length}`));
        const heat = value === null ? 0 : speeds ? Math.log(value) / Math.log(FULL) : (value - 1) / Math.max(most - 1, 1e-9);
        element.dataset["side"] = !speeds ? "more" : heat < 0 ? "slower" : heat > 0 ? "faster" : "even";
        element.style.setProperty("--sv-heat", `${Math.round(100 * Math.min(1, Math.abs(heat)))}`);
        element.setAttribute("aria-label", this.#sentences({ draft, length }).join(" "));
      }),
    );
  }

  select(chosen: Chosen): void {
    this.#cells.forEach((row, draft) =>
      row.forEach((cell, length) => {
        const selected = draft === chosen.draft && length === chosen.length;
        if ((cell.getAttribute("aria-selected") === "true") === selected) return;
        cell.setAttribute("aria-selected", String(selected));
        cell.tabIndex = selected ? 0 : -1;
      }),
    );
  }

  #move({ draft, length }: Chosen, key: string): boolean {
    const step: Record<string, [number, number]> = {
      ArrowRight: [draft, length + 1],
      ArrowLeft: [draft, length - 1],
      ArrowDown: [draft + 1, length],
      ArrowUp: [draft - 1, length],
      Home: [draft, 0],
      End: [draft, LENGTHS.length - 1],
    };
    const to = step[key];
    if (!to) return false;
    this.#cells[to[0]]?.[to[1]]?.focus();
    return true;
  }

  #sentences({ draft, length }: Chosen): string[] {
    const cell = this.#values[draft]?.[length];
    const measured = this.#measured.get(`${draft}:${length}`);
    const sentences = [`Draft length ${length}.`];
    if (cell && cell.speedup !== null) sentences.push(`Predicted ${times(cell.speedup)}.`);
    else if (this.#speeds) sentences.push("Its costs were not measured.");
    if (cell) sentences.push(`${cell.tokensPerRound.toFixed(2)} tokens per round.`);
    if (measured !== undefined) sentences.push(`Measured ${times(measured)}.`);
    return sentences;
  }

  #explanation(chosen: Chosen): Node[] {
    return [
      h("strong", {}, this.#drafts[chosen.draft] ?? ""),
      h("div", { class: "sv-caption" }, `p_min ${this.#pMin.toFixed(2)}`),
      ...this.#sentences(chosen).map((sentence) => h("div", {}, sentence)),
    ];
  }
}

/** Speedups measured under this cutoff, by draft and length. */
function measuredAt(columns: MeasuredColumns | Record<string, never>, pMin: number, drafts: string[]): Map<string, number> {
  const found = new Map<string, number>();
  columns.draft?.forEach((name: string, i: number) => {
    const [p, speedup] = [columns.p_min?.[i] ?? -1, columns.speedup?.[i]];
    if (Math.abs(p - pMin) < 0.005 && speedup !== undefined) found.set(`${drafts.indexOf(name)}:${columns.num_draft_tokens?.[i]}`, speedup);
  });
  return found;
}

/** Names without what all of them begin with, up to the last sign that parts words. */
export function shortened(names: string[]): string[] {
  const first = names[0] ?? "";
  let same = 0;
  if (names.length > 1) while (same < first.length && names.every((name) => name[same] === first[same])) same += 1;
  const cut = Math.max(...["-", "_", ".", " ", "/"].map((sign) => first.lastIndexOf(sign, same - 1))) + 1;
  return names.map((name) => (same > 0 && cut > 0 && cut < name.length ? `…${name.slice(cut)}` : name));
}

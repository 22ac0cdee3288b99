import { SIDES, type CompareSection, type Side } from "./compare_rows.js";
import { foldWords } from "./compare_words.js";
import { h, uniqueId } from "./dom.js";
import type { Stretch } from "./store.js";

/** A section of both texts: the figures of its stretches, and its rows below them. Reasoning opens and closes, in both answers at once. */
export class ComparedSection {
  readonly elements: HTMLElement[];
  readonly #section: CompareSection;
  readonly #body = h("div", { id: uniqueId("section"), role: "rowgroup" });
  readonly #buttons: HTMLButtonElement[] = [];
  /** What is hidden while it is closed: cells of reasoning, and rows that hold nothing else. */
  readonly #folded: HTMLElement[] = [];

  /** `rows` are those of the section, drawn. */
  constructor(section: CompareSection, rows: HTMLElement[], stretches: Record<Side, Stretch[]>) {
    this.#section = section;
    this.#body.append(...rows);
    const shown = SIDES.map((side) => (this.#says(side) ? stretches[side].findLast(({ start }) => start <= section.from[side]) : undefined));
    const thinks = shown.map((stretch) => stretch !== undefined && stretch.kind !== "a");
    rows.forEach((row, i) => {
      SIDES.forEach((_, j) => thinks[j] && this.#fold(row.children[j] as HTMLElement));
      if (SIDES.every((side, j) => thinks[j] || section.rows[i]?.[side].every(({ from, to }) => from === to))) this.#folded.push(row);
    });
    const heads = shown.map((stretch, j) => {
      const head = !stretch ? null : thinks[j] ? this.#button(stretch) : h("p", { class: "sv-caption sv-stretch-head" }, stretch.caption);
      return h("div", { class: "sv-cmp-cell", role: "cell" }, head);
    });
    this.elements = shown.some(Boolean) ? [h("div", { class: "sv-cmp-row sv-cmp-fold", role: "row" }, ...heads), this.#body] : [this.#body];
    if (!shown.some((stretch) => stretch?.kind === "o")) this.open = false;
  }

  get open(): boolean {
    return this.#buttons.every((button) => button.getAttribute("aria-expanded") === "true");
  }

  set open(open: boolean) {
    for (const button of this.#buttons) button.setAttribute("aria-expanded", String(open));
    for (const element of this.#folded) element.hidden = !open;
  }

  contains(element: Element): boolean {
    return this.#body.contains(element);
  }

  /** The token of an answer that comes next after all of the section, or before it. */
  beyond(side: Side, step: number): number {
    return step > 0 ? this.#section.to[side] : this.#section.from[side] - 1;
  }

  #says(side: Side): boolean {
    return this.#section.from[side] < this.#section.to[side];
  }

  #fold(cell: HTMLElement): void {
    cell.classList.add("sv-cmp-thought");
    this.#folded.push(cell);
  }

  #button({ caption }: Stretch): HTMLButtonElement {
    const differences = new Set(this.#section.rows.flatMap(({ a, b }) => [...a, ...b].flatMap(({ difference }) => difference ?? [])));
    const button = h(
      "button",
      { type: "button", class: "sv-quiet sv-stretch-head", "aria-expanded": "true", "aria-controls": this.#body.id, "data-testid": "reasoning" },
      foldWords(caption, { differences: differences.size, parting: differences.has(0), alone: !SIDES.every((side) => this.#says(side)) }),
    );
    button.addEventListener("click", () => (this.open = !this.open));
    this.#buttons.push(button);
    return button;
  }
}

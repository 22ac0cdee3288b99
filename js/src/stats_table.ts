import { h, paced, READABLE_MS, setText, uniqueId } from "./dom.js";
import type { StatRow } from "./protocol.js";
import type { Store } from "./store.js";
import { Tooltip } from "./tooltip.js";

interface Line {
  row: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
  help: HTMLElement;
}

/** The statistics as Python worded and formatted them; rows are kept by key, so that focus survives an update. */
export class StatsTable {
  readonly element: HTMLElement;
  readonly #store: Store;
  readonly #lines = new Map<string, Line>();
  readonly #body = h("tbody", { role: "rowgroup" });
  readonly #empty = h("p", { class: "sv-caption" }, "Nothing measured yet.");
  readonly #tooltip: Tooltip;

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    const table = h("table", { class: "sv-table", role: "table", "aria-label": "Statistics" }, this.#body);
    this.element = h("section", { class: "sv-stats", "data-testid": "stats", "aria-label": "Statistics" }, table, this.#empty);
    this.#tooltip = new Tooltip(this.element);
    for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]] as const) {
      this.element.addEventListener(on, (event) => this.#explain(event.target), { signal });
      this.element.addEventListener(off, () => this.#tooltip.hide(), { signal });
    }
    this.element.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Escape") this.#tooltip.hide();
      },
      { signal },
    );
    store.subscribe(paced(() => this.draw(), READABLE_MS, signal), signal);
    this.draw();
  }

  draw(): void {
    const { stats } = this.#store;
    const keys = new Set(stats.map((row) => row.key));
    for (const [key, line] of this.#lines) {
      if (keys.has(key)) continue;
      line.row.remove();
      this.#lines.delete(key);
    }
    stats.forEach((row, index) => {
      const line = this.#lines.get(row.key) ?? this.#newLine(row.key);
      setText(line.label, row.label);
      setText(line.value, row.value);
      setText(line.help, row.help ?? "");
      this.#setHelp(line, row);
      if (this.#body.children[index] !== line.row) this.#body.insertBefore(line.row, this.#body.children[index] ?? null);
    });
    this.#empty.hidden = stats.length > 0;
  }

  #newLine(key: string): Line {
    const help = h("span", { class: "sv-hidden", id: uniqueId("help") });
    const label = h("span", { class: "sv-term", "aria-describedby": help.id });
    const value = h("td", { role: "cell" });
    const row = h("tr", { role: "row", "data-key": key }, h("th", { scope: "row", role: "rowheader" }, label, help), value);
    const line = { row, label, value, help };
    this.#lines.set(key, line);
    return line;
  }

  #setHelp(line: Line, row: StatRow): void {
    if (row.help) {
      line.label.tabIndex = 0;
      line.label.classList.add("sv-helped");
    } else {
      line.label.removeAttribute("tabindex");
      line.label.classList.remove("sv-helped");
    }
  }

  #explain(target: EventTarget | null): void {
    const label = target instanceof Element ? target.closest<HTMLElement>(".sv-helped") : null;
    const help = label?.nextElementSibling?.textContent;
    if (label && help) this.#tooltip.show(label.getBoundingClientRect(), help);
    else this.#tooltip.hide();
  }
}

import { h, icon, paced, perFrame, READABLE_MS, setText, uniqueId } from "./dom.js";
import { busy, type Metrics, type StatRow } from "./protocol.js";
import type { SettingsModel } from "./settings.js";
import type { Store } from "./store.js";
import { rangeWords } from "./timeline.js";
import { Tooltip } from "./tooltip.js";
import { METRICS } from "./words.js";

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
  readonly #empty = h("p", { class: "sv-caption" });
  readonly #selected = h("span", { role: "status", "data-testid": "selection" });
  readonly #clear = h(
    "button",
    { type: "button", class: "sv-quiet", title: "Select no rounds (Escape)", "aria-label": "Select no rounds", "data-testid": "clear-selection" },
    icon("close"),
  );
  readonly #tooltip: Tooltip;

  #metrics: Metrics = "specviz";

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    const table = h("table", { class: "sv-table", role: "table", "aria-label": "Statistics" }, this.#body);
    this.element = h("section", { class: "sv-stats", "data-testid": "stats", "aria-label": "Statistics" }, h("div", { class: "sv-selection" }, this.#selected, this.#clear), table, this.#empty);
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
    this.#clear.addEventListener("click", () => store.selection.clear(), { signal });
    store.subscribe(paced(() => this.draw(), READABLE_MS, signal), signal);
    const select = perFrame(() => this.#drawSelection(), signal);
    store.selection.subscribe(select, signal);
    this.draw();
  }

  /** Tell them in somebody's names. */
  show(metrics: Metrics): void {
    this.#metrics = metrics;
    this.element.dataset["metrics"] = metrics;
    this.draw();
  }

  #drawSelection(): void {
    const { selection, timeline } = this.#store;
    setText(this.#selected, selection.range ? rangeWords(timeline, selection.range) : "");
    this.#clear.hidden = selection.range === null;
  }

  draw(): void {
    const stats = this.#store.rows(this.#metrics);
    this.#drawSelection();
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
    // A replay on its way has the figures that were recorded round by round, which others do not name.
    const later = this.#store.stats.length > 0 && busy(this.#store.state.phase);
    setText(this.#empty, later ? "Told at the end." : "Nothing measured yet.");
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

/** In whose names statistics are told. */
export function metricsControl(settings: SettingsModel): HTMLElement {
  const id = uniqueId("metrics");
  const options = Object.entries(METRICS).map(([value, label]) => h("option", { value }, label));
  const select = h("select", { id, class: "sv-select sv-small", "data-testid": "metrics" }, ...options);
  select.addEventListener("change", () => settings.set("metrics", select.value as Metrics));
  settings.follow(["metrics"], () => (select.value = settings.get("metrics")));
  return h("div", { class: "sv-field sv-inline sv-tool" }, h("label", { for: id }, "In the names of"), select);
}

import type { AnyModel } from "@anywidget/types";
import type { Side } from "./compare_rows.js";
import { ComparedText } from "./compare_text.js";
import { switchControl } from "./controls.js";
import { h } from "./dom.js";
import { mountRoot } from "./parts.js";
import type { ComparedRow, CompareTraits, ComparisonColumns, ExplorerTraits, PageMessage, RoundDetail, Snapshot } from "./protocol.js";
import { SettingsModel } from "./settings.js";
import { Store } from "./store.js";

/** Two answers, each in a store of its own, and what their comparison says. */
export class Compared {
  readonly comparison: ComparisonColumns;
  readonly stores: Record<Side, Store>;

  constructor(comparison: ComparisonColumns, [a, b]: [Snapshot, Snapshot], send: (message: PageMessage) => void) {
    this.comparison = comparison;
    this.stores = { a: new Store(send), b: new Store(send) };
    this.stores.a.restore(a);
    this.stores.b.restore(b);
  }

  /** A round's detail; its run says whose it is. */
  receive(detail: RoundDetail): void {
    this.stores.a.receive(detail);
    this.stores.b.receive(detail);
  }

  dispose(): void {
    this.stores.a.dispose();
    this.stores.b.dispose();
  }
}

export interface CompareTarget {
  el: HTMLElement;
  signal: AbortSignal;
  model: AnyModel<CompareTraits>;
}

/** The verdict, both texts side by side, and what was different about them; `tools` stand above the texts. */
export function viewCompare({ comparison, stores }: Compared, { el, signal, model }: CompareTarget, ...tools: HTMLElement[]): void {
  const { names, verdict, settings: asked, figures } = comparison;
  const settings = new SettingsModel(model as unknown as AnyModel<ExplorerTraits>, signal);
  const rejected = switchControl(settings, "show_rejected", "Show rejected", "toggle-rejected");
  const text = new ComparedText(comparison, stores, signal, rejected, ...tools);
  text.onDropped = () => settings.set("show_rejected", true);
  settings.follow(["show_rejected"], () => text.show({ rejected: settings.get("show_rejected") }));
  const same = h("p", { class: "sv-caption" }, "Both were asked for with the same settings.");
  mountRoot(
    { el, signal },
    "sv-compare",
    h("p", { class: "sv-cmp-verdict", "data-testid": "verdict" }, verdict),
    text.element,
    h("div", { class: "sv-cmp-tables" }, asked.length ? table("Settings that differ", names, asked, "compare-settings") : same, table("Figures", names, figures, "compare-figures")),
  );
}

function table(title: string, names: [string, string], rows: ComparedRow[], testid: string): HTMLElement {
  const cell = (value: string) => h("td", { role: "cell", title: value }, h("span", {}, value));
  return h(
    "table",
    { class: "sv-table sv-cmp-table", role: "table", "data-testid": testid },
    h("caption", {}, title),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("td", { role: "cell" }), ...names.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))),
    h("tbody", { role: "rowgroup" }, ...rows.map(({ label, a, b, help }) => h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader", title: help || undefined }, label), cell(a), cell(b)))),
  );
}

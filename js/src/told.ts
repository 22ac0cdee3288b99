import { h } from "./dom.js";
import type { PickerStore } from "./picker_store.js";

/** What the server of the last run tells and what it does not: views that lack something have it from here. */
export function toldView(models: PickerStore, signal: AbortSignal): HTMLElement {
  const body = h("tbody", {});
  const table = h("table", { class: "sv-table sv-told", "data-testid": "told" }, h("caption", { class: "sv-caption" }, "What this server tells"), body);
  const draw = () => {
    const rows = models.content.told ?? [];
    body.replaceChildren(
      ...rows.map(([what, told]) => h("tr", { "data-told": String(told) }, h("th", { scope: "row" }, what), h("td", {}, told ? "yes" : "no"))),
    );
    table.hidden = rows.length === 0;
  };
  models.subscribe(draw, signal);
  draw();
  return table;
}

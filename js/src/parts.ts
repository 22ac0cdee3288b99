import type { AnyModel } from "@anywidget/types";
import { h } from "./dom.js";
import { CurvePlot, type PlotName } from "./plots.js";
import type { Part, PartTraits } from "./protocol.js";
import { StatsTable } from "./stats_table.js";
import type { Store } from "./store.js";
import { TokenStream } from "./token_stream.js";

export interface MountTarget {
  el: HTMLElement;
  signal: AbortSignal;
  model?: AnyModel<PartTraits>;
}

/** Draw one part into a light model's element; which tokens are shown is up to that model's own traits. */
export function mountPart(part: Part, store: Store, { el, signal, model }: MountTarget): void {
  const root = h("div", { class: "specviz sv-part", "data-part": part });
  el.append(root);
  signal.addEventListener("abort", () => root.remove(), { once: true });
  if (part === "stats") {
    root.append(new StatsTable(store, signal).element);
  } else if (part === "tokens") {
    const stream = new TokenStream(store, signal);
    const show = () =>
      stream.show({ provenance: model?.get("show_provenance") ?? true, rejected: model?.get("show_rejected") ?? false });
    show();
    for (const trait of ["show_provenance", "show_rejected"] as const) {
      model?.on(`change:${trait}`, show);
      signal.addEventListener("abort", () => model?.off(`change:${trait}`, show), { once: true });
    }
    root.append(stream.element);
  } else if (part === "acceptance" || part === "throughput" || part === "speedup") {
    root.append(new CurvePlot(part, store, signal).element);
  } else {
    throw new Error(`specviz: no part ${JSON.stringify(part)}`);
  }
}

export function plotRow(store: Store, signal: AbortSignal): HTMLElement {
  const names: PlotName[] = ["acceptance", "throughput", "speedup"];
  return h("div", { class: "sv-plots" }, ...names.map((name) => new CurvePlot(name, store, signal).element));
}

/** A bare feed: tokens, plots, statistics, without controls. */
export function viewFeed(store: Store, el: HTMLElement, signal: AbortSignal): void {
  const root = h(
    "div",
    { class: "specviz sv-feed" },
    new TokenStream(store, signal).element,
    plotRow(store, signal),
    new StatsTable(store, signal).element,
  );
  el.append(root);
  signal.addEventListener("abort", () => root.remove(), { once: true });
}

import type { AnyModel } from "@anywidget/types";
import { h, keepKeys } from "./dom.js";
import { CurvePlot, type PlotName } from "./plots.js";
import { PositionPlot } from "./positions.js";
import type { Part, ShownTraits } from "./protocol.js";
import { RoundFigure } from "./round_figures.js";
import type { SettingsModel } from "./settings.js";
import { metricsControl, StatsTable } from "./stats_table.js";
import type { Store } from "./store.js";
import { TokenStream } from "./token_stream.js";

export interface MountTarget {
  el: HTMLElement;
  signal: AbortSignal;
  model?: AnyModel<ShownTraits>;
}

/** Draw one part into a light model's element; which tokens are shown is up to that model's own traits. */
export function mountPart(part: Part, store: Store, target: MountTarget): void {
  mountRoot(target, `sv-part sv-part-${part}`, partElement(part, store, target));
}

/** A bare feed: tokens, plots, statistics, without controls. */
export function viewFeed(store: Store, target: MountTarget): void {
  const { signal } = target;
  mountRoot(target, "sv-feed", tokenStream(store, target), roundRow(store, signal), plotRow(store, signal), statsTable(store, target));
}

/** Time and acceptance of rounds, one above the other on the same axis; acceptance by position beside them. */
export function roundRow(store: Store, signal: AbortSignal): HTMLElement {
  const strips = (["timeline", "accepted"] as const).map((name) => new RoundFigure(name, store, signal).element);
  return h("div", { class: "sv-round-row" }, h("div", { class: "sv-round-strips" }, ...strips), new PositionPlot(store, signal).element);
}

export function plotRow(store: Store, signal: AbortSignal): HTMLElement {
  const names: PlotName[] = ["acceptance", "throughput", "speedup"];
  return h("div", { class: "sv-plots" }, ...names.map((name) => new CurvePlot(name, store, signal).element));
}

/** A token stream that shows what the model's traits say. */
export function tokenStream(store: Store, { model, signal }: Pick<MountTarget, "model" | "signal">, ...tools: HTMLElement[]): HTMLElement {
  const stream = new TokenStream(store, signal, ...tools);
  const show = () =>
    stream.show({
      provenance: model?.get("show_provenance") ?? true,
      rejected: model?.get("show_rejected") ?? false,
      colour: model?.get("colour") ?? "provenance",
    });
  show();
  for (const trait of ["show_provenance", "show_rejected", "colour"] as const) {
    model?.on(`change:${trait}`, show);
    signal.addEventListener("abort", () => model?.off(`change:${trait}`, show), { once: true });
  }
  return stream.element;
}

/** Statistics in the names that the model's trait says. */
export function statsTable(store: Store, { model, signal }: Pick<MountTarget, "model" | "signal">): HTMLElement {
  const table = new StatsTable(store, signal);
  const show = () => table.show(model?.get("metrics") ?? "specviz");
  show();
  model?.on("change:metrics", show);
  signal.addEventListener("abort", () => model?.off("change:metrics", show), { once: true });
  return table.element;
}

/** The same under a heading, with a choice of names. */
export function statsGroup(store: Store, settings: SettingsModel, target: Pick<MountTarget, "model" | "signal">): HTMLElement {
  const head = h("div", { class: "sv-row sv-stats-head" }, h("h3", {}, "Statistics"), metricsControl(settings));
  return h("div", { class: "sv-group sv-side-stats" }, head, statsTable(store, target));
}

function partElement(part: Part, store: Store, target: MountTarget): HTMLElement {
  switch (part) {
    case "tokens":
      return tokenStream(store, target);
    case "stats":
      return statsTable(store, target);
    case "timeline":
    case "accepted":
      return new RoundFigure(part, store, target.signal).element;
    case "positions":
      return new PositionPlot(store, target.signal).element;
    case "acceptance":
    case "throughput":
    case "speedup":
      return new CurvePlot(part, store, target.signal).element;
    default:
      throw new Error(`specviz: no part ${JSON.stringify(part satisfies never)}`);
  }
}

export function mountRoot({ el, signal }: MountTarget, className: string, ...children: HTMLElement[]): void {
  if (signal.aborted) return;
  const root = h("div", { class: `specviz ${className}` }, ...children);
  keepKeys(root, signal);
  el.append(root);
  signal.addEventListener("abort", () => root.remove(), { once: true });
}

import type { AnyModel } from "@anywidget/types";
import { h } from "./dom.js";
import { viewReplay } from "./player.js";
import { Playback } from "./player_playback.js";
import type { ReplayTraits, Timeline } from "./player_timeline.js";
import type { PageMessage, RoundDetail, RunInfo, ShownTraits, Snapshot } from "./protocol.js";

/** What a self-contained page holds. */
export interface PageData extends ShownTraits {
  snapshot: Snapshot;
  timeline: Timeline;
  /** Of each round; empty where there were too many. */
  details: Omit<RoundDetail, "type" | "run" | "round">[];
  workshop?: boolean;
}

/** Show a page's views; called once, by the page itself. */
export function openPage(root: HTMLElement, { details, snapshot, timeline, ...shown }: PageData): void {
  const { signal } = new AbortController();
  const answer = (message: PageMessage) => {
    if (message.type !== "inspect") return;
    const { run, round } = message;
    const detail = details[round];
    if (detail) queueMicrotask(() => playback.store.receive({ type: "detail", run, round, ...detail }));
  };
  const playback = new Playback(snapshot, timeline, answer, signal);
  const model = new PageModel({ show_provenance: true, show_rejected: false, colour: "provenance", ...shown });
  const el = h("div", { class: "sv-page" });
  followSystemTheme();
  root.append(pageHead(snapshot.run_info ?? {}), el);
  viewReplay(playback, { el, signal, model: model.as<ReplayTraits>() });
}

type Callback = () => void;

/** A model without a kernel: its traits last as long as the page. */
class PageModel {
  readonly #traits: Map<string, unknown>;
  readonly #handlers = new Map<string, Set<Callback>>();

  constructor(traits: object) {
    this.#traits = new Map<string, unknown>(Object.entries(traits));
  }

  get(name: string): unknown {
    return this.#traits.get(name);
  }

  set(name: string, value: unknown): void {
    this.#traits.set(name, value);
    for (const callback of [...(this.#handlers.get(`change:${name}`) ?? [])]) callback();
  }

  save_changes(): void {}

  on(name: string, callback: Callback): void {
    this.#handlers.set(name, (this.#handlers.get(name) ?? new Set()).add(callback));
  }

  off(name: string, callback: Callback): void {
    this.#handlers.get(name)?.delete(callback);
  }

  as<Traits extends Record<string, any>>(): AnyModel<Traits> {
    return this as unknown as AnyModel<Traits>;
  }
}

/** Whose answer it is. */
function pageHead({ main = "", draft = "", num_draft_tokens: length, temperature }: RunInfo): HTMLElement {
  const settings = [draft && length !== undefined ? `draft length ${length}` : "", temperature === undefined ? "" : `temperature ${temperature}`];
  const how = settings.filter(Boolean).join(", ");
  return h(
    "header",
    { class: "specviz sv-page-head" },
    h("h1", {}, main, h("span", {}, draft ? ` with ${draft}` : " without a draft")),
    h("p", { class: "sv-caption" }, `Recorded${how ? ` with ${how}` : ""}. Everything is in this file.`),
  );
}

/** The page follows the system's choice of light or dark, as a notebook follows JupyterLab's. */
function followSystemTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => (document.body.dataset["jpThemeLight"] = String(!dark.matches));
  dark.addEventListener("change", follow);
  follow();
}

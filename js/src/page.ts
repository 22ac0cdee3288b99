import type { AnyModel } from "@anywidget/types";
import { Compared, viewCompare } from "./compare.js";
import { h } from "./dom.js";
import { viewReplay } from "./player.js";
import { Playback } from "./player_playback.js";
import type { ReplayTraits } from "./player_timeline.js";
import type { CompareTraits, PageMessage, RoundDetail, RunInfo, ShownTraits, Snapshot } from "./protocol.js";
import { count } from "./words.js";

/** Of each round of an answer; empty where there were too many. */
type Details = Omit<RoundDetail, "type" | "run" | "round">[];

/** What a self-contained page of one answer holds. */
export interface ReplayPage extends ShownTraits {
  snapshot: Snapshot;
  details: Details;
  workshop?: boolean;
}

/** What a page of two answers holds. */
export interface ComparePage extends Pick<CompareTraits, "answers" | "comparison" | "show_rejected"> {
  details: [Details, Details];
}

/** What a page of a conversation holds: of each turn what a page of one answer does. */
export interface ConversationPage extends ShownTraits {
  name: string;
  turns: (Pick<ReplayPage, "snapshot" | "details"> & { user: string; caption: string })[];
  workshop?: boolean;
}

export type PageData = ReplayPage | ComparePage | ConversationPage;

/** Show a page's views; called once, by the page itself. */
export function openPage(root: HTMLElement, data: PageData): void {
  const { signal } = new AbortController();
  followSystemTheme();
  if ("answers" in data) openComparison(root, data, signal);
  else if ("turns" in data) openConversation(root, data, signal);
  else openReplay(root, data, signal);
}

function openReplay(root: HTMLElement, { details, snapshot, ...shown }: ReplayPage, signal: AbortSignal): void {
  const el = h("div", { class: "sv-page" });
  root.append(pageHead(snapshot.run_info ?? {}), el);
  play(el, { details, snapshot }, modelOf(shown), signal);
}

/** All turns to choose from, and the one that is chosen: at first the last. */
function openConversation(root: HTMLElement, { name, turns, ...shown }: ConversationPage, signal: AbortSignal): void {
  const model = modelOf(shown);
  const el = h("div", {});
  const choices = turns.map(({ user, caption }, i) => {
    const choice = h("button", { type: "button", class: "sv-turn-choice", "data-testid": "turn-choice" }, h("span", {}, user), h("span", { class: "sv-caption" }, caption));
    choice.addEventListener("click", () => show(i));
    return choice;
  });
  let shownTurn = new AbortController();
  const show = (i: number) => {
    const turn = turns[i];
    if (!turn) return;
    shownTurn.abort();
    shownTurn = new AbortController();
    choices.forEach((choice, j) => choice.setAttribute("aria-current", String(i === j)));
    play(el, turn, model, AbortSignal.any([signal, shownTurn.signal]));
  };
  root.append(
    headOf([name || "Conversation"], `${count(turns.length, "recorded turn")}. Everything is in this file.`),
    h("nav", { class: "specviz sv-turn-choices", "aria-label": "Turns" }, h("ol", {}, ...choices.map((choice) => h("li", {}, choice)))),
    el,
  );
  show(turns.length - 1);
}

function modelOf(shown: object): PageModel {
  return new PageModel({ show_provenance: true, show_rejected: false, colour: "provenance", metrics: "specviz", ...shown });
}

/** Play an answer in `el`, until `signal`. */
function play(el: HTMLElement, { details, snapshot }: Pick<ReplayPage, "snapshot" | "details">, model: PageModel, signal: AbortSignal): void {
  const { run = 1 } = snapshot;
  const playback: Playback = new Playback(snapshot, answering({ [run]: details }, (detail) => playback.store.receive(detail)), signal);
  viewReplay(playback, { el, signal, model: model.as<ReplayTraits>() });
}

function openComparison(root: HTMLElement, { details, answers, comparison, show_rejected = false }: ComparePage, signal: AbortSignal): void {
  const compared: Compared = new Compared(comparison, answers, answering({ 1: details[0], 2: details[1] }, (detail) => compared.receive(detail)));
  const [a, b] = comparison.names;
  const el = h("div", {});
  root.append(headOf([a, h("span", {}, " and "), b], "Two recorded answers. Everything is in this file."), el);
  viewCompare(compared, { el, signal, model: new PageModel({ show_rejected }).as<CompareTraits>() });
}

/** Answers what views ask about rounds, from the details of each run. */
function answering(details: Record<number, Details>, receive: (detail: RoundDetail) => void): (message: PageMessage) => void {
  return (message) => {
    if (message.type !== "inspect") return;
    const { run, round } = message;
    const detail = details[run]?.[round];
    if (detail) queueMicrotask(() => receive({ type: "detail", run, round, ...detail }));
  };
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
  const title = [main, h("span", {}, draft ? ` with ${draft}` : " without a draft")];
  return headOf(title, `Recorded${how ? ` with ${how}` : ""}. Everything is in this file.`);
}

function headOf(title: (Node | string)[], caption: string): HTMLElement {
  return h("header", { class: "specviz sv-page-head" }, h("h1", {}, ...title), h("p", { class: "sv-caption" }, caption));
}

/** The page follows the system's choice of light or dark, as a notebook follows JupyterLab's. */
function followSystemTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => (document.body.dataset["jpThemeLight"] = String(!dark.matches));
  dark.addEventListener("change", follow);
  follow();
}

import type { AnyModel } from "@anywidget/types";
import { numberControl, switchControl } from "./controls.js";
import { h, paced, perFrame, setText, uniqueId } from "./dom.js";
import type { AuditColumns, ExplorerTraits, WhatIfTraits } from "./protocol.js";
import { SettingsModel } from "./settings.js";
import { Tooltip } from "./tooltip.js";
import { ALL, LONGEST, Outcomes, type Asked, type Figures, type Speed } from "./what_if_figures.js";
import { Heatmap, shortened } from "./what_if_heatmap.js";
import { WhatIfText } from "./what_if_text.js";
import { sureness, TEXTBOOK, times, UNKNOWN } from "./what_if_words.js";
import { count, percent } from "./words.js";

const CHOICES = ["draft", "num_draft_tokens", "p_min", "answer", "show_rejected"] as const;
/** Figures are spoken this often (ms) at most. */
const SPOKEN_MS = 1000;
const PARTS = ["drafting", "verifying", "other"] as const;

/** What every setting would have done: sliders, figures, the text as it would have come about, all settings at a glance. */
export class WhatIf {
  readonly element: HTMLElement;
  readonly #model: AnyModel<WhatIfTraits>;
  readonly #signal: AbortSignal;
  readonly #settings: SettingsModel;
  readonly #audit: AuditColumns;
  readonly #outcomes: Outcomes;
  readonly #tiles = new Tiles();
  readonly #text: WhatIfText;
  readonly #heatmap: Heatmap;
  readonly #caption = h("div", { class: "sv-caption", "data-testid": "what-if-setting" });
  readonly #note = h("p", { class: "sv-caption", "data-testid": "what-if-note" });
  readonly #spoken = h("div", { class: "sv-hidden", role: "status" });
  readonly #speak: () => void;
  #heated = "";

  constructor(model: AnyModel<WhatIfTraits>, signal: AbortSignal) {
    this.#model = model;
    this.#signal = signal;
    this.#settings = new SettingsModel(model as unknown as AnyModel<ExplorerTraits>, signal);
    this.#audit = model.get("audit");
    this.#outcomes = new Outcomes(this.#audit, model.get("costs"));
    this.element = h("div", { class: "sv-wi", "data-testid": "what-if" });
    const tooltip = new Tooltip(this.element);
    this.#text = new WhatIfText(this.#audit, tooltip, signal);
    this.#heatmap = new Heatmap(
      this.#audit.drafts,
      ({ draft, length }) => {
        this.#settings.set("draft", this.#audit.drafts[draft] ?? "");
        this.#settings.set("num_draft_tokens", length);
      },
      tooltip,
      signal,
    );
    explainTextbook(this.#tiles.textbook, tooltip, signal);
    const head = h("div", { class: "sv-row sv-wi-head" }, this.#caption, switchControl(this.#settings, "show_rejected", "Refused favourites", "what-if-rejected"));
    this.element.prepend(
      this.#controls(),
      h("div", { class: "sv-wi-figures" }, this.#tiles.element, this.#note),
      h("section", { class: "sv-wi-answers", "aria-label": "Text" }, head, this.#text.element, key()),
      this.#heatmap.element,
      this.#spoken,
    );
    this.#speak = paced(() => setText(this.#spoken, this.#sentence()), SPOKEN_MS, signal);
    const draw = perFrame(() => this.draw(), signal);
    for (const name of CHOICES) this.#follow(name, draw);
    this.draw();
  }

  /** Everything anew, for the setting that is chosen. */
  draw(): void {
    const asked = this.#asked();
    const { draft, length, pMin, answer } = asked;
    const figures = this.#outcomes.figures(asked);
    this.#tiles.draw(figures);
    const name = this.#audit.drafts[draft] ?? "";
    setText(this.#caption, `${this.#audit.main} · draft ${name} · draft length ${length}${pMin > 0 ? ` · p_min ${pMin.toFixed(2)}` : ""}`);
    setText(this.#note, sureness(figures));
    this.#text.draw(answer, draft, figures.replays, this.#model.get("show_rejected"));
    const heated = `${pMin} ${answer}`;
    if (heated !== this.#heated) {
      this.#heated = heated;
      const speeds = this.#outcomes.speeds(pMin);
      this.#heatmap.draw(this.#outcomes.cells(pMin, answer), speeds, pMin, this.#model.get("measured"), this.#about(speeds, pMin));
    }
    this.#heatmap.select({ draft, length });
    this.#speak();
  }

  #follow(name: (typeof CHOICES)[number], follow: () => void): void {
    this.#model.on(`change:${name}`, follow);
    this.#signal.addEventListener("abort", () => this.#model.off(`change:${name}`, follow), { once: true });
  }

  #asked(): Asked {
    const at = this.#audit.drafts.indexOf(this.#model.get("draft"));
    return { draft: Math.max(0, at), length: this.#model.get("num_draft_tokens"), pMin: this.#model.get("p_min"), answer: this.#model.get("answer") };
  }

  #about(speeds: boolean, pMin: number): string {
    const over = speeds ? `Over plain decoding, for p_min ${pMin.toFixed(2)}.` : `Exact, for p_min ${pMin.toFixed(2)}.`;
    if (speeds) return over;
    return `${over} ${UNKNOWN[this.#outcomes.speeds(0) ? "cutoff" : "costs"]}`;
  }

  #sentence(): string {
    const { length } = this.#asked();
    return `Draft length ${length}: ${this.#tiles.sentence()}`;
  }

  #controls(): HTMLElement {
    const { answers, drafts } = this.#audit;
    const names = shortened(drafts);
    const draft = this.#select("Draft", "what-if-draft", drafts.map((name, i) => [name, names[i] ?? name]), "draft", (key) => {
      this.#settings.set("draft", key);
      this.#settings.flush();
    });
    const length = numberControl(this.#settings, { name: "num_draft_tokens", label: "Draft length", min: 0, max: LONGEST, step: 1, slider: true, testid: "what-if-length" });
    const cutoff = numberControl(this.#settings, { name: "p_min", label: "Cutoff p_min", min: 0, max: 1, step: 0.01, slider: true, testid: "what-if-p-min" });
    const named = answers.map(({ prompt, category }, i): [string, string] => [String(i), `${i + 1}. ${category ? `${category}: ` : ""}${short(prompt)}`]);
    const answer = this.#select("Answer", "what-if-answer", [[String(ALL), `All (${answers.length})`], ...named], "answer", (key) => {
      this.#model.set("answer", Number(key));
      this.#model.save_changes();
    });
    answer.hidden = answers.length < 2;
    return h("div", { class: "sv-wi-controls" }, draft, length, cutoff, answer);
  }

  #select(label: string, testid: string, options: [key: string, text: string][], trait: "draft" | "answer", choose: (key: string) => void): HTMLElement {
    const id = uniqueId(testid);
    const select = h("select", { id, class: "sv-select", "data-testid": testid }, ...options.map(([value, text]) => h("option", { value }, text)));
    select.addEventListener("change", () => choose(select.value));
    const show = () => (select.value = String(this.#model.get(trait)));
    this.#follow(trait, show);
    show();
    return h("div", { class: "sv-field" }, h("div", { class: "sv-row" }, h("label", { for: id }, label)), select);
  }
}


/** The figures of one setting. */
class Tiles {
  readonly textbook = h("span", { class: "sv-helped", tabindex: 0, "data-testid": "textbook" });
  readonly element: HTMLElement;
  readonly #acceptance = new Tile("Acceptance rate", "acceptance");
  readonly #perRound = new Tile("Tokens per round", "per-round");
  readonly #rounds = new Tile("Rounds", "rounds");
  readonly #speedup = new Tile("Speedup", "speedup");
  readonly #speed = new Tile("Tokens/s", "speed");
  readonly #time = new Tile("Time", "time");
  readonly #bar = h("div", { class: "sv-wi-bar", "aria-hidden": "true" }, ...PARTS.map((part) => h("i", { "data-part": part })));
  readonly #shares = h("ul", { class: "sv-wi-shares" }, ...PARTS.map((part) => h("li", { "data-part": part })));

  constructor() {
    this.#speedup.element.append(h("p", { class: "sv-caption" }, this.textbook));
    this.#time.value.replaceWith(this.#bar);
    this.#time.caption.replaceWith(this.#shares);
    const tiles = [this.#acceptance, this.#perRound, this.#rounds, this.#speedup, this.#speed, this.#time];
    this.element = h("div", { class: "sv-wi-tiles" }, ...tiles.map((tile) => tile.element));
  }

  draw(figures: Figures): void {
    const { accepted, drafted, exact, rounds, tokens, speed, between } = figures;
    const n = drafted.toLocaleString("en");
    this.#acceptance.draw(
      drafted === 0 ? "—" : `${exact ? "" : "≥ "}${percent(accepted / drafted)}`,
      drafted === 0 ? "nothing drafted" : `${accepted.toLocaleString("en")} of ${exact ? "" : "at most "}${n} drafted`,
      drafted === 0 ? "" : exact ? "exact" : "at least",
    );
    this.#perRound.draw(rounds ? (tokens / rounds).toFixed(2) : "—", `${accepted.toLocaleString("en")} accepted of ${tokens.toLocaleString("en")}`, "exact");
    this.#rounds.draw(rounds.toLocaleString("en"), `for ${count(tokens, "token")}`, "exact");
    if (typeof speed === "string") this.#unknown(between);
    else this.#predicted(speed);
    setText(this.textbook, figures.textbook === null ? "" : `textbook formula: ${times(figures.textbook)}`);
  }

  sentence(): string {
    const speedup = this.#speedup.value.textContent ?? "";
    return `${this.#perRound.value.textContent} tokens per round${speedup === "—" ? "" : `, predicted speedup ${speedup}`}.`;
  }

  #unknown(between: [number, number] | null): void {
    const caption = between ? `between ${times(between[0])} and ${times(between[1])}` : "";
    this.#speedup.draw("—", caption, "unknown");
    this.#speed.draw("—", "", "unknown");
    this.#time.element.hidden = true;
  }

  #predicted(speed: Speed): void {
    this.#speedup.draw(times(speed.speedup), `95 % band ${times(speed.low)} to ${times(speed.high)}`, "predicted");
    this.#speed.draw(speed.tokensPerSecond.toFixed(1), `plain ${speed.plainPerSecond.toFixed(1)}`, "predicted");
    this.#time.draw("", "", "predicted");
    this.#time.element.hidden = false;
    PARTS.forEach((part, i) => {
      (this.#bar.children[i] as HTMLElement).style.width = `${100 * speed[part]}%`;
      const item = this.#shares.children[i];
      if (item) setText(item, `${part} ${(100 * speed[part]).toFixed(0)} %`);
    });
  }
}

/** One figure: what it is, how sure it is, and what it comes from. */
class Tile {
  readonly element: HTMLElement;
  readonly value = h("div", { class: "sv-value" });
  readonly caption = h("p", { class: "sv-caption" });
  readonly #sure = h("span", { class: "sv-wi-sure" });

  constructor(label: string, testid: string) {
    const name = h("div", { class: "sv-tile-label", id: uniqueId("tile") }, label, this.#sure);
    this.element = h("div", { class: "sv-tile", role: "group", "aria-labelledby": name.id, "data-testid": `what-if-${testid}` }, name, this.value, this.caption);
  }

  draw(value: string, caption: string, sure: string): void {
    setText(this.value, value);
    this.value.classList.toggle("sv-none", value === "—");
    setText(this.caption, caption);
    setText(this.#sure, sure);
  }
}

function explainTextbook(term: HTMLElement, tooltip: Tooltip, signal: AbortSignal): void {
  const show = () => tooltip.show(term.getBoundingClientRect(), TEXTBOOK);
  term.setAttribute("aria-description", TEXTBOOK);
  for (const event of ["pointerenter", "focus"]) term.addEventListener(event, show, { signal });
  for (const event of ["pointerleave", "blur"]) term.addEventListener(event, () => tooltip.hide(), { signal });
}

function key(): HTMLElement {
  const kinds = { a: "accepted", c: "correction", b: "bonus", p: "plain" };
  const items = Object.entries(kinds).map(([kind, name]) => h("li", {}, h("span", { class: "sv-swatch", "data-kind": kind, "aria-hidden": "true" }, "abc"), name));
  return h("ul", { class: "sv-key", "aria-label": "Key" }, ...items, h("li", { class: "sv-wi-key-round" }, "a line begins a round"));
}

function short(text: string, length = 60): string {
  const line = text.replace(/\s+/gu, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

import { h, paced, perFrame, setText } from "./dom.js";
import { busy } from "./protocol.js";
import { ACCEPTED, RoundStrip, TIMES, type Look } from "./round_strip.js";
import type { Store } from "./store.js";
import { CONSTANT_PER_SECOND, isTimed, type Timeline } from "./timeline.js";
import { milliseconds } from "./words.js";

const ROUNDS_FRAME_MS = 100;

type RoundFigureName = "timeline" | "accepted";

interface FigureSpec {
  title: string;
  about: string;
  look: Look;
  /** Of the look's parts. */
  key: readonly string[];
  /** The average, in words; empty: there is nothing to tell. */
  value(timeline: Timeline): string;
  /** What the full height stands for. */
  top(value: number): string;
  /** Said over an empty figure once a run is over. */
  missing: string;
}

const FIGURES: Record<RoundFigureName, FigureSpec> = {
  timeline: {
    title: "Time per round",
    about: "How long drafting, verifying and all the rest took in each round, over the time of decoding",
    look: TIMES,
    key: TIMES.parts,
    value: ({ end }) => (end.at(-1) ? milliseconds((end.at(-1) ?? 0) / end.length) : ""),
    top: milliseconds,
    missing: "No times were recorded",
  },
  accepted: {
    title: "Accepted per round",
    about: "How many drafted tokens went to the main model in each round, and how many of them it accepted",
    look: ACCEPTED,
    key: ["accepted", "not accepted"],
    value({ accepted, sent }) {
      const drafts = sent.filter((n) => n > 0).length;
      const tokens = sent.reduce((sum, n) => sum + n, 0);
      return drafts ? `${((accepted.at(-1) ?? 0) / drafts).toFixed(1)} of ${(tokens / drafts).toFixed(1)}` : "";
    },
    top: (value) => String(Math.round(value)),
    missing: "Nothing was drafted",
  },
};

/** One strip of rounds with its heading, key and axis. */
export class RoundFigure {
  readonly element: HTMLElement;
  readonly #spec: FigureSpec;
  readonly #store: Store;
  readonly #strip: RoundStrip;
  readonly #value = h("span", { class: "sv-number", title: "On average" });
  readonly #top = h("span", { class: "sv-strip-top", "aria-hidden": "true" });
  readonly #note: HTMLElement;
  readonly #foot = h("div", { class: "sv-strip-foot", "aria-hidden": "true" }, h("span", {}), h("span", {}), h("span", {}));

  constructor(name: RoundFigureName, store: Store, signal: AbortSignal) {
    const spec = FIGURES[name];
    this.#spec = spec;
    this.#store = store;
    const label = `${spec.title}. Arrow keys select rounds, with Shift more of them; Escape selects none.`;
    this.#strip = new RoundStrip(() => store.timeline, store.selection, spec.look, signal, label);
    this.#note = h("p", { class: "sv-plot-note", hidden: true }, spec.missing);
    const key = spec.key.map((text, i) => h("li", {}, h("i", { "data-part": spec.look.parts[i], "aria-hidden": "true" }), text));
    this.element = h(
      "figure",
      { class: "sv-plot sv-round-figure", "data-testid": name },
      h(
        "figcaption",
        {},
        h("div", { class: "sv-row" }, h("span", { class: "sv-plot-title", title: spec.about }, spec.title), this.#value),
        h("ul", { class: "sv-plot-key" }, ...key),
      ),
      h("div", { class: "sv-strip-frame" }, this.#strip.element, this.#top, this.#note),
      this.#foot,
    );
    store.subscribe(paced(() => this.draw(), ROUNDS_FRAME_MS, signal), signal);
    store.selection.subscribe(
      perFrame(() => this.#strip.drawSelection(), signal),
      signal,
    );
    this.draw();
  }

  draw(): void {
    const { timeline, state } = this.#store;
    const live = busy(state.phase);
    this.#strip.draw(live);
    const value = this.#spec.value(timeline);
    setText(this.#value, value);
    setText(this.#top, value && this.#spec.top(this.#strip.top));
    this.#note.hidden = value !== "" || live || timeline.end.length === 0;
    axisWords(timeline, this.#strip.range).forEach((text, i) => setText(this.#foot.children[i] as HTMLElement, text));
  }
}

/** What is written beneath: where the axis begins, what it is, where it ends. */
function axisWords(timeline: Timeline, range: number): string[] {
  if (timeline.end.length === 0) return ["", "", ""];
  if (isTimed(timeline)) return ["0 s", "time of decoding", `${range.toFixed(range < 10 ? 1 : 0)} s`];
  return ["0", "output tokens", (range * CONSTANT_PER_SECOND).toLocaleString("en", { maximumFractionDigits: 0 })];
}

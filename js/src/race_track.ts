import { h, icon, paced, perFrame, READABLE_MS, setText, uniqueId } from "./dom.js";
import type { PageMessage, RacePhase } from "./protocol.js";
import { RaceLanes } from "./race_track_lanes.js";
import { RacePrompts } from "./race_track_prompts.js";
import type { RaceStore } from "./race_track_store.js";
import { capital, progress, RACE_PHASE, sureness, times } from "./race_track_words.js";
import { ariaKeys, keysOf, listenForKeys } from "./shortcuts.js";

/** How long the kernel may take to answer before one may ask again. */
const GIVE_UP_MS = 10_000;
const RUNNING = ["loading", "warming", "racing", "stopping"];
const KINDS = { a: "accepted", c: "correction", b: "bonus", p: "plain" };

/** A race: two lanes on one clock, the speedup so far, the prompts, and what may be said. */
export class RaceTrack {
  readonly element: HTMLElement;
  readonly #store: RaceStore;
  readonly #send: (message: PageMessage) => void;
  readonly #start: HTMLButtonElement;
  readonly #stop: HTMLButtonElement;
  readonly #status = h("div", { class: "sv-status", "data-testid": "race-status" });
  readonly #statusText = h("span", { class: "sv-status-text" });
  readonly #banner: HTMLElement;
  readonly #bannerTitle = h("strong", {});
  readonly #bannerMessage = h("p", {});
  readonly #bannerDetail = h("pre", {});
  readonly #bannerFold: HTMLDetailsElement;
  readonly #label = h("div", { class: "sv-tile-label", id: uniqueId("tile") });
  readonly #speedup = h("div", { class: "sv-value", "data-testid": "race-speedup" }, "—");
  readonly #sure = h("p", { class: "sv-caption" });
  readonly #verdict = h("p", { class: "sv-race-verdict", role: "status", "data-testid": "race-verdict" });
  readonly #pair = h("p", { class: "sv-caption", "data-testid": "race-pair" });
  readonly #prompts = new RacePrompts();
  /** The phase in which something was asked of the kernel that has not answered yet. */
  #asked: RacePhase | null = null;
  /** Whether the button that had the focus was pressed: a disabled one would swallow the keys. */
  #focused = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(store: RaceStore, send: (message: PageMessage) => void, signal: AbortSignal) {
    this.#store = store;
    this.#send = send;
    this.#start = button("Start", "play", "start", "sv-primary");
    this.#stop = button("Stop", "stop", "stop");
    this.#start.addEventListener("click", () => this.#ask("start"), { signal });
    this.#stop.addEventListener("click", () => this.#ask("stop"), { signal });
    this.#status.append(h("span", { class: "sv-progress", "aria-hidden": "true" }), this.#statusText);
    this.#bannerFold = h("details", {}, h("summary", {}, "Details"), this.#bannerDetail);
    this.#banner = h(
      "div",
      { class: "sv-banner", role: "alert", "data-testid": "race-banner", hidden: true },
      icon("alert"),
      h("div", {}, this.#bannerTitle, this.#bannerMessage, this.#bannerFold),
    );
    const key = Object.entries(KINDS).map(([kind, name]) => h("li", {}, h("i", { class: "sv-race-swatch", "data-kind": kind, "aria-hidden": "true" }), name));
    this.element = h(
      "div",
      { class: "sv-race", "data-testid": "race" },
      h("div", { class: "sv-row sv-actions" }, this.#start, this.#stop, this.#status),
      this.#banner,
      h(
        "div",
        { class: "sv-race-result" },
        h("div", { class: "sv-tile", role: "group", "aria-labelledby": this.#label.id }, this.#label, this.#speedup, this.#sure),
        h("div", { class: "sv-race-words" }, this.#pair, this.#verdict),
      ),
      h("div", { class: "sv-race-course" }, new RaceLanes(store, signal).element, h("ul", { class: "sv-key", "aria-label": "Key" }, ...key)),
      this.#prompts.element,
    );
    this.#listen(signal);
    this.draw();
    this.#drawSpeedup();
  }

  draw(): void {
    const { state, run, heats } = this.#store;
    const { phase } = state;
    if (phase !== this.#asked) this.#answered();
    this.#start.disabled = this.#asked !== null || !state.can_start;
    this.#stop.disabled = this.#asked !== null || !state.can_stop;
    this.#passFocus();
    const running = RUNNING.includes(phase);
    this.#status.classList.toggle("sv-working", running);
    setText(this.#statusText, progress(state, run, heats));
    const failed = phase === "crashed" || phase === "failed";
    this.#banner.hidden = !failed;
    setText(this.#bannerTitle, failed ? RACE_PHASE[phase] : "");
    setText(this.#bannerMessage, failed ? state.message : "");
    setText(this.#bannerDetail, failed ? state.detail : "");
    this.#bannerFold.hidden = !state.detail;
    setText(this.#label, running ? "Speedup so far" : "Speedup");
    setText(this.#sure, sureness(heats, running));
    setText(this.#verdict, capital(heats.verdict.replace(/`/gu, "")));
    setText(this.#pair, heats.pair);
    this.#prompts.draw(heats, phase === "warming" || phase === "racing" ? run.prompt : -1);
  }

  #drawSpeedup(): void {
    const { speedup } = this.#store;
    setText(this.#speedup, speedup === null ? "—" : times(speedup));
    this.#speedup.classList.toggle("sv-none", speedup === null);
  }

  #listen(signal: AbortSignal): void {
    const draw = perFrame(() => this.draw(), signal);
    const drawSpeedup = paced(() => this.#drawSpeedup(), READABLE_MS, signal);
    this.#store.subscribe(() => {
      draw();
      drawSpeedup();
    }, signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
    const keys = [
      { key: "Enter", label: "Start", run: () => this.#ask("start") },
      { key: ".", label: "Stop", run: () => this.#ask("stop") },
    ];
    [this.#start, this.#stop].forEach((one, i) => {
      const key = keys[i];
      if (!key) return;
      one.setAttribute("aria-keyshortcuts", ariaKeys(key));
      one.title = `${key.label}: ${keysOf(key)}`;
    });
    listenForKeys(this.element, keys, signal);
  }

  #passFocus(): void {
    const alive = [this.#start, this.#stop].find((one) => !one.disabled);
    if (!this.#focused || !alive) return;
    this.#focused = false;
    alive.focus({ preventScroll: true });
  }

  #ask(type: "start" | "stop"): void {
    const pressed = type === "start" ? this.#start : this.#stop;
    if (pressed.disabled) return;
    this.#focused = document.activeElement === pressed;
    this.#asked = this.#store.state.phase;
    this.#send({ type });
    this.#timer = setTimeout(() => {
      this.#answered();
      this.draw();
    }, GIVE_UP_MS);
    this.draw();
  }

  #answered(): void {
    clearTimeout(this.#timer);
    this.#asked = null;
  }
}

function button(label: string, glyph: "play" | "stop", testid: string, className = ""): HTMLButtonElement {
  return h("button", { type: "button", class: `sv-button ${className}`.trim(), "data-testid": `race-${testid}` }, icon(glyph), label);
}

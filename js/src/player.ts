import type { AnyModel } from "@anywidget/types";
import { colourControl, switchControl } from "./controls.js";
import { h, icon, perFrame, prefersReducedMotion, setText, uniqueId, type Icon } from "./dom.js";
import { mountRoot, plotRow, roundRow, statsGroup, tokenStream } from "./parts.js";
import type { Playback } from "./player_playback.js";
import { Ghosts, QuestionPanel } from "./player_question.js";
import { Strip } from "./player_strip.js";
import type { Pace, ReplayTraits } from "./player_timeline.js";
import type { ExplorerTraits } from "./protocol.js";
import { SettingsModel } from "./settings.js";
import { CONSTANT_PER_SECOND } from "./timeline.js";
import { count } from "./words.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const PACES: Record<Pace, string> = { recorded: "recorded speed", constant: "constant speed" };

export interface PlayerTarget {
  el: HTMLElement;
  signal: AbortSignal;
  model: AnyModel<ReplayTraits>;
}

/** A recorded generation: tokens, the player, plots, statistics; `more` stands beside the tools above the tokens. */
export function viewReplay(playback: Playback, { el, signal, model }: PlayerTarget, ...more: HTMLElement[]): void {
  const { store } = playback;
  const settings = new SettingsModel(model as unknown as AnyModel<ExplorerTraits>, signal);
  const tools = [colourControl(settings), switchControl(settings, "show_rejected", "Show rejected", "toggle-rejected")];
  const stream = tokenStream(store, { model, signal }, ...tools, ...more);
  const player = new Player(playback, stream, signal);
  if (!playback.begun) {
    playback.begun = true;
    playback.asking = model.get("workshop") ?? false;
    if (model.get("autoplay") && !prefersReducedMotion()) playback.play();
  }
  const stats = statsGroup(store, settings, { model, signal });
  mountRoot({ el, signal }, "sv-feed sv-replay", stream, player.element, roundRow(store, signal), plotRow(store, signal), stats);
}

/** The bar that plays, pauses, searches and steps; in workshop mode it asks. */
export class Player {
  readonly element: HTMLElement;
  readonly #playback: Playback;
  readonly #strip: Strip;
  readonly #panel: QuestionPanel;
  readonly #ghosts: Ghosts | null;
  /** A frame later: the text may be drawn in this one. */
  readonly #haunt: () => void;
  readonly #play = tool("play", "Play", "replay-play", "Space");
  readonly #playIcons = { play: icon("play"), pause: icon("pause") };
  readonly #time = h("span", { class: "sv-caption sv-pl-time", "data-testid": "replay-time" });
  readonly #live = h("p", { class: "sv-caption sv-pl-live", "data-testid": "replay-live" });
  readonly #scrubber: HTMLInputElement;
  readonly #speed = h("select", { class: "sv-select sv-small", "aria-label": "Speed", "data-testid": "replay-speed" });
  readonly #pace = h("select", { class: "sv-select sv-small", "aria-label": "Pace", "data-testid": "replay-pace" });
  readonly #workshop = h("input", { type: "checkbox", role: "switch", class: "sv-switch", id: uniqueId("workshop"), "data-testid": "toggle-workshop" });

  /** `stream`: the tokens beside which a question shows what was drafted. */
  constructor(playback: Playback, stream: HTMLElement | null, signal: AbortSignal) {
    this.#playback = playback;
    const { playhead, timeline, store } = playback;
    this.#strip = new Strip(timeline, playhead, store.selection, signal);
    this.#strip.onPick = (round) => playback.goTo(round + 1);
    this.#panel = new QuestionPanel(playback);
    const log = stream?.querySelector<HTMLElement>(".sv-stream") ?? null;
    this.#ghosts = log && new Ghosts(log);
    this.#haunt = perFrame(() => this.#ghosts?.draw(playback.workshop.question), signal);
    this.#scrubber = h("input", {
      type: "range",
      class: "sv-slider",
      min: 0,
      max: playhead.total,
      step: "any",
      "aria-label": "Position",
      "data-testid": "replay-scrubber",
    });
    this.element = h(
      "section",
      { class: "sv-player", tabindex: -1, "aria-label": "Replay", "data-testid": "player", "data-lm-suppress-shortcuts": "true" },
      this.#panel.element,
      h("div", { class: "sv-pl-track" }, this.#scrubber, this.#strip.element),
      this.#controls(),
      h("div", { class: "sv-row sv-pl-foot" }, this.#live, playhead.timed ? timesKey() : null),
    );
    this.#listen(signal);
    const draw = perFrame(() => this.draw(), signal);
    playback.subscribe(draw, signal);
    this.draw();
  }

  draw(): void {
    const { playing, playhead, workshop, speed, pace } = this.#playback;
    const label = playing ? "Pause" : playhead.ended ? "Play again" : "Play";
    if (this.#play.getAttribute("aria-label") !== label) {
      this.#play.setAttribute("aria-label", label);
      this.#play.title = `${label} (Space)`;
      this.#play.replaceChildren(this.#playIcons[playing ? "pause" : "play"]);
    }
    this.#scrubber.value = String(playhead.seconds);
    this.#scrubber.style.setProperty("--sv-filled", `${(100 * playhead.seconds) / (playhead.total || 1)}%`);
    const time = `${clock(playhead.seconds)} of ${clock(playhead.total)}`;
    setText(this.#time, time);
    this.#scrubber.setAttribute("aria-valuetext", `${playhead.round} of ${count(playhead.rounds, "round")}, ${time}`);
    this.#strip.draw();
    setText(this.#live, this.#sofar());
    this.#speed.value = String(speed);
    for (const option of this.#speed.options) setText(option, speedLabel(Number(option.value), pace));
    this.#pace.value = pace;
    this.#workshop.checked = workshop.on;
    this.#panel.draw(this.element.contains(document.activeElement));
    if (workshop.question) this.#haunt();
    else this.#ghosts?.draw(null);
  }

  /** Figures at the playhead, all of them recorded round by round. */
  #sofar(): string {
    const { playhead, timeline, store } = this.#playback;
    const i = playhead.round - 1;
    const figures = [`${playhead.round.toLocaleString("en")} of ${count(playhead.rounds, "round")}`];
    if (i >= 0) {
      figures.push(count(timeline.tokens[i] ?? 0, "token"));
      if (timeline.drafted[i]) figures.push(`${timeline.accepted[i]?.toLocaleString("en")} of ${timeline.drafted[i]?.toLocaleString("en")} drafted accepted`);
      const speed = store.curves.tps_cumulative[i];
      if (speed) figures.push(`${speed.toFixed(1)} tokens/s when recorded`);
    }
    return figures.join(" · ");
  }

  #controls(): HTMLElement {
    const { playhead } = this.#playback;
    const restart = tool("restart", "Restart", "replay-restart", "Home");
    const back = tool("previous", "One round back", "replay-back", "Arrow left");
    const on = tool("next", "One round on", "replay-on", "Arrow right");
    this.#play.classList.add("sv-primary");
    restart.addEventListener("click", () => this.#playback.restart());
    back.addEventListener("click", () => this.#playback.step(-1));
    on.addEventListener("click", () => this.#playback.step(1));
    this.#play.addEventListener("click", () => this.#toggle());
    this.#speed.append(...SPEEDS.map((speed) => h("option", { value: speed })));
    const paces = Object.entries(PACES).filter(([pace]) => playhead.timed || pace === "constant");
    this.#pace.append(...paces.map(([value, label]) => h("option", { value }, label)));
    const workshop = h("div", { class: "sv-field sv-inline sv-tool" }, h("label", { for: this.#workshop.id }, "Workshop"), this.#workshop);
    workshop.title = "Stops before each verdict and asks how many tokens will be accepted.";
    return h(
      "div",
      { class: "sv-row sv-pl-controls" },
      h("div", { class: "sv-row sv-pl-buttons" }, restart, back, this.#play, on, this.#time),
      h("div", { class: "sv-row sv-pl-choices" }, this.#speed, this.#pace, workshop),
    );
  }

  #listen(signal: AbortSignal): void {
    this.#scrubber.addEventListener("input", () => this.#playback.seek(Number(this.#scrubber.value)), { signal });
    this.#speed.addEventListener("change", () => (this.#playback.speed = Number(this.#speed.value)), { signal });
    this.#pace.addEventListener("change", () => {
      this.#playback.pace = this.#pace.value as Pace;
      this.draw();
    });
    this.#workshop.addEventListener("change", () => (this.#playback.asking = this.#workshop.checked), { signal });
    this.element.addEventListener("keydown", (event) => this.#onKey(event), { signal });
  }

  #toggle(): void {
    if (this.#playback.playing) this.#playback.pause();
    else this.#playback.play();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target instanceof HTMLSelectElement) return;
    const own = event.target instanceof HTMLButtonElement || event.target === this.#workshop;
    const { question } = this.#playback.workshop;
    const digit = /^\d$/u.test(event.key) ? Number(event.key) : null;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.#playback.step(-1),
      ArrowRight: () => this.#playback.step(1),
      PageDown: () => this.#playback.step(-10),
      PageUp: () => this.#playback.step(10),
      Home: () => this.#playback.goTo(0),
      End: () => this.#playback.goTo(this.#playback.playhead.rounds),
      Escape: () => this.#playback.store.selection.clear(),
      ...(own ? {} : { " ": () => this.#toggle() }),
      ...(question && digit !== null && digit <= question.sent ? { [event.key]: () => this.#playback.answer(digit) } : {}),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

function tool(glyph: Icon, label: string, testid: string, key: string): HTMLButtonElement {
  const shortcut = key.replace(/^Arrow (.)/u, (_, first: string) => `Arrow${first.toUpperCase()}`);
  return h("button", { type: "button", class: "sv-button sv-pl-tool", title: `${label} (${key})`, "aria-label": label, "aria-keyshortcuts": shortcut, "data-testid": testid }, icon(glyph));
}

function timesKey(): HTMLElement {
  const parts = ["drafting", "verifying", "other"].map((part) => h("li", {}, h("i", { "data-part": part, "aria-hidden": "true" }), part));
  return h("ul", { class: "sv-pl-key sv-caption", "aria-label": "Time of a round" }, ...parts);
}

function speedLabel(speed: number, pace: Pace): string {
  return pace === "recorded" ? `${speed}×` : `${speed * CONSTANT_PER_SECOND} tokens/s`;
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds / 60);
  return whole ? `${whole} min ${Math.floor(seconds % 60)} s` : `${seconds.toFixed(1)} s`;
}

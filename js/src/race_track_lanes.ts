import { h, paced, prefersReducedMotion, setText, uniqueId } from "./dom.js";
import { LANES, type LaneColumns, type LaneWay } from "./protocol.js";
import { step } from "./ranges.js";
import type { RaceStore } from "./race_track_store.js";
import { capital, WAY } from "./race_track_words.js";
import { count, inOneLine } from "./words.js";

/** Lanes are drawn this often (ms) at most: as often as batches come. */
const FRAME_MS = 33;
/** Characters of a text that are shown at the end of its lane. */
const TAIL = 160;
/** Room that is left for a lane that has outgrown the axis. */
const ROOM = 1.6;
/** Marks on the axis, by the leading digits of its range. */
const MARKS: Record<string, number> = { "1": 4, "1.5": 3, "2": 4, "3": 3, "4": 4, "5": 5, "6": 3, "8": 4 };

/** Two runs on one clock: the one under way grows, the other is replayed beside it at its recorded pace. */
export class RaceLanes {
  readonly element: HTMLElement;
  readonly #store: RaceStore;
  readonly #lanes: Record<LaneWay, Lane> = { plain: new Lane("plain"), speculative: new Lane("speculative") };
  readonly #axis = h("div", { class: "sv-race-axis", "aria-hidden": "true" });
  readonly #tracks: HTMLElement;
  readonly #again: () => void;
  /** End of the axis, in seconds. */
  #range = 0;
  /** Seconds since the run under way began to decode; what ran before this view was opened is not replayed. */
  #clock = Infinity;
  #run: string;
  #heard = 0;
  #drawn = 0;

  constructor(store: RaceStore, signal: AbortSignal) {
    this.#store = store;
    this.#run = this.#runName();
    this.#tracks = h("div", { class: "sv-race-lanes" }, ...LANES.map((way) => this.#lanes[way].element), this.#axis);
    this.element = h("section", { "aria-label": "Lanes" }, this.#tracks);
    this.#again = paced(() => this.draw(), FRAME_MS, signal);
    store.subscribe(this.#again, signal);
    this.draw();
  }

  draw(): void {
    const { lanes, run } = this.#store;
    this.#follow();
    this.#scale();
    const clock = prefersReducedMotion() ? Infinity : this.#clock;
    let replaying = false;
    for (const way of LANES) {
      const columns = lanes[way];
      const live = run.live && run.way === way && columns?.serial === run.serial;
      const shown = Math.min(live ? Infinity : clock, columns?.seconds.at(-1) ?? 0);
      const replayed = !live && shown < (columns?.seconds.at(-1) ?? 0);
      replaying ||= replayed;
      this.#lanes[way].draw(columns, shown, live ? "live" : replayed ? "replay" : "");
    }
    if (replaying) this.#again();
  }

  #runName(): string {
    const { prompt, serial } = this.#store.run;
    return `${prompt} ${serial}`;
  }

  /** The clock goes on by itself, and is set by the lane that grows whenever that does; it never goes back. */
  #follow(): void {
    const { run, lanes } = this.#store;
    const now = performance.now();
    const passed = (now - this.#drawn) / 1000;
    this.#drawn = now;
    if (run.live && this.#runName() !== this.#run) {
      this.#run = this.#runName();
      this.#clock = this.#heard = 0;
      return;
    }
    const lane = run.live && run.way !== null && run.way !== "length 0" ? lanes[run.way] : undefined;
    const heard = lane?.serial === run.serial ? (lane.seconds.at(-1) ?? 0) : 0;
    this.#clock = heard > this.#heard ? Math.max(this.#clock, heard) : this.#clock + passed;
    this.#heard = heard;
  }

  #scale(): void {
    const { lanes, run } = this.#store;
    const longest = Math.max(...LANES.map((way) => lanes[way]?.seconds.at(-1) ?? 0));
    const range = !longest || (run.live && longest <= this.#range) ? this.#range : step((run.live ? ROOM : 1) * longest);
    if (range === this.#range) return;
    this.#range = range;
    this.#tracks.style.setProperty("--sv-range", String(range));
    const power = 10 ** Math.floor(Math.log10(range) + 1e-9);
    const n = MARKS[String(Number((range / power).toPrecision(2)))] ?? 4;
    const digits = Math.max(0, Math.ceil(-Math.log10(range / n) + 1e-9) + (n === 4 && range / power === 1 ? 1 : 0));
    const marks = Array.from({ length: n + 1 }, (_, i) => `${((range * i) / n).toFixed(i ? digits : 0)}${i === n ? " s" : ""}`);
    this.#axis.replaceChildren(...marks.map((mark) => h("span", {}, mark)));
  }
}

/** One run: its tokens as blocks as wide as they took, what they add up to, and the end of the text. */
class Lane {
  readonly element: HTMLElement;
  readonly #badge = h("span", { class: "sv-race-badge" });
  readonly #count = h("span", { class: "sv-race-count" });
  readonly #speed = h("span", { class: "sv-race-speed" });
  readonly #blocks = h("div", { class: "sv-race-blocks" });
  readonly #track: HTMLElement;
  readonly #text = h("span", {});
  #serial = 0;
  #rounds = 0;
  #tokens = 0;

  constructor(way: LaneWay) {
    const name = h("h3", { id: uniqueId("lane") }, capital(WAY[way]));
    this.#track = h("div", { class: "sv-race-track", "aria-hidden": "true" }, this.#blocks);
    this.element = h(
      "div",
      { class: "sv-race-lane", role: "group", "aria-labelledby": name.id, "data-testid": `lane-${way}` },
      h("div", { class: "sv-row sv-race-lane-head" }, name, this.#badge, this.#count, this.#speed),
      this.#track,
      h("div", { class: "sv-race-said" }, this.#text),
    );
  }

  /** Draw what had happened `shown` seconds after decoding began. */
  draw(columns: LaneColumns | undefined, shown: number, badge: string): void {
    if (!columns || columns.serial !== this.#serial || columns.seconds.length < this.#rounds) this.#clear(columns?.serial ?? 0);
    if (columns) this.#append(columns);
    setText(this.#badge, badge);
    this.element.dataset["badge"] = badge;
    this.element.style.setProperty("--sv-shown", shown.toFixed(4));
    const round = columns ? lastBefore(columns.seconds, shown) : -1;
    const tokens = columns?.count[round] ?? 0;
    setText(this.#count, columns ? count(tokens, "token") : "");
    setText(this.#speed, columns && round >= 0 ? `${columns.speed[round]?.toFixed(1)} tokens/s` : "");
    const said = columns?.text.slice(Math.max(0, tokens - TAIL), tokens).join("") ?? "";
    setText(this.#text, inOneLine(said.slice(-TAIL)));
  }

  #clear(serial: number): void {
    this.#serial = serial;
    this.#rounds = this.#tokens = 0;
    this.#blocks.replaceChildren();
  }

  #append({ seconds, count: counts, kind }: LaneColumns): void {
    const blocks: HTMLElement[] = [];
    for (; this.#rounds < seconds.length; this.#rounds++) {
      const from = this.#rounds ? (seconds[this.#rounds - 1] ?? 0) : 0;
      const until = counts[this.#rounds] ?? this.#tokens;
      const span = ((seconds[this.#rounds] ?? from) - from) / (until - this.#tokens || 1);
      for (let i = 0; this.#tokens < until; i++, this.#tokens++) blocks.push(block(kind[this.#tokens] ?? "p", from + i * span, span));
    }
    this.#blocks.append(...blocks);
  }
}

function block(kind: string, at: number, span: number): HTMLElement {
  const element = document.createElement("i");
  element.dataset["kind"] = kind.toLowerCase();
  element.style.setProperty("--sv-at", at.toFixed(6));
  element.style.setProperty("--sv-span", span.toFixed(6));
  return element;
}

/** Index of the last entry that is not above `limit`, of ascending ones; -1: none. */
export function lastBefore(ascending: number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

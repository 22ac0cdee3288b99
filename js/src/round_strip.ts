import { Brush, type RoundAxis } from "./brush.js";
import { h } from "./dom.js";
import { step } from "./ranges.js";
import { selectWithKeys, type Selection } from "./selection.js";
import { between, endOf, rangeWords, roundAt, roundWords, type Timeline } from "./timeline.js";
import { Tooltip } from "./tooltip.js";

const WIDTH = 1000;
const HEIGHT = 100;
/** Width from which on a bar has a gap beside it. */
const GAPPED = 6;
/** Rounds narrower than this stand together in one bar, which shows their mean. */
export const LEAST_WIDTH = 2.5;

/** What the bars of a strip show. */
export interface Look {
  /** From the bottom up. */
  parts: readonly string[];
  /** How high each part is over the rounds from `from` up to `to`, on average. */
  heights(timeline: Timeline, from: number, to: number): number[];
}

export const TIMES: Look = {
  parts: ["drafting", "verifying", "other"],
  heights({ draft, verify, end }, from, to) {
    let [drafting, verifying] = [0, 0];
    for (let i = from; i < to; i++) {
      drafting += draft[i] ?? 0;
      verifying += verify[i] ?? 0;
    }
    const other = between(end, from, to) - drafting - verifying;
    return [drafting, verifying, Math.max(0, other)].map((sum) => sum / (to - from));
  },
};

export const ACCEPTED: Look = {
  parts: ["accepted", "lost"],
  heights({ accepted, sent }, from, to) {
    let tokens = 0;
    for (let i = from; i < to; i++) tokens += sent[i] ?? 0;
    const kept = between(accepted, from, to);
    return [kept, tokens - kept].map((sum) => sum / (to - from));
  },
};

export interface Bar {
  /** Its rounds. */
  from: number;
  to: number;
  left: number;
  right: number;
}

/** A bar a round, or several rounds to a bar where they are too narrow; `range`: what the whole width stands for. */
export function barsOf(timeline: Timeline, range: number): Bar[] {
  const bars: Bar[] = [];
  const n = timeline.end.length;
  const scale = WIDTH / range;
  for (let i = 0, from = 0, left = 0; i < n; i++) {
    const right = endOf(timeline, i) * scale;
    if (right - left < LEAST_WIDTH && i < n - 1) continue;
    bars.push({ from, to: i + 1, left, right });
    [from, left] = [i + 1, right];
  }
  return bars;
}

/** Rounds side by side on the axis of decoding time, or of tokens where no times are known; a drag selects some. */
export class RoundStrip implements RoundAxis {
  readonly element: HTMLElement;
  readonly brush: Brush;
  /** What the full height stands for. */
  top = 1;
  /** What the full width stands for. */
  range = 1;

  readonly #timeline: () => Timeline;
  readonly #selection: Selection;
  readonly #look: Look;
  readonly #paths: SVGPathElement[];
  readonly #tooltip: Tooltip;
  readonly #label: string | undefined;

  /** With a `label` it can be gone to with the keys. */
  constructor(timeline: () => Timeline, selection: Selection, look: Look, signal: AbortSignal, label?: string) {
    this.#timeline = timeline;
    this.#selection = selection;
    this.#look = look;
    this.#label = label;
    const drawing = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.#paths = look.parts.map((part) => svgElement("path", { "data-part": part }));
    drawing.append(...this.#paths);
    const named = label === undefined ? { "aria-hidden": "true" } : { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0 };
    this.element = h("div", { class: "sv-strip", ...named });
    this.brush = new Brush(this.element, this, selection, signal);
    this.element.append(drawing, this.brush.element);
    this.#tooltip = new Tooltip(this.element);
    this.element.addEventListener("pointermove", (event) => this.#explain(event), { signal });
    this.element.addEventListener("pointerleave", () => this.#tooltip.hide(), { signal });
    if (label !== undefined) selectWithKeys(this.element, selection, () => this.rounds, signal);
  }

  get rounds(): number {
    return this.#timeline().end.length;
  }

  roundAt(share: number): number {
    return roundAt(this.#timeline(), share * this.range);
  }

  startOf(round: number): number {
    return endOf(this.#timeline(), round - 1) / this.range;
  }

  /** Draw the rounds; a `live` axis is longer than what there is, and grows in steps. */
  draw(live = false): void {
    const timeline = this.#timeline();
    const total = endOf(timeline, timeline.end.length - 1) || 1;
    this.range = live ? 2 ** Math.ceil(Math.log2(total)) : total;
    const bars = barsOf(timeline, this.range);
    const heights = bars.map(({ from, to }) => this.#look.heights(timeline, from, to));
    this.top = step(heights.reduce((most, parts) => Math.max(most, parts.reduce((sum, one) => sum + one, 0)), 0));
    const paths = this.#paths.map(() => "");
    bars.forEach(({ left, right }, i) => {
      const end = right - left >= GAPPED ? right - 1 : right;
      let bottom = HEIGHT;
      heights[i]?.forEach((height, part) => {
        const edge = bottom - (height / this.top) * HEIGHT;
        if (edge < bottom) paths[part] += `M${at(left)} ${at(bottom)}H${at(end)}V${at(edge)}H${at(left)}z`;
        bottom = edge;
      });
    });
    this.#paths.forEach((path, part) => path.setAttribute("d", paths[part] ?? ""));
    this.drawSelection();
  }

  drawSelection(): void {
    this.brush.draw();
    if (this.#label === undefined) return;
    const { range } = this.#selection;
    this.element.setAttribute("aria-valuemax", String(this.rounds));
    this.element.setAttribute("aria-valuenow", String(Math.min(range?.from ?? 0, this.rounds)));
    this.element.setAttribute("aria-valuetext", range ? rangeWords(this.#timeline(), range) : "No rounds are selected");
  }

  #explain(event: MouseEvent): void {
    if (this.rounds === 0) return;
    const frame = this.element.getBoundingClientRect();
    const anchor = new DOMRect(event.clientX, frame.top, 0, frame.height);
    this.#tooltip.show(anchor, roundWords(this.#timeline(), this.brush.roundAt(event)));
  }
}

function at(value: number): string {
  return value.toFixed(2);
}

function svgElement<Tag extends "svg" | "path">(tag: Tag, attributes: Record<string, string>): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

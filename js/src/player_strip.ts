import { h } from "./dom.js";
import type { Playhead, Timeline } from "./player_timeline.js";
import { Tooltip } from "./tooltip.js";
import { count, milliseconds } from "./words.js";

const WIDTH = 1000;
const HEIGHT = 10;
const PARTS = ["drafting", "verifying", "other"] as const;

/** The rounds on the scrubber's axis, each with its time to draft and to verify; a click goes to the end of one. */
export class Strip {
  readonly element: HTMLElement;
  onPick: (round: number) => void = () => undefined;

  readonly #timeline: Timeline;
  readonly #playhead: Playhead;
  readonly #current = h("div", { class: "sv-pl-current" });
  readonly #tooltip: Tooltip;

  constructor(timeline: Timeline, playhead: Playhead, signal: AbortSignal) {
    this.#timeline = timeline;
    this.#playhead = playhead;
    this.element = h("div", { class: "sv-pl-strip", "aria-hidden": "true", "data-testid": "replay-strip" }, this.#current);
    if (playhead.timed) this.element.prepend(this.#drawing());
    this.#tooltip = new Tooltip(this.element);
    this.element.addEventListener("click", (event) => this.onPick(this.#roundAt(event)), { signal });
    this.element.addEventListener("pointermove", (event) => this.#explain(event), { signal });
    this.element.addEventListener("pointerleave", () => this.#tooltip.hide(), { signal });
  }

  /** Outline the round that the playhead is in. */
  draw(): void {
    const { current, total } = this.#playhead;
    this.#current.hidden = current < 0;
    const [start, end] = [this.#playhead.endOf(current - 1), this.#playhead.endOf(current)];
    this.#current.style.left = `${(100 * start) / (total || 1)}%`;
    this.#current.style.width = `${(100 * (end - start)) / (total || 1)}%`;
  }

  #drawing(): SVGSVGElement {
    const { end, draft, verify } = this.#timeline;
    const scale = WIDTH / this.#playhead.total;
    const paths: Record<(typeof PARTS)[number], string> = { drafting: "", verifying: "", other: "" };
    let start = 0;
    end.forEach((until, i) => {
      const drafted = start + (draft[i] ?? 0);
      const verified = Math.min(until, drafted + (verify[i] ?? 0));
      paths.drafting += box(start * scale, drafted * scale);
      paths.verifying += box(drafted * scale, verified * scale);
      paths.other += box(verified * scale, until * scale);
      start = until;
    });
    const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "sv-pl-rounds" });
    for (const part of PARTS) svg.append(svgElement("path", { "data-part": part, d: paths[part] }));
    return svg;
  }

  #roundAt(event: MouseEvent): number {
    const { left, width } = this.element.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - left) / (width || 1)));
    return Math.min(this.#playhead.rounds - 1, this.#playhead.roundAt(share * this.#playhead.total));
  }

  #explain(event: MouseEvent): void {
    const round = this.#roundAt(event);
    const { draft, verify, sent, agreed } = this.#timeline;
    const frame = this.element.getBoundingClientRect();
    const times = `draft ${milliseconds(draft[round] ?? 0)}, verify ${milliseconds(verify[round] ?? 0)}`;
    const fate = sent[round] ? `${agreed[round]} of ${count(sent[round] ?? 0, "drafted token")} accepted` : "no draft";
    const anchor = new DOMRect(event.clientX, frame.top, 0, frame.height);
    this.#tooltip.show(anchor, `Round ${round}: ${this.#playhead.timed ? `${times}; ` : ""}${fate}.`);
  }
}

function at(value: number): string {
  return value.toFixed(2);
}

function box(from: number, to: number): string {
  return to > from ? `M${at(from)} 0H${at(to)}V${HEIGHT}H${at(from)}z` : "";
}

function svgElement<Tag extends "svg" | "path">(tag: Tag, attributes: Record<string, string>): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

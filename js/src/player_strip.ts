import { h } from "./dom.js";
import type { Playhead } from "./player_timeline.js";
import { RoundStrip, TIMES } from "./round_strip.js";
import type { Selection } from "./selection.js";
import type { Timeline } from "./timeline.js";

/** The rounds of the whole recording on the scrubber's axis; a click goes to the end of one. */
export class Strip {
  readonly element: HTMLElement;
  onPick: (round: number) => void = () => undefined;

  readonly #playhead: Playhead;
  readonly #strip: RoundStrip;
  readonly #current = h("div", { class: "sv-pl-current" });

  constructor(timeline: Timeline, playhead: Playhead, selection: Selection, signal: AbortSignal) {
    this.#playhead = playhead;
    this.#strip = new RoundStrip(() => timeline, selection, TIMES, signal);
    this.#strip.brush.onPick = (round) => this.onPick(round);
    this.#strip.draw();
    selection.subscribe(() => this.#strip.drawSelection(), signal);
    this.element = h("div", { class: "sv-pl-strip", "data-testid": "replay-strip" }, this.#strip.element, this.#current);
  }

  /** Outline the round that the playhead is in. */
  draw(): void {
    const { current, total } = this.#playhead;
    this.#current.hidden = current < 0;
    const [start, end] = [this.#playhead.endOf(current - 1), this.#playhead.endOf(current)];
    this.#current.style.left = `${(100 * start) / (total || 1)}%`;
    this.#current.style.width = `${(100 * (end - start)) / (total || 1)}%`;
  }
}

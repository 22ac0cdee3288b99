import { h } from "./dom.js";
import type { Selection } from "./selection.js";

/** A pointer that moves less (px) clicks. */
const DRAG_PX = 4;

/** Where rounds are on a view, as shares (0 to 1) of its width. */
export interface RoundAxis {
  /** How many there are. */
  rounds: number;
  /** The one at a place. */
  roundAt(share: number): number;
  /** Where one begins; of the one after the last, where that ends. */
  startOf(round: number): number;
}

/** Shows the selected rounds on a view, and lets a drag over it select. Its element covers the axis. */
export class Brush {
  readonly element: HTMLElement;
  /** Called with the round that was clicked. */
  onPick: (round: number) => void;
  readonly #band = h("div", { class: "sv-band", hidden: true });
  readonly #surface: HTMLElement;
  readonly #axis: RoundAxis;
  readonly #selection: Selection;
  /** Where the pointer went down. */
  #anchor: { round: number; x: number } | null = null;
  #dragging = false;

  constructor(surface: HTMLElement, axis: RoundAxis, selection: Selection, signal: AbortSignal) {
    this.#surface = surface;
    this.#axis = axis;
    this.#selection = selection;
    this.onPick = (round) => selection.set(round);
    this.element = h("div", { class: "sv-brush", "aria-hidden": "true" }, this.#band);
    surface.classList.add("sv-brushed");
    surface.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    surface.addEventListener("pointermove", (event) => this.#move(event), { signal });
    surface.addEventListener("pointerup", () => this.#up(), { signal });
    surface.addEventListener("pointercancel", () => (this.#anchor = null), { signal });
  }

  /** The round under a pointer. */
  roundAt({ clientX }: MouseEvent): number {
    const { left, width } = this.element.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (clientX - left) / (width || 1)));
    return Math.min(this.#axis.rounds - 1, this.#axis.roundAt(share));
  }

  draw(): void {
    const { range } = this.#selection;
    const { rounds } = this.#axis;
    const shown = range !== null && range.from < rounds;
    this.#band.hidden = !shown;
    this.#surface.classList.toggle("sv-banded", shown);
    if (!shown) return;
    const [left, right] = [this.#axis.startOf(range.from), this.#axis.startOf(Math.min(range.to, rounds))];
    this.#band.style.left = `${100 * left}%`;
    this.#band.style.width = `${100 * (right - left)}%`;
    this.#surface.style.setProperty("--sv-left", `${100 * left}%`);
    this.#surface.style.setProperty("--sv-right", `${100 * right}%`);
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0 || this.#axis.rounds === 0) return;
    this.#anchor = { round: this.roundAt(event), x: event.clientX };
    this.#dragging = false;
    this.#surface.setPointerCapture(event.pointerId);
  }

  #move(event: PointerEvent): void {
    if (!this.#anchor) return;
    this.#dragging ||= Math.abs(event.clientX - this.#anchor.x) >= DRAG_PX;
    if (this.#dragging) this.#selection.set(this.#anchor.round, this.roundAt(event));
  }

  #up(): void {
    if (this.#anchor && !this.#dragging) this.onPick(this.#anchor.round);
    this.#anchor = null;
  }
}

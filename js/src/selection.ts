import { Listeners } from "./listeners.js";

/** Rounds from `from` up to `to`, which is not one of them. */
export interface RoundRange {
  from: number;
  to: number;
}

/** The rounds that all views of one model have selected; one stretch, or none. */
export class Selection {
  /** The round it was begun at, and the one it was drawn to. */
  #ends: [anchor: number, head: number] | null = null;
  readonly #listeners = new Listeners();

  get range(): RoundRange | null {
    return this.#ends && { from: Math.min(...this.#ends), to: Math.max(...this.#ends) + 1 };
  }

  /** Select the rounds between two, both included. */
  set(anchor: number, head = anchor): void {
    if (this.#ends?.[0] === anchor && this.#ends[1] === head) return;
    this.#ends = [anchor, head];
    this.#listeners.notify();
  }

  clear(): void {
    if (!this.#ends) return;
    this.#ends = null;
    this.#listeners.notify();
  }

  /** Move by a round, or draw the end it was drawn to; begins at the near end of `rounds` rounds. */
  step(by: 1 | -1, rounds: number, draw: boolean): void {
    const last = rounds - 1;
    if (last < 0) return;
    if (!this.#ends) {
      this.set(by === 1 ? 0 : last);
      return;
    }
    const inside = (round: number) => Math.max(0, Math.min(last, round));
    const [anchor, head] = this.#ends;
    if (draw) this.set(anchor, inside(head + by));
    else if (inside(anchor + by) === anchor + by && inside(head + by) === head + by) this.set(anchor + by, head + by);
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }
}

/** Let keys select while the focus is in an element; `rounds` tells how many there are. */
export function selectWithKeys(element: HTMLElement, selection: Selection, rounds: () => number, signal: AbortSignal): void {
  const onKey = (event: KeyboardEvent) => {
    if (!selectByKey(event, selection, rounds())) return;
    event.preventDefault();
    event.stopPropagation();
  };
  element.addEventListener("keydown", onKey, { signal });
}

/** Arrow keys move the selection, with Shift they draw it, Escape clears it; true where the key was one of them. */
export function selectByKey({ key, shiftKey, ctrlKey, metaKey, altKey }: KeyboardEvent, selection: Selection, rounds: number): boolean {
  if (ctrlKey || metaKey || altKey) return false;
  if (key === "ArrowLeft" || key === "ArrowRight") selection.step(key === "ArrowRight" ? 1 : -1, rounds, shiftKey);
  else if (key === "Escape" && selection.range) selection.clear();
  else return false;
  return true;
}

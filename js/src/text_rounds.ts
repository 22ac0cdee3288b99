import { perFrame } from "./dom.js";
import { selectByKey, type RoundRange } from "./selection.js";
import type { Store } from "./store.js";

/** Room (px) above the first selected token when the text scrolls to it. */
const ABOVE = 24;

/** The selected rounds in a text: marks their tokens, and takes what the reader selects of the text. */
export class TextRounds {
  readonly #log: HTMLElement;
  readonly #store: Store;
  /** The elements of each round. */
  #elements: HTMLElement[][] = [];
  #marked: RoundRange | null = null;
  /** The rounds are those of the text that the reader has selected. */
  #taken = false;
  #taking = false;

  constructor(log: HTMLElement, store: Store, signal: AbortSignal) {
    this.#log = log;
    this.#store = store;
    const draw = perFrame(() => this.#draw(), signal);
    const changed = () => {
      this.#taken = this.#taking;
      draw();
    };
    store.selection.subscribe(changed, signal);
    const take = perFrame(() => this.#take(), signal);
    document.addEventListener("selectionchange", take, { signal });
    this.#mark();
  }

  /** A new element of a round. */
  add(element: HTMLElement, round: number): void {
    (this.#elements[round] ??= []).push(element);
    if (this.#marked && this.#marked.from <= round && round < this.#marked.to) element.classList.add("sv-selected");
  }

  /** The text begins again from nothing. */
  clear(): void {
    this.#elements = [];
  }

  /** Shift with the arrow keys selects from the round of `token` on, Escape selects none; true where it did. */
  onKey(event: KeyboardEvent, token: HTMLElement | null): boolean {
    const { selection, timeline } = this.#store;
    const draws = event.shiftKey && event.key.startsWith("Arrow");
    if (!draws && event.key !== "Escape") return false;
    if (draws && !selection.range && token) selection.set(this.#roundOf(token));
    return selectByKey(event, selection, timeline.end.length);
  }

  #draw(): void {
    this.#mark();
    if (this.#taken) return;
    const native = getSelection();
    if (native && !native.isCollapsed && this.#log.contains(native.anchorNode)) native.removeAllRanges();
    this.#reveal();
  }

  /** Mark what has come into the selection, and what has left it no more. */
  #mark(): void {
    const [before, now] = [this.#marked, this.#store.selection.range];
    this.#marked = now;
    this.#log.classList.toggle("sv-selecting", now !== null);
    this.#each(before, now, (element) => element.classList.remove("sv-selected"));
    this.#each(now, before, (element) => element.classList.add("sv-selected"));
  }

  /** Call with the elements of rounds that are in one range and not in the other. */
  #each(range: RoundRange | null, except: RoundRange | null, act: (element: HTMLElement) => void): void {
    if (!range) return;
    for (let round = range.from; round < Math.min(range.to, this.#elements.length); round++) {
      if (except && except.from <= round && round < except.to) round = except.to - 1;
      else this.#elements[round]?.forEach(act);
    }
  }

  /** Scroll to what was selected elsewhere, where it is out of sight. */
  #reveal(): void {
    const first = this.#marked && this.#elements[this.#marked.from]?.find((element) => element.getClientRects().length > 0);
    if (!first) return;
    const { top, bottom } = first.getBoundingClientRect();
    const frame = this.#log.getBoundingClientRect();
    if (top < frame.top || bottom > frame.bottom) this.#log.scrollTop += top - frame.top - ABOVE;
  }

  /** What the reader selects of the text selects its rounds; a click lets them go. */
  #take(): void {
    const native = getSelection();
    if (!native?.anchorNode || !this.#log.contains(native.anchorNode)) return;
    if (native.isCollapsed) {
      if (this.#taken) this.#store.selection.clear();
      return;
    }
    const range = native.getRangeAt(0);
    const inside = [...range.cloneContents().querySelectorAll<HTMLElement>("[data-i], [data-tail]")];
    const only = range.startContainer.parentElement?.closest<HTMLElement>("[data-i], [data-tail], .x");
    const [first, last] = [inside[0] ?? only, inside.at(-1) ?? only];
    if (!first || !last) return;
    this.#taking = true;
    this.#store.selection.set(this.#roundOf(first), this.#roundOf(last));
    this.#taking = false;
  }

  #roundOf({ dataset }: HTMLElement): number {
    const { tokens, dropped } = this.#store;
    const round = dataset["dropped"] ? dropped.round[Number(dataset["dropped"])] : tokens.round[Number(dataset["i"] ?? dataset["tail"])];
    return round ?? 0;
  }
}

import { h } from "./dom.js";

export const ANNOUNCE_EVERY_MS = 1500;
const LONGEST = 600;
/** A full stop and the like (also CJK) with what closes a quotation, then space; or a line's end. */
const SENTENCE_END = /[.!?…]["'”’)\]]*\s|[。！？]|\n/gu;

/** Speaks whole sentences to screen readers, at most one announcement every `ANNOUNCE_EVERY_MS`. */
export class Announcer {
  readonly element = h("div", { class: "sv-hidden", role: "status", "data-testid": "announcer" });
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  push(text: string): void {
    this.#text += text;
    this.#ended = false;
    this.#schedule();
  }

  /** The text ends here: what is left is a sentence too. */
  end(): void {
    this.#ended = true;
    this.#schedule();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#text = "";
    this.element.textContent = "";
  }

  #schedule(): void {
    if (this.#timer === undefined && this.#text) {
      this.#timer = setTimeout(() => this.#speak(), ANNOUNCE_EVERY_MS);
    }
  }

  #speak(): void {
    this.#timer = undefined;
    let end = this.#ended ? this.#text.length : 0;
    if (!this.#ended) for (const match of this.#text.matchAll(SENTENCE_END)) end = match.index + match[0].length;
    if (end === 0) return;
    const spoken = this.#text.slice(0, end).trim();
    this.#text = this.#text.slice(end);
    if (spoken) this.element.textContent = spoken.slice(-LONGEST);
  }
}

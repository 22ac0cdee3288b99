import { h, icon } from "./dom.js";
import { card, stepAt, type Known, type Step } from "./inspector_card.js";
import { meaningOf, nameOf, placeOf, spoken, whyOf } from "./inspector_words.js";
import type { RoundDetail, TokenDetail } from "./protocol.js";
import type { Store } from "./store.js";
import { quotable } from "./words.js";

/** Room (px) that the card wants below a token before it goes above it, and its distance from token and edges. */
const HEIGHT = 400;
const GAP = 8;

/** An output token, or a dropped one, by its place in the store's columns. */
export interface Subject {
  dropped: boolean;
  i: number;
}

/**
 * The card about one token: beside it while it is pointed at or gone to with the keys, and for good once it is pinned.
 * It lies in the top layer, where no output area cuts it off, and never on its token.
 */
export class Inspector {
  readonly element: HTMLElement;
  readonly #store: Store;
  readonly #frame: HTMLElement;
  readonly #content = h("div", { class: "sv-in-content" });
  readonly #hint = h("p", { class: "sv-caption sv-in-hint" });

  #subject: Subject | null = null;
  #token: HTMLElement | null = null;
  #shown: RoundDetail | undefined;
  #pinned = false;
  #whileOpen: AbortController | null = null;
  /** Called with what the strip was clicked for. */
  onStep: (step: Step, round: number) => void = () => undefined;

  /** `frame` is what tokens scroll out of. */
  constructor(store: Store, frame: HTMLElement, signal: AbortSignal) {
    this.#store = store;
    this.#frame = frame;
    const close = h("button", { type: "button", class: "sv-quiet sv-in-close", title: "Close (Escape)", "aria-label": "Close" }, icon("close"));
    close.addEventListener("click", () => this.hide());
    this.element = h(
      "div",
      {
        class: "sv-inspector",
        role: "group",
        "aria-label": "About this token",
        popover: "manual",
        hidden: true,
        "data-testid": "inspector",
      },
      this.#content,
      this.#hint,
      close,
    );
    this.#content.addEventListener("click", (event) => {
      const step = stepAt(event.target);
      if (step && this.#shown) this.onStep(step, this.#shown.round);
    });
    signal.addEventListener("abort", () => this.hide(), { once: true });
  }

  get open(): boolean {
    return this.#subject !== null;
  }

  get pinned(): boolean {
    return this.#pinned;
  }

  /** The token it is about. */
  get token(): HTMLElement | null {
    return this.#token;
  }

  show(token: HTMLElement, subject: Subject, pinned = this.#pinned): void {
    this.#mark(null);
    this.#subject = subject;
    this.#pinned = pinned;
    this.#mark(token);
    this.#open();
    this.#render();
  }

  hide(): void {
    this.#mark(null);
    this.#subject = null;
    this.#pinned = false;
    this.#shown = undefined;
    if (!this.#whileOpen) return;
    this.#whileOpen.abort();
    this.#whileOpen = null;
    if (this.element.contains(document.activeElement)) this.#frame.focus({ preventScroll: true });
    if (this.element.isConnected) this.element.hidePopover?.();
    this.element.hidden = true;
    this.#content.replaceChildren();
  }

  /** Show what has come since; true where there was something. */
  draw(): boolean {
    if (!this.#subject || this.#shown) return false;
    if (!this.#find().detail) return false;
    this.#render();
    return true;
  }

  /** What the card says, in sentences. */
  spoken(): string {
    const { known, token, detail } = this.#find();
    const about = `${nameOf(known.kind)} “${quotable(known.text)}”.`;
    return token && detail ? `${about} ${placeOf(token, detail)}. ${spoken(whyOf(token, detail))}` : `${about} ${meaningOf(known.kind)}`;
  }

  #find(): { known: Known; token?: TokenDetail | undefined; detail?: RoundDetail | undefined } {
    const { dropped, i } = this.#subject ?? { dropped: false, i: -1 };
    const { tokens, dropped: gone } = this.#store;
    const columns = dropped ? gone : tokens;
    const round = columns.round[i] ?? 0;
    const kind = (dropped ? gone.fate[i] : tokens.kind[i]?.toLowerCase()) ?? "p";
    const known = { kind, text: columns.text[i] ?? "", p: columns.p[i] ?? null, q: columns.q[i] ?? null, round } as Known;
    const detail = this.#store.detail(round);
    if (!dropped) return { known, detail, token: detail?.tokens.find(({ index }) => index === i) };
    const nth = i - gone.round.indexOf(round);
    return { known, detail, token: detail?.tokens.filter(({ index }) => index === null)[nth] };
  }

  #render(): void {
    const { known, token, detail } = this.#find();
    this.#shown = token && detail;
    this.element.classList.toggle("sv-pinned", this.#pinned);
    this.#content.replaceChildren(...card(known, token, detail));
    this.#hint.textContent = this.#pinned
      ? "Arrow keys go to the tokens beside it, Escape closes."
      : "A click keeps this open. Arrow keys go from token to token.";
    this.#place();
  }

  #open(): void {
    if (this.#whileOpen) return;
    this.#whileOpen = new AbortController();
    const { signal } = this.#whileOpen;
    this.element.hidden = false;
    this.element.showPopover?.();
    document.addEventListener("scroll", (event) => event.target !== this.element && this.#follow(), { capture: true, signal });
    window.addEventListener("resize", () => this.#follow(), { signal });
    window.addEventListener("keydown", (event) => event.key === "Escape" && this.hide(), { capture: true, signal });
  }

  /** What has moved away from the pointer is meant no more, unless it was pinned or gone to with the keys. */
  #follow(): void {
    if (this.#pinned || document.activeElement === this.#frame || this.#token?.matches(":hover")) this.#place();
    else this.hide();
  }

  #mark(token: HTMLElement | null): void {
    this.#token?.classList.remove("sv-cursor", "sv-held");
    this.#token = token;
    token?.classList.add("sv-cursor");
    token?.classList.toggle("sv-held", this.#pinned);
  }

  /** Below the token or, where there is more room, above it; out of sight while the token is. */
  #place(): void {
    const token = this.#anchor();
    if (!token) return;
    const { top, bottom, left } = token.getBoundingClientRect();
    const frame = this.#frame.getBoundingClientRect();
    const below = innerHeight - bottom - 2 * GAP;
    const above = top - 2 * GAP;
    const up = below < HEIGHT && above > below;
    const seen = bottom > frame.top && top < frame.bottom && bottom > 0 && top < innerHeight;
    Object.assign(this.element.style, {
      visibility: seen ? "" : "hidden",
      left: `${Math.max(GAP, Math.min(left - 2 * GAP, innerWidth - this.element.offsetWidth - GAP))}px`,
      top: up ? "auto" : `${bottom + GAP}px`,
      bottom: up ? `${innerHeight - top + GAP}px` : "auto",
      maxHeight: `${Math.max(0, up ? above : below)}px`,
    });
  }

  /** The token itself or, of a dropped one that is not shown, the one that stands in its place. */
  #anchor(): HTMLElement | null {
    const token = this.#token;
    if (!token?.classList.contains("x") || token.getClientRects().length) return token;
    const at = this.#store.dropped.at[this.#subject?.i ?? -1] ?? 0;
    return this.#frame.querySelector<HTMLElement>(`[data-i="${at}"]`) ?? this.#frame.querySelector<HTMLElement>(`[data-i="${at - 1}"]`);
  }
}

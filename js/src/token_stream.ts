import { Announcer } from "./announcer.js";
import { shade, shadesKey } from "./colouring.js";
import { h, icon, perFrame, setText } from "./dom.js";
import { Inspector, type Subject } from "./inspector.js";
import type { Step } from "./inspector_card.js";
import { busy, type Colour } from "./protocol.js";
import { Sections } from "./reasoning.js";
import type { Store } from "./store.js";
import { TextRounds } from "./text_rounds.js";
import { inOneLine, upright } from "./words.js";

/** Tokens per block at most: a block is laid out as a whole, so it must stay small. */
export const BLOCK_TOKENS = 512;
/** Distance from the bottom (px) within which the reader counts as being at the bottom. */
const AT_BOTTOM = 32;

export interface Shown {
  /** Whether the tokens are coloured at all. */
  provenance: boolean;
  rejected: boolean;
  colour?: Colour;
}

/** The generated text, one span per token, one block per line; only ever appended to within an epoch. */
export class TokenStream {
  readonly element: HTMLElement;
  readonly log: HTMLElement;

  readonly #store: Store;
  readonly #announcer: Announcer;
  readonly #inspector: Inspector;
  readonly #sections: Sections;
  readonly #rounds: TextRounds;
  readonly #caption = h("div", { class: "sv-caption sv-runinfo", "data-testid": "run-info" });
  readonly #prompt = h("div", { class: "sv-prompt", hidden: true });
  readonly #empty = h("div", { class: "sv-empty" }, "The text appears here, token by token.");
  readonly #latest: HTMLButtonElement;
  readonly #key: HTMLElement;
  readonly #shadesKey = h("ul", { class: "sv-key", "aria-label": "Colours", hidden: true });

  #epoch = -1;
  #drawn = 0;
  #drawnDropped = 0;
  /** Indices into the dropped columns that stand before a token not yet here, by that token's index. */
  #pending = new Map<number, number[]>();
  #block: HTMLElement | null = null;
  #blockTokens = 0;
  #atBottom = true;
  #speaking = false;
  #colour: Colour = "provenance";
  /** Whether the inspected token was gone to with the keys or pinned, and so is told to those who listen. */
  #telling = false;

  /** `tools` stand above the text, beside "Copy text". */
  constructor(store: Store, signal: AbortSignal, ...tools: HTMLElement[]) {
    this.#store = store;
    this.#announcer = new Announcer(signal);
    this.log = h("div", {
      class: "sv-stream",
      role: "log",
      "aria-live": "off",
      "aria-label": "Generated tokens. Arrow keys left and right go from token to token, Enter keeps one open.",
      tabindex: 0,
      "data-testid": "stream",
    });
    const copy = h("button", { type: "button", class: "sv-quiet", "data-testid": "copy" }, icon("copy"), h("span", {}, "Copy text"));
    this.#latest = h(
      "button",
      { type: "button", class: "sv-latest", hidden: true, "data-testid": "latest" },
      icon("down"),
      "Latest",
    );
    this.#key = tokensKey();
    const frame = h("div", { class: "sv-stream-frame" }, this.log, this.#latest);
    this.element = h(
      "section",
      { class: "sv-tokens", "aria-label": "Tokens" },
      h("div", { class: "sv-row sv-stream-head" }, this.#caption, ...tools, copy),
      frame,
      this.#shadesKey,
      this.#key,
      this.#announcer.element,
    );
    this.#sections = new Sections(this.log, () => this.#scrolled());
    this.#rounds = new TextRounds(this.log, store, signal);
    this.#inspector = new Inspector(store, this.log, signal);
    this.#inspector.onStep = (step, round) => this.#step(step, round);
    this.element.append(this.#inspector.element);
    this.log.append(this.#prompt, this.#empty);

    this.#listen(copy, signal);
    const draw = perFrame(() => this.draw(), signal);
    store.subscribe(draw, signal);
    store.subscribeDetails(() => {
      if (this.#inspector.draw() && this.#telling) this.#tell();
    }, signal);
    this.show({ provenance: true, rejected: false });
    this.draw();
  }

  show({ provenance, rejected, colour = "provenance" }: Shown): void {
    const shades = provenance ? colour : "provenance";
    this.element.classList.toggle("sv-provenance", provenance && shades === "provenance");
    this.element.classList.toggle("sv-shaded", shades !== "provenance");
    this.element.classList.toggle("sv-rejected", rejected);
    if (shades !== this.#colour) {
      this.#colour = this.element.dataset["colour"] = shades;
      for (const span of this.log.querySelectorAll<HTMLElement>(".t, .x")) this.#shade(span);
      this.#shadesKey.replaceChildren(...shadesKey(shades));
    }
    this.#shadesKey.hidden = shades === "provenance";
    this.#key.hidden = !rejected && (!provenance || shades !== "provenance");
    if (this.#atBottom) this.log.scrollTop = this.log.scrollHeight;
  }

  draw(): void {
    const { tokens, dropped, epoch, stretches } = this.#store;
    if (epoch !== this.#epoch) this.#start(epoch);
    this.#drawHead();

    const from = this.#drawn;
    const fromDropped = this.#drawnDropped;
    const until = tokens.text.length;
    const fold = this.#atBottom;
    if (this.#sections.update(stretches, from, fold) && this.#block) {
      this.#block = this.#sections.body.lastElementChild as HTMLElement;
      this.#blockTokens = this.#block.childElementCount;
    }
    const late: number[] = [];
    for (let j = fromDropped; j < dropped.at.length; j++) {
      const at = dropped.at[j] ?? 0;
      if (at < from) late.push(j);
      else {
        const same = this.#pending.get(at);
        if (same) same.push(j);
        else this.#pending.set(at, [j]);
      }
    }
    this.#drawnDropped = dropped.at.length;
    for (const j of late) this.#insertLate(j);

    let spoken = "";
    for (let i = from; i < until; i++) {
      if (this.#sections.enter(i, stretches, fold)) this.#block = null;
      this.#appendPending(i);
      this.#appendToken(i);
      if (!isControl(tokens.kind[i])) spoken += tokens.text[i];
    }
    this.#drawn = until;
    this.#appendPending(until);

    this.#speak(spoken);
    this.#empty.hidden = until > 0 || dropped.at.length > 0;
    if (this.#atBottom && !this.#inspector.pinned) {
      if (until > from || dropped.at.length > fromDropped) this.log.scrollTop = this.log.scrollHeight;
    } else if (until > from || !this.#atBottom) {
      this.#latest.hidden = false;
    }
  }

  /** The output as plain text, without control tokens. */
  text(): string {
    const { text, kind } = this.#store.tokens;
    return text.filter((_, i) => !isControl(kind[i])).join("");
  }

  #start(epoch: number): void {
    this.#epoch = epoch;
    this.#drawn = this.#drawnDropped = this.#blockTokens = 0;
    this.#pending.clear();
    this.#block = null;
    this.#atBottom = true;
    this.#latest.hidden = true;
    this.#announcer.clear();
    this.#sections.clear();
    this.#rounds.clear();
    this.#inspector.hide();
    this.log.replaceChildren(this.#prompt, this.#empty);
  }

  #drawHead(): void {
    const { main, draft, drafter, num_draft_tokens: length, prompt } = this.#store.runInfo;
    const parts = [main, draft ? (drafter === "ngram" ? draft : `draft ${draft}`) : main ? "no draft" : undefined];
    if (draft && length !== undefined) parts.push(`draft length ${length}`);
    setText(this.#caption, parts.filter(Boolean).join(" · "));
    setText(this.#prompt, prompt ?? "");
    this.#prompt.hidden = !prompt;
  }

  #openBlock(): HTMLElement {
    if (this.#block && this.#blockTokens < BLOCK_TOKENS) return this.#block;
    this.#block = h("div", { class: "sv-block" });
    this.#blockTokens = 0;
    this.#sections.body.append(this.#block);
    return this.#block;
  }

  #appendToken(i: number): void {
    const { tokens } = this.#store;
    const text = upright(tokens.text[i] ?? "");
    const kind = tokens.kind[i] ?? "p";
    const block = this.#openBlock();
    const lastBreak = isControl(kind) ? -1 : text.lastIndexOf("\n");
    const span = document.createElement("span");
    span.className = isControl(kind) ? "t sv-control" : lastBreak >= 0 ? "t sv-newline" : "t";
    span.dataset["i"] = String(i);
    span.dataset["kind"] = kind;
    if (this.#colour !== "provenance") this.#shade(span);
    block.append(span);
    this.#rounds.add(span, tokens.round[i] ?? 0);
    this.#blockTokens += 1;
    if (lastBreak < 0) {
      span.textContent = text;
      return;
    }
    // The break that ends the block stands beside the span: inside an isolated span it would add an empty line.
    span.textContent = text.slice(0, lastBreak);
    block.append("\n");
    this.#block = null;
    const rest = text.slice(lastBreak + 1);
    if (!rest) return;
    const tail = document.createElement("span");
    tail.className = "t";
    tail.dataset["tail"] = String(i);
    tail.dataset["kind"] = kind;
    tail.textContent = rest;
    if (this.#colour !== "provenance") this.#shade(tail);
    this.#openBlock().append(tail);
    this.#rounds.add(tail, tokens.round[i] ?? 0);
    this.#blockTokens += 1;
  }

  #appendPending(at: number): void {
    const waiting = this.#pending.get(at);
    if (!waiting) return;
    this.#pending.delete(at);
    for (const j of waiting) {
      this.#openBlock().append(this.#droppedSpan(j));
      this.#blockTokens += 1;
    }
  }

  /** A dropped token whose place was drawn in an earlier frame. */
  #insertLate(j: number): void {
    const before = this.log.querySelector(`[data-i="${this.#store.dropped.at[j]}"]`);
    before?.before(this.#droppedSpan(j));
  }

  #droppedSpan(j: number): HTMLElement {
    const { dropped } = this.#store;
    const fate = dropped.fate[j] ?? "d";
    const span = document.createElement("span");
    span.className = "x";
    span.dataset["fate"] = fate;
    span.dataset["dropped"] = String(j);
    span.textContent = inOneLine(dropped.text[j] ?? "");
    this.#rounds.add(span, dropped.round[j] ?? 0);
    if (this.#colour !== "provenance") this.#shade(span);
    return span;
  }

  #shade(span: HTMLElement): void {
    const { dropped, i } = subjectOf(span);
    const value = shade(this.#colour, dropped ? this.#store.dropped : this.#store.tokens, i);
    span.classList.toggle("sv-shade", value !== null);
    if (value === null) span.removeAttribute("style");
    else span.style.setProperty("--sv-v", value.toFixed(3));
  }

  #speak(text: string): void {
    const running = busy(this.#store.state.phase);
    // What was there before this view opened is there to be read, not to be announced.
    if (text && !this.#store.restored) this.#announcer.push(text);
    if (this.#speaking && !running) this.#announcer.end();
    this.#speaking = running;
  }

  #listen(copy: HTMLButtonElement, signal: AbortSignal): void {
    const { log } = this;
    const options = { signal } as const;
    log.addEventListener("scroll", () => this.#scrolled(), { signal, passive: true });
    this.#latest.addEventListener(
      "click",
      () => {
        log.scrollTop = log.scrollHeight;
        this.#atBottom = true;
        this.#latest.hidden = true;
        log.focus({ preventScroll: true });
      },
      options,
    );
    log.addEventListener("pointerover", (event) => this.#point(tokenAt(event.target)), options);
    log.addEventListener("pointerleave", () => this.#point(null), options);
    log.addEventListener("click", (event) => this.#pin(tokenAt(event.target)), options);
    log.addEventListener("blur", () => this.#point(null), options);
    this.element.addEventListener("keydown", (event) => this.#onKey(event), options);
    log.addEventListener("copy", (event) => this.#onCopy(event), options);
    copy.addEventListener("click", () => void this.#copy(copy), options);
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.#atBottom = scrollHeight - scrollTop - clientHeight < AT_BOTTOM;
    if (this.#atBottom) this.#latest.hidden = true;
  }

  /** The pointer is on a token; a pinned one stays. */
  #point(token: HTMLElement | null): void {
    if (this.#inspector.pinned) return;
    this.#telling = false;
    if (token) this.#inspector.show(token, subjectOf(token));
    else this.#inspector.hide();
  }

  /** A click holds a token fast; a second one, or one beside all tokens, lets it go. */
  #pin(token: HTMLElement | null): void {
    if (getSelection()?.isCollapsed === false) return;
    const held = this.#inspector.pinned && this.#inspector.token;
    if (!token || token === held) this.#inspector.hide();
    else this.#go(token, true);
  }

  #go(token: HTMLElement, pinned = this.#inspector.pinned): void {
    this.#sections.reveal(token);
    this.#inspector.show(token, subjectOf(token), pinned);
    this.#telling = true;
    this.#tell();
  }

  #tell(): void {
    this.#announcer.element.textContent = this.#inspector.spoken();
  }

  /** Another token of the round whose strip was clicked. */
  #step(step: Step, round: number): void {
    const at = "index" in step ? `[data-i="${step.index}"]` : `[data-dropped="${this.#store.dropped.round.indexOf(round) + step.dropped}"]`;
    const token = this.log.querySelector<HTMLElement>(at);
    if (!token) return;
    this.#go(token);
    this.log.focus({ preventScroll: true });
  }

  #onKey(event: KeyboardEvent): void {
    if (event.target === this.log && this.#rounds.onKey(event, this.#inspector.token)) {
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const about = event.target === this.log || this.#inspector.element.contains(event.target as Node);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key] as 1 | -1 | undefined;
    const token = this.#inspector.token;
    if (about && step) {
      event.preventDefault();
      const next = this.#neighbour(step);
      if (!next) return;
      next.scrollIntoView({ block: "nearest" });
      this.#go(next);
    } else if (event.target === this.log && token && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.#go(token, !this.#inspector.pinned);
    }
  }

  #neighbour(step: 1 | -1): HTMLElement | null {
    const rejected = this.element.classList.contains("sv-rejected");
    const selector = rejected ? "[data-i], .x" : "[data-i]";
    let at: Element | null = this.#inspector.token;
    if (!at) return [...this.log.querySelectorAll<HTMLElement>("[data-i]")].filter(shown).at(step === 1 ? 0 : -1) ?? null;
    do {
      const block: Element | null = at.parentElement;
      const beside: Element | null = step === 1 ? at.nextElementSibling : at.previousElementSibling;
      const next: Element | null = block && this.#sections.beside(block, step);
      at = beside ?? (step === 1 ? next?.firstElementChild : next?.lastElementChild) ?? null;
    } while (at && !at.matches(selector));
    return at as HTMLElement | null;
  }

  /** A selection is copied as the text it stands for: without prompt, dropped tokens and doubled line ends. */
  #onCopy(event: ClipboardEvent): void {
    const selection = getSelection();
    if (!event.clipboardData || !selection || selection.rangeCount === 0 || selection.isCollapsed) return;
    const part = selection.getRangeAt(0).cloneContents();
    for (const other of part.querySelectorAll(".x, .sv-control, .sv-prompt, .sv-empty, .sv-stretch-head, [hidden]")) other.remove();
    event.clipboardData.setData("text/plain", part.textContent ?? "");
    event.preventDefault();
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    const label = button.querySelector("span");
    let done = true;
    try {
      await navigator.clipboard.writeText(this.text());
    } catch {
      done = this.#select();
    }
    if (!label) return;
    label.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (label.textContent = "Copy text"), 1600);
  }

  /** Where the clipboard is closed to the page (no HTTPS): select the text, so that a key press copies it. */
  #select(): boolean {
    const selection = getSelection();
    selection?.selectAllChildren(this.log);
    return typeof document.execCommand === "function" && document.execCommand("copy");
  }
}

/** What the tokens' colours mean, after what else there is to say. */
export function tokensKey(...before: HTMLElement[]): HTMLElement {
  return h(
    "ul",
    { class: "sv-key", "aria-label": "Key" },
    ...before,
    keyItem("a", "accepted"),
    keyItem("c", "correction"),
    keyItem("b", "bonus"),
    keyItem("p", "plain"),
    keyItem("r", "refused", true),
    keyItem("d", "discarded, unsent", true),
  );
}

function keyItem(code: string, label: string, dropped = false): HTMLElement {
  const swatch = h("span", { class: "sv-swatch", "aria-hidden": "true", [dropped ? "data-fate" : "data-kind"]: code }, "abc");
  return h("li", { class: dropped ? "sv-key-rejected" : "sv-key-provenance" }, swatch, label);
}

export function tokenAt(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-i], [data-tail], .x") : null;
}

export function subjectOf({ dataset }: HTMLElement): Subject {
  return { dropped: dataset["dropped"] !== undefined, i: Number(dataset["dropped"] ?? dataset["i"] ?? dataset["tail"]) };
}

/** Whether a token is in no closed section. */
function shown(token: HTMLElement): boolean {
  return token.closest("[hidden]") === null;
}

export function isControl(kind: string | undefined): boolean {
  return kind !== undefined && kind >= "A" && kind <= "Z";
}

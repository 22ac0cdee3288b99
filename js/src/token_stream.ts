import { Announcer } from "./announcer.js";
import { h, icon, perFrame, setText } from "./dom.js";
import { busy, type Fate, type Kind } from "./protocol.js";
import type { Store } from "./store.js";
import { Tooltip } from "./tooltip.js";
import { FATE, FATE_MEANING, percent, PROVENANCE, PROVENANCE_MEANING } from "./words.js";

/** Tokens per block at most: a block is laid out as a whole, so it must stay small. */
export const BLOCK_TOKENS = 512;
/** Distance from the bottom (px) within which the reader counts as being at the bottom. */
const AT_BOTTOM = 32;
const LINE_BREAKS = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/gu;

export interface Shown {
  provenance: boolean;
  rejected: boolean;
}

/** The generated text, one span per token, one block per line; only ever appended to within an epoch. */
export class TokenStream {
  readonly element: HTMLElement;
  readonly log: HTMLElement;

  readonly #store: Store;
  readonly #announcer: Announcer;
  readonly #tooltip: Tooltip;
  readonly #caption = h("div", { class: "sv-caption sv-runinfo", "data-testid": "run-info" });
  readonly #prompt = h("div", { class: "sv-prompt", hidden: true });
  readonly #empty = h("div", { class: "sv-empty" }, "The text appears here, token by token.");
  readonly #latest: HTMLButtonElement;
  readonly #key: HTMLElement;

  #epoch = -1;
  #drawn = 0;
  #drawnDropped = 0;
  /** Indices into the dropped columns that stand before a token not yet here, by that token's index. */
  #pending = new Map<number, number[]>();
  #block: HTMLElement | null = null;
  #blockTokens = 0;
  #atBottom = true;
  #cursor: HTMLElement | null = null;
  #speaking = false;

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    this.#announcer = new Announcer(signal);
    this.log = h("div", {
      class: "sv-stream",
      role: "log",
      "aria-live": "off",
      "aria-label": "Generated tokens. Arrow keys left and right go from token to token.",
      tabindex: 0,
      "data-testid": "stream",
      "data-lm-suppress-shortcuts": "true",
    });
    const copy = h("button", { type: "button", class: "sv-quiet", "data-testid": "copy" }, icon("copy"), h("span", {}, "Copy text"));
    this.#latest = h(
      "button",
      { type: "button", class: "sv-latest", hidden: true, "data-testid": "latest" },
      icon("down"),
      "Latest",
    );
    this.#key = h(
      "ul",
      { class: "sv-key", "aria-label": "Key" },
      keyItem("a", "accepted"),
      keyItem("c", "correction"),
      keyItem("b", "bonus"),
      keyItem("p", "plain"),
      keyItem("r", "refused", true),
      keyItem("d", "discarded, unsent", true),
    );
    const frame = h("div", { class: "sv-stream-frame" }, this.log, this.#latest);
    this.element = h(
      "section",
      { class: "sv-tokens", "aria-label": "Tokens" },
      h("div", { class: "sv-row sv-stream-head" }, this.#caption, copy),
      frame,
      this.#key,
      this.#announcer.element,
    );
    this.#tooltip = new Tooltip(this.element);
    this.log.append(this.#prompt, this.#empty);

    this.#listen(copy, signal);
    const draw = perFrame(() => this.draw(), signal);
    store.subscribe(draw, signal);
    this.show({ provenance: true, rejected: false });
    this.draw();
  }

  show({ provenance, rejected }: Shown): void {
    this.element.classList.toggle("sv-provenance", provenance);
    this.element.classList.toggle("sv-rejected", rejected);
    this.#key.hidden = !provenance && !rejected;
    if (this.#atBottom) this.log.scrollTop = this.log.scrollHeight;
  }

  draw(): void {
    const { tokens, dropped, epoch } = this.#store;
    if (epoch !== this.#epoch) this.#start(epoch);
    this.#drawHead();

    const from = this.#drawn;
    const fromDropped = this.#drawnDropped;
    const until = tokens.text.length;
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
      this.#appendPending(i);
      this.#appendToken(i);
      if (!isControl(tokens.kind[i])) spoken += tokens.text[i];
    }
    this.#drawn = until;
    this.#appendPending(until);

    this.#speak(spoken);
    this.#empty.hidden = until > 0 || dropped.at.length > 0;
    if (this.#atBottom) {
      if (until > from || dropped.at.length > fromDropped) this.log.scrollTop = this.log.scrollHeight;
    } else {
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
    this.#block = this.#cursor = null;
    this.#atBottom = true;
    this.#latest.hidden = true;
    this.#announcer.clear();
    this.#tooltip.hide();
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
    this.log.append(this.#block);
    return this.#block;
  }

  #appendToken(i: number): void {
    const { tokens } = this.#store;
    const text = tokens.text[i] ?? "";
    const kind = tokens.kind[i] ?? "p";
    const block = this.#openBlock();
    const lastBreak = isControl(kind) ? -1 : text.lastIndexOf("\n");
    const span = document.createElement("span");
    span.className = isControl(kind) ? "t sv-control" : lastBreak >= 0 ? "t sv-newline" : "t";
    span.dataset["i"] = String(i);
    span.dataset["kind"] = kind;
    block.append(span);
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
    this.#openBlock().append(tail);
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
    span.textContent = (dropped.text[j] ?? "").replace(LINE_BREAKS, "↵");
    return span;
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
    log.addEventListener(
      "scroll",
      () => {
        this.#atBottom = log.scrollHeight - log.scrollTop - log.clientHeight < AT_BOTTOM;
        if (this.#atBottom) this.#latest.hidden = true;
        this.#tooltip.hide();
      },
      { signal, passive: true },
    );
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
    log.addEventListener("pointerover", (event) => this.#explain(tokenAt(event.target)), options);
    log.addEventListener("pointerleave", () => this.#tooltip.hide(), options);
    log.addEventListener("blur", () => this.#explain(null), options);
    log.addEventListener("keydown", (event) => this.#onKey(event), options);
    log.addEventListener("copy", (event) => this.#onCopy(event), options);
    copy.addEventListener("click", () => void this.#copy(copy), options);
  }

  #explain(token: HTMLElement | null): void {
    this.#cursor?.classList.remove("sv-cursor");
    this.#cursor = null;
    if (!token) {
      this.#tooltip.hide();
      return;
    }
    const rect = token.getClientRects()[0] ?? token.getBoundingClientRect();
    this.#tooltip.show(rect, ...this.#explanation(token));
  }

  #explanation(token: HTMLElement): Node[] {
    const { tokens, dropped } = this.#store;
    const isDropped = token.dataset["dropped"] !== undefined;
    const i = Number(token.dataset["dropped"] ?? token.dataset["i"] ?? token.dataset["tail"]);
    const columns = isDropped ? dropped : tokens;
    const kind = (tokens.kind[i] ?? "p").toLowerCase() as Lowercase<Kind>;
    const fate = (dropped.fate[i] ?? "d") as Fate;
    const [title, meaning] = isDropped
      ? [FATE[fate] ?? "Dropped", FATE_MEANING[fate] ?? ""]
      : [PROVENANCE[kind] ?? "Token", PROVENANCE_MEANING[kind] ?? ""];
    const text = columns.text[i] ?? "";
    const figures = h(
      "div",
      { class: "sv-figures" },
      ...[
        ["Round", String(columns.round[i] ?? "—")],
        ["Main p", percent(columns.p[i])],
        ["Draft q", percent(columns.q[i])],
      ].map(([name = "", value = ""]) => h("div", {}, h("div", { class: "sv-caption" }, name), value)),
    );
    return [
      h(
        "div",
        { class: "sv-row" },
        h("strong", { class: "sv-swatch", [isDropped ? "data-fate" : "data-kind"]: isDropped ? fate : kind }, title),
        h("code", { class: "sv-quote" }, visible(text)),
      ),
      h("div", { class: "sv-meaning" }, meaning),
      figures,
    ];
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && this.#tooltip.open) {
      event.stopPropagation();
      this.#explain(null);
      return;
    }
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    const next = this.#neighbour(event.key === "ArrowRight" ? 1 : -1);
    if (!next) return;
    next.scrollIntoView({ block: "nearest" });
    this.#explain(next);
    this.#cursor = next;
    next.classList.add("sv-cursor");
    const details = [...this.#tooltip.element.childNodes].map((node) => node.textContent).join(" ");
    this.#announcer.element.textContent = details;
  }

  #neighbour(step: 1 | -1): HTMLElement | null {
    const rejected = this.element.classList.contains("sv-rejected");
    const selector = rejected ? "[data-i], .x" : "[data-i]";
    let at: Element | null = this.#cursor;
    if (!at) return [...this.log.querySelectorAll<HTMLElement>("[data-i]")].at(step === 1 ? 0 : -1) ?? null;
    do {
      const block: Element | null = at.parentElement;
      const beside: Element | null = step === 1 ? at.nextElementSibling : at.previousElementSibling;
      const next: Element | null = step === 1 ? (block?.nextElementSibling ?? null) : (block?.previousElementSibling ?? null);
      at = beside ?? (step === 1 ? next?.firstElementChild : next?.lastElementChild) ?? null;
    } while (at && !at.matches(selector));
    return at as HTMLElement | null;
  }

  /** A selection is copied as the text it stands for: without prompt, dropped tokens and doubled line ends. */
  #onCopy(event: ClipboardEvent): void {
    const selection = getSelection();
    if (!event.clipboardData || !selection || selection.rangeCount === 0 || selection.isCollapsed) return;
    const part = selection.getRangeAt(0).cloneContents();
    for (const other of part.querySelectorAll(".x, .sv-control, .sv-prompt, .sv-empty")) other.remove();
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

function keyItem(code: string, label: string, dropped = false): HTMLElement {
  const swatch = h("span", { class: "sv-swatch", "aria-hidden": "true", [dropped ? "data-fate" : "data-kind"]: code }, "abc");
  return h("li", { class: dropped ? "sv-key-rejected" : "sv-key-provenance" }, swatch, label);
}

function tokenAt(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-i], [data-tail], .x") : null;
}

function isControl(kind: string | undefined): boolean {
  return kind !== undefined && kind >= "A" && kind <= "Z";
}

/** White space made visible, and long tokens cut, for the note about one token. */
function visible(text: string): string {
  if (text === "") return "(part of a character)";
  const shown = text.replace(LINE_BREAKS, "↵").replace(/\t/gu, "⇥").replace(/ /gu, "␣");
  return shown.length > 40 ? `${shown.slice(0, 40)}…` : shown;
}

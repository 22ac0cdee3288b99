import { sectionsOf, SIDES, type CompareRow, type Piece, type Side } from "./compare_rows.js";
import { ComparedSection } from "./compare_section.js";
import { differencesWords, partingWords, runWords } from "./compare_words.js";
import { h, icon, setText, type Icon } from "./dom.js";
import { Inspector } from "./inspector.js";
import type { Step } from "./inspector_card.js";
import type { ComparisonColumns } from "./protocol.js";
import type { Store } from "./store.js";
import { isControl, subjectOf, tokenAt, tokensKey } from "./token_stream.js";
import { inOneLine, upright } from "./words.js";

/** Both texts in rows that stand side by side, reasoning folded; what differs is marked, and gone to with buttons and keys. */
export class ComparedText {
  readonly element: HTMLElement;
  /** Called when a dropped token is asked for. */
  onDropped: () => void = () => undefined;

  readonly #stores: Record<Side, Store>;
  readonly #frame: HTMLElement;
  readonly #inspectors: Record<Side, Inspector>;
  readonly #status = h("span", { class: "sv-caption", role: "status", "data-testid": "compare-status" });
  readonly #spoken = h("p", { class: "sv-hidden", role: "status" });
  /** Of each difference: its parts, in one row after the other. */
  readonly #marks: HTMLElement[][] = [];
  readonly #sections: ComparedSection[];
  #current = -1;

  /** `tools` stand above the text. */
  constructor(comparison: ComparisonColumns, stores: Record<Side, Store>, signal: AbortSignal, ...tools: HTMLElement[]) {
    this.#stores = stores;
    this.#frame = h("div", {
      class: "sv-stream sv-cmp-text",
      role: "table",
      "aria-label":
        "Both answers, side by side. N and P go to the next and the previous difference, arrow keys left and right from token to token, Enter keeps one open.",
      tabindex: 0,
      "data-testid": "compare-text",
    });
    const dropped = both((side) => droppedAt(stores[side]));
    const stretches = both((side) => stores[side].stretches);
    const starts = both((side) => stretches[side].map(({ start }) => start));
    this.#sections = sectionsOf(comparison, both((side) => stores[side].tokens.text), starts).map((section) => {
      const rows = section.rows.map((row) => this.#row(row, dropped));
      return new ComparedSection(section, rows, stretches);
    });
    this.#frame.append(this.#head(comparison), ...this.#sections.flatMap(({ elements }) => elements));
    this.#marks[0]?.forEach((mark) => mark.classList.add("sv-cmp-parting"));
    const inspector = (side: Side) => {
      const one = new Inspector(stores[side], this.#frame, signal);
      one.onStep = (step, round) => this.#step(side, step, round);
      stores[side].subscribeDetails(() => one.draw() && one.pinned && this.#tell(one), signal);
      return one;
    };
    this.#inspectors = both(inspector);
    const steps = [this.#stepper("previous", "Previous difference", "p", -1), this.#stepper("next", "Next difference", "n", 1)];
    this.element = h(
      "section",
      { class: "sv-tokens sv-provenance", "aria-label": "Both answers" },
      h("div", { class: "sv-row sv-stream-head" }, h("div", { class: "sv-row sv-cmp-steps" }, ...steps, this.#status), ...tools),
      this.#frame,
      key(),
      this.#spoken,
      ...SIDES.map((side) => this.#inspectors[side].element),
    );
    this.#listen(signal);
    this.#say();
  }

  show({ rejected }: { rejected: boolean }): void {
    this.element.classList.toggle("sv-rejected", rejected);
  }

  /** To the difference so many after the one that was gone to last; round and round. */
  go(by: 1 | -1): void {
    const n = this.#marks.length;
    if (n === 0) return;
    this.#marks[this.#current]?.forEach((mark) => mark.classList.remove("sv-cmp-current"));
    this.#current = this.#current < 0 && by < 0 ? n - 1 : (this.#current + by + n) % n;
    const marks = this.#marks[this.#current] ?? [];
    for (const mark of marks) {
      this.#reveal(mark);
      mark.classList.add("sv-cmp-current");
    }
    marks[0]?.scrollIntoView({ block: "nearest" });
    this.#say();
  }

  /** Open the section that something stands in. */
  #reveal(element: Element): void {
    const section = this.#sectionOf(element);
    if (section) section.open = true;
  }

  #sectionOf(element: Element): ComparedSection | undefined {
    return this.#sections.find((section) => section.contains(element));
  }

  #say(): void {
    setText(this.#status, differencesWords(this.#marks.length, this.#current));
  }

  #stepper(glyph: Icon, label: string, letter: string, by: 1 | -1): HTMLButtonElement {
    const button = h(
      "button",
      { type: "button", class: "sv-quiet", title: `${label} (${letter.toUpperCase()})`, "aria-label": label, "aria-keyshortcuts": letter, "data-testid": `compare-${glyph}` },
      icon(glyph),
    );
    button.disabled = this.#marks.length === 0;
    button.addEventListener("click", () => this.go(by));
    return button;
  }

  #head({ names, parting }: ComparisonColumns): HTMLElement {
    const cells = SIDES.map((side, i) => {
      const choice = parting?.[i];
      const other = parting?.[1 - i];
      return h(
        "div",
        { class: "sv-cmp-cell", role: "columnheader" },
        h("strong", {}, names[i] ?? ""),
        h("p", { class: "sv-caption" }, runWords(this.#stores[side].runInfo)),
        choice && other ? h("p", { class: "sv-caption", "data-testid": `parting-${side}` }, partingWords(choice, other)) : null,
      );
    });
    return h("div", { class: "sv-cmp-row sv-cmp-head", role: "row" }, ...cells);
  }

  #row(row: CompareRow, dropped: Record<Side, Map<number, number[]>>): HTMLElement {
    const cells = SIDES.map((side) => {
      const cell = h("div", { class: "sv-cmp-cell", role: "cell", "data-side": side });
      const last = row[side].at(-1)?.to;
      for (const piece of row[side]) this.#into(cell, piece).append(...this.#spans(side, piece, last, dropped[side]));
      return cell;
    });
    return h("div", { class: "sv-cmp-row", role: "row" }, ...cells);
  }

  /** What a piece's tokens go into: a mark where they differ. */
  #into(cell: HTMLElement, { from, to, difference }: Piece): HTMLElement {
    if (difference === null) return cell;
    const mark = h("mark", { class: from === to ? "sv-cmp-diff sv-cmp-nothing" : "sv-cmp-diff", "data-difference": difference });
    (this.#marks[difference] ??= []).push(mark);
    cell.append(mark);
    return mark;
  }

  #spans(side: Side, { from, to }: Piece, last: number | undefined, dropped: Map<number, number[]>): (Node | string)[] {
    const store = this.#stores[side];
    const spans: (Node | string)[] = [];
    for (let i = from; i < to; i++) {
      for (const j of dropped.get(i) ?? []) spans.push(droppedSpan(store, j));
      spans.push(...tokenSpans(store, i, i + 1 === last));
    }
    return spans;
  }

  #listen(signal: AbortSignal): void {
    const frame = this.#frame;
    const options = { signal } as const;
    frame.addEventListener("pointerover", (event) => this.#point(tokenAt(event.target)), options);
    frame.addEventListener("pointerleave", () => this.#point(null), options);
    frame.addEventListener("click", (event) => this.#pin(tokenAt(event.target)), options);
    frame.addEventListener("blur", () => this.#point(null), options);
    this.element.addEventListener("keydown", (event) => this.#onKey(event), options);
  }

  get #open(): Inspector | undefined {
    return SIDES.map((side) => this.#inspectors[side]).find(({ open }) => open);
  }

  #point(token: HTMLElement | null): void {
    if (this.#open?.pinned) return;
    if (token) this.#show(token, false);
    else this.#open?.hide();
  }

  #pin(token: HTMLElement | null): void {
    if (getSelection()?.isCollapsed === false) return;
    const open = this.#open;
    if (!token || (open?.pinned && open.token === token)) open?.hide();
    else this.#tell(this.#show(token, true));
  }

  #show(token: HTMLElement, pinned: boolean): Inspector {
    const side = sideOf(token);
    this.#inspectors[side === "a" ? "b" : "a"].hide();
    this.#inspectors[side].show(token, subjectOf(token), pinned);
    return this.#inspectors[side];
  }

  #tell(inspector: Inspector): void {
    this.#spoken.textContent = inspector.spoken();
  }

  /** Another token of the round whose strip was clicked. */
  #step(side: Side, step: Step, round: number): void {
    if ("dropped" in step) this.onDropped();
    const at = "index" in step ? `[data-i="${step.index}"]` : `[data-dropped="${this.#stores[side].dropped.round.indexOf(round) + step.dropped}"]`;
    const token = this.#find(side, at);
    if (!token) return;
    this.#reveal(token);
    this.#tell(this.#show(token, this.#inspectors[side].pinned));
    this.#frame.focus({ preventScroll: true });
  }

  #find(side: Side, selector: string): HTMLElement | null {
    return this.#frame.querySelector<HTMLElement>(`[data-side="${side}"] ${selector}`);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.target instanceof HTMLInputElement) return;
    const by = { n: 1, p: -1 }[event.key.toLowerCase()] as 1 | -1 | undefined;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const open = this.#open;
    if (by) this.go(by);
    else if (step) this.#walk(step);
    else if (event.target === this.#frame && open?.token && (event.key === "Enter" || event.key === " ")) this.#tell(this.#show(open.token, !open.pinned));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** From token to token of one answer, past what is closed: from its first difference on, where none was gone to. */
  #walk(step: number): void {
    const open = this.#open;
    const token = open?.token;
    const next = token ? this.#beside(token, step) : this.#first();
    if (!next) return;
    next.scrollIntoView({ block: "nearest" });
    this.#tell(this.#show(next, open?.pinned ?? false));
  }

  #beside(token: HTMLElement, step: number): HTMLElement | null {
    const side = sideOf(token);
    const at = (i: number) => this.#find(side, `[data-i="${i}"]`);
    let next = at(indexOf(token, step));
    while (next && hidden(next)) next = at(this.#sectionOf(next)?.beyond(side, step) ?? -1);
    return next;
  }

  /** Where a walk begins. */
  #first(): HTMLElement | null {
    const mark = this.#marks[Math.max(0, this.#current)]?.find((one) => one.querySelector("[data-i]"));
    if (mark) this.#reveal(mark);
    return [...(mark ?? this.#frame).querySelectorAll<HTMLElement>("[data-i]")].find((token) => !hidden(token)) ?? null;
  }
}

function both<T>(of: (side: Side) => T): Record<Side, T> {
  return { a: of("a"), b: of("b") };
}

/** Whether a token stands in what is closed. */
function hidden(token: Element): boolean {
  return token.closest("[hidden]") !== null;
}

function sideOf(token: HTMLElement): Side {
  return token.closest("[data-side=b]") ? "b" : "a";
}

/** Index of the output token beside one; a dropped one stands before that of its own place. */
function indexOf({ dataset, nextElementSibling }: HTMLElement, step: number): number {
  if (dataset["dropped"] === undefined) return Number(dataset["i"] ?? dataset["tail"]) + step;
  let next = nextElementSibling;
  while (next && !next.matches("[data-i]")) next = next.nextElementSibling;
  return Number(next?.getAttribute("data-i")) - Number(step < 0);
}

/** Dropped tokens by the output token they stand before. */
function droppedAt({ dropped }: Store): Map<number, number[]> {
  const at = new Map<number, number[]>();
  dropped.at.forEach((i, j) => at.set(i, [...(at.get(i) ?? []), j]));
  return at;
}

/** A token; the break that ends a cell is the cell's own end. */
function tokenSpans({ tokens }: Store, i: number, last: boolean): (Node | string)[] {
  const text = upright(tokens.text[i] ?? "");
  const kind = tokens.kind[i] ?? "p";
  const lastBreak = isControl(kind) ? -1 : text.lastIndexOf("\n");
  const span = document.createElement("span");
  span.className = isControl(kind) ? "t sv-control" : lastBreak >= 0 ? "t sv-newline" : "t";
  span.dataset["i"] = String(i);
  span.dataset["kind"] = kind;
  span.textContent = lastBreak < 0 ? text : text.slice(0, lastBreak);
  const rest = text.slice(lastBreak + 1);
  if (lastBreak < 0) return [span];
  if (!rest) return last ? [span] : [span, "\n"];
  const tail = document.createElement("span");
  tail.className = "t";
  tail.dataset["tail"] = String(i);
  tail.dataset["kind"] = kind;
  tail.textContent = rest;
  return [span, "\n", tail];
}

function droppedSpan({ dropped }: Store, j: number): HTMLElement {
  const span = document.createElement("span");
  span.className = "x";
  span.dataset["fate"] = dropped.fate[j] ?? "d";
  span.dataset["dropped"] = String(j);
  span.textContent = inOneLine(dropped.text[j] ?? "");
  return span;
}

function key(): HTMLElement {
  return tokensKey(h("li", {}, h("mark", { class: "sv-cmp-diff", "aria-hidden": "true" }, "abc"), "differs"));
}

import { listed, reachable, type Entry, type Option } from "./choices.js";
import { h, icon, setText, uniqueId } from "./dom.js";

/** Rows that are drawn at once; more as one scrolls or moves to them. */
export const ROWS = 60;
const WIDEST = 440;
const HIGHEST = 480;
const EDGE = 8;
const PAGE = 8;

export interface ComboboxOptions {
  label: string;
  testid: string;
  /** Of the row that shows what cannot be chosen. */
  refused(count: number, open: boolean): string;
  choose(key: string): void;
  /** What may be chosen without being listed; null: nothing of that kind was typed. */
  typed?(text: string): Option | null;
}

/**
 * A field that opens a list and filters it by what is typed: WAI-ARIA's combobox with a listbox. The focus stays in the
 * field. The list lies in the top layer, where no output area cuts it off.
 */
export class Combobox {
  readonly element: HTMLElement;
  readonly #id: string;
  readonly #with: ComboboxOptions;
  readonly #input: HTMLInputElement;
  readonly #popup: HTMLElement;
  readonly #list: HTMLElement;
  readonly #details = h("div", { class: "sv-option-details" });
  readonly #found = h("div", { class: "sv-hidden", role: "status" });
  readonly #signal: AbortSignal;

  #options: Option[] = [];
  #entries: Entry[] = [];
  #chosen = { key: "", text: "" };
  #typed = "";
  #showRefused = false;
  #active = -1;
  #drawn = 0;
  #whileOpen: AbortController | null = null;

  constructor(options: ComboboxOptions, signal: AbortSignal, describedBy: string) {
    this.#id = uniqueId(options.testid);
    this.#with = options;
    this.#signal = signal;
    const list = `${this.#id}-list`;
    this.#input = h("input", {
      type: "text",
      id: this.#id,
      class: "sv-select sv-combobox",
      role: "combobox",
      autocomplete: "off",
      spellcheck: "false",
      "aria-expanded": "false",
      "aria-controls": list,
      "aria-autocomplete": "list",
      "aria-describedby": describedBy,
      "data-testid": options.testid,
    });
    this.#list = h("div", { id: list, class: "sv-listbox", role: "listbox", "aria-label": options.label });
    this.#popup = h(
      "div",
      { class: "sv-popup", popover: "manual", hidden: true, "data-testid": `${options.testid}-list` },
      this.#list,
      this.#details,
    );
    this.element = h("div", { class: "sv-field" }, h("label", { for: this.#id }, options.label), this.#input, this.#popup, this.#found);
    this.#listen();
    signal.addEventListener("abort", () => this.#close(), { once: true });
  }

  get open(): boolean {
    return this.#whileOpen !== null;
  }

  /** Whether the name is too long for the field. */
  get cut(): boolean {
    return this.#input.scrollWidth > this.#input.clientWidth;
  }

  /** Show what there is to choose from, and what is chosen. */
  show(options: Option[], key: string, text: string, disabled: boolean): void {
    this.#chosen = { key, text };
    this.#input.readOnly = disabled;
    if (options !== this.#options) {
      this.#options = options;
      if (this.open) this.#follow();
    }
    if (!this.open && this.#input.value !== text) {
      this.#input.value = text;
      this.#input.title = text;
    }
  }

  #listen(): void {
    const input = this.#input;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.#open());
    input.addEventListener("input", () => {
      if (input.readOnly) return;
      this.#open();
      this.#typed = input.value;
      this.#filter();
    });
    input.addEventListener("keydown", (event) => this.#press(event));
    input.addEventListener("blur", () => this.#close());
    this.#popup.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => this.#take(this.#at(event.target)));
    this.#list.addEventListener("pointermove", (event) => {
      const at = this.#at(event.target);
      if (at >= 0 && at !== this.#active) this.#activate(at, false);
    });
    this.#list.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#list;
      if (scrollTop + 2 * clientHeight > scrollHeight) this.#draw(this.#drawn + ROWS);
    });
  }

  #press(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    if (!this.open) {
      if (event.key !== "Enter" && event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      this.#open();
    } else {
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity }[event.key];
      if (by !== undefined) this.#activate(reachable(this.#entries, this.#active, by), true);
      else if (event.key === "Enter") this.#take(this.#active);
      else if (event.key === "Escape") this.#close();
      else return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #open(): void {
    if (this.open || this.#input.readOnly || this.#signal.aborted) return;
    this.#whileOpen = new AbortController();
    const { signal } = this.#whileOpen;
    this.#typed = "";
    this.#showRefused = false;
    this.#popup.hidden = false;
    this.#popup.showPopover?.();
    this.#input.setAttribute("aria-expanded", "true");
    this.#input.select();
    this.#place();
    document.addEventListener("scroll", (event) => event.target !== this.#list && this.#place(), { capture: true, signal });
    window.addEventListener("resize", () => this.#place(), { signal });
    this.#filter(this.#chosen.key);
  }

  #close(): void {
    if (!this.open) return;
    this.#whileOpen?.abort();
    this.#whileOpen = null;
    if (this.#popup.isConnected) this.#popup.hidePopover?.();
    this.#popup.hidden = true;
    this.#list.replaceChildren();
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#input.value = this.#chosen.text;
    if (document.activeElement === this.#input) this.#input.select();
    setText(this.#found, "");
  }

  /** Choose an entry, or unfold what cannot be chosen. */
  #take(at: number): void {
    const entry = this.#entries[at];
    if (entry?.kind === "refused") {
      this.#showRefused = !this.#showRefused;
      this.#follow();
      this.#activate(reachable(this.#entries, this.#active, this.#showRefused ? 1 : 0), true);
    } else if (entry?.kind === "option" && !entry.option.reason) {
      this.#close();
      this.#with.choose(entry.option.key);
    }
  }

  /** The list anew, for what is typed. */
  #filter(key = ""): void {
    this.#entries = this.#listed();
    const wanted = this.#entries.findIndex((entry) => entry.kind === "option" && entry.option.key === key);
    const choosable = this.#entries.findIndex((entry) => entry.kind === "option" && !entry.option.reason);
    this.#list.replaceChildren();
    this.#list.scrollTop = 0;
    this.#drawn = 0;
    this.#draw(ROWS);
    const n = this.#entries.filter(({ kind }) => kind === "option").length;
    setText(this.#found, this.#typed ? `${n} found` : "");
    this.#activate(wanted >= 0 ? wanted : choosable >= 0 ? choosable : reachable(this.#entries, -1, 1), true);
  }

  /** The list anew, for other options, where one was in it. */
  #follow(): void {
    const before = this.#entries[this.#active];
    const top = this.#list.scrollTop;
    const drawn = this.#drawn;
    this.#entries = this.#listed();
    this.#list.replaceChildren();
    this.#drawn = 0;
    this.#draw(drawn);
    this.#list.scrollTop = top;
    const same = (entry: Entry) =>
      before?.kind === "option" && entry.kind === "option" ? entry.option.key === before.option.key : entry.kind === before?.kind;
    const at = this.#entries.findIndex(same);
    this.#activate(at >= 0 ? at : reachable(this.#entries, -1, 1), false);
  }

  #listed(): Entry[] {
    const typed = this.#with.typed?.(this.#typed.trim());
    return typed ? [{ kind: "option", option: typed }] : listed(this.#options, this.#typed, this.#showRefused);
  }

  /** Draw rows until `wanted` of them stand there. */
  #draw(wanted: number): void {
    if (this.#entries.length === 0) {
      this.#list.replaceChildren(h("div", { class: "sv-caption sv-listbox-note" }, this.#typed ? "Nothing has all these words" : "Nothing yet"));
    }
    const rows = this.#entries.slice(this.#drawn, Math.max(wanted, this.#drawn));
    this.#list.append(...rows.map((entry, i) => this.#row(entry, this.#drawn + i)));
    this.#drawn += rows.length;
  }

  #activate(at: number, scroll: boolean): void {
    if (at >= this.#drawn) this.#draw(at + ROWS);
    this.#list.children[this.#active]?.classList.remove("sv-active");
    this.#active = at;
    const row = this.#list.children[at];
    const entry = this.#entries[at];
    if (!row || !entry) {
      this.#input.removeAttribute("aria-activedescendant");
      this.#details.replaceChildren();
      return;
    }
    row.classList.add("sv-active");
    this.#input.setAttribute("aria-activedescendant", row.id);
    if (scroll) row.scrollIntoView?.({ block: "nearest" });
    this.#tell(entry);
  }

  /** Below the list: what is known of the entry that one is at. */
  #tell(entry: Entry): void {
    const option = entry.kind === "option" ? entry.option : null;
    this.#details.replaceChildren(
      ...(option?.recommended ? [h("p", {}, `Recommended: ${option.recommended}`)] : []),
      ...(option ? warnings(option) : []),
      h("dl", {}, ...(option?.details ?? []).flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)])),
    );
  }

  #row(entry: Entry, at: number): HTMLElement {
    const id = `${this.#id}-${at}`;
    if (entry.kind === "group") return h("div", { id, class: "sv-option-group", role: "presentation" }, entry.text);
    const place = { id, role: "option", "aria-setsize": this.#entries.length, "aria-posinset": at + 1, "data-at": at };
    if (entry.kind === "refused") {
      const text = this.#with.refused(entry.count, entry.open);
      return h("div", { ...place, class: "sv-option sv-option-refused", "aria-selected": "false", "data-testid": "show-refused" }, text);
    }
    const { option } = entry;
    const chosen = option.key === this.#chosen.key;
    return h(
      "div",
      {
        ...place,
        class: "sv-option",
        "aria-selected": String(chosen),
        "aria-disabled": option.reason ? "true" : undefined,
        "data-key": option.key,
        "data-testid": "option",
      },
      h("div", { class: "sv-option-head" }, h("span", { class: "sv-option-name" }, option.name), ...marks(option)),
      option.facts ? h("div", { class: "sv-caption" }, option.facts) : null,
      option.reason ? h("div", { class: "sv-caption sv-reason" }, option.reason) : null,
    );
  }

  #at(target: EventTarget | null): number {
    const row = target instanceof Element ? target.closest<HTMLElement>("[data-at]") : null;
    return row ? Number(row.dataset["at"]) : -1;
  }

  /** Below the field or, where there is more room, above it. */
  #place(): void {
    const field = this.#input.getBoundingClientRect();
    if (field.bottom < 0 || field.top > innerHeight) return this.#close();
    const below = innerHeight - field.bottom - EDGE;
    const up = below < HIGHEST / 2 && field.top - EDGE > below;
    const width = Math.min(Math.max(field.width, WIDEST), innerWidth - 2 * EDGE);
    const left = field.left + width + EDGE <= innerWidth ? field.left : field.right - width;
    Object.assign(this.#popup.style, {
      left: `${Math.max(EDGE, left)}px`,
      top: up ? "auto" : `${field.bottom + 4}px`,
      bottom: up ? `${innerHeight - field.top + 4}px` : "auto",
      width: `${width}px`,
      maxHeight: `${Math.min(HIGHEST, (up ? field.top - EDGE : below) - 4)}px`,
    });
  }
}

/** What is to be minded, a line each. */
export function warnings({ warnings }: Pick<Option, "warnings">): HTMLElement[] {
  const sentence = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1);
  return warnings.map((text) => h("p", { class: "sv-warning" }, icon("alert"), h("span", {}, sentence(text))));
}

/** Badge, star and warning sign of a row; what they mean is on hover and for screen readers. */
function marks({ recommended, isDefault, warnings }: Option): HTMLElement[] {
  const said = (text: string) => h("span", { class: "sv-hidden" }, ` (${text})`);
  const all: HTMLElement[] = [];
  if (isDefault) all.push(h("span", { class: "sv-mark", title: "Default for this main model" }, icon("star"), said("default")));
  if (recommended) all.push(h("span", { class: "sv-badge", title: recommended }, "recommended", said(recommended)));
  if (warnings.length) {
    const text = warnings.join("; ");
    all.push(h("span", { class: "sv-mark sv-mark-warning", title: text }, icon("alert"), said(text)));
  }
  return all;
}

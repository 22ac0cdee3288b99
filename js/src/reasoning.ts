import { h, setText, uniqueId } from "./dom.js";
import type { Stretch } from "./store.js";

const NAME: Record<Stretch["kind"], string> = { r: "Reasoning", o: "Reasoning", a: "Answer" };

/** The stretches of an answer that reasons, each a section of the log; without reasoning there are none. */
export class Sections {
  readonly #log: HTMLElement;
  readonly #onToggle: () => void;
  #sections: Section[] = [];

  /** `onToggle` is called when the reader has opened or closed one. */
  constructor(log: HTMLElement, onToggle: () => void) {
    this.#log = log;
    this.#onToggle = onToggle;
  }

  /** What the blocks of the last stretch stand in. */
  get body(): HTMLElement {
    return this.#sections.at(-1)?.body ?? this.#log;
  }

  clear(): void {
    this.#sections = [];
  }

  /**
   * Bring the tokens that are drawn, those before `drawn`, into the stretches that are known by now; true where some had
   * to move. Reasoning that has ended is closed if `fold`.
   */
  update(stretches: Stretch[], drawn: number, fold: boolean): boolean {
    let moved = false;
    for (const [i, stretch] of stretches.entries()) {
      if (stretch.start >= drawn) break;
      if (!this.#sections[i]) {
        this.#cut(stretch.start);
        moved = true;
      }
      this.#sections[i]?.show(stretch, fold);
    }
    return moved;
  }

  /** Begin the stretch whose first token comes next; false where it belongs to the one before. */
  enter(token: number, stretches: Stretch[], fold: boolean): boolean {
    const stretch = stretches[this.#sections.length];
    if (stretch?.start !== token) return false;
    this.#add().show(stretch, fold);
    return true;
  }

  /** The block before or after one, past what is closed. */
  beside(block: Element, step: 1 | -1): Element | null {
    const near = step === 1 ? block.nextElementSibling : block.previousElementSibling;
    let i = this.#sections.findIndex(({ body }) => body === block.parentElement);
    if (near || i < 0) return near;
    do i += step;
    while (this.#sections[i]?.open === false);
    const body = this.#sections[i]?.body;
    return (step === 1 ? body?.firstElementChild : body?.lastElementChild) ?? null;
  }

  /** Open the section that something stands in. */
  reveal(element: Element): void {
    const section = this.#sections.find(({ body }) => body.contains(element));
    if (section) section.open = true;
  }

  #add(): Section {
    const section = new Section(this.#onToggle);
    this.#sections.push(section);
    this.#log.append(section.element);
    return section;
  }

  /** Move what is drawn from a token on into a section of its own. */
  #cut(start: number): void {
    let first: Element | null = this.#log.querySelector(`[data-i="${start}"]`);
    while (first?.previousElementSibling?.matches(".x")) first = first.previousElementSibling;
    let block = first?.parentElement ?? null;
    if (block && first?.previousElementSibling) {
      const rest = block.cloneNode(false) as HTMLElement;
      for (let node: ChildNode | null = first; node; ) {
        const next: ChildNode | null = node.nextSibling;
        rest.append(node);
        node = next;
      }
      block.after(rest);
      block = rest;
    }
    const blocks: Element[] = [];
    for (let one: Element | null = block; one; one = one.nextElementSibling) blocks.push(one);
    const { body } = this.#add();
    for (const one of blocks) body.append(one);
  }
}

/** One stretch: its figures, and its tokens below them. Reasoning opens and closes. */
class Section {
  readonly element = h("div", { class: "sv-stretch" });
  readonly body = h("div", { id: uniqueId("stretch") });
  readonly #onToggle: () => void;
  #stretch: Stretch | null = null;
  #head: HTMLElement = h("p", { class: "sv-caption sv-stretch-head" });
  /** The reader has opened or closed it, and so decides. */
  #handled = false;

  constructor(onToggle: () => void) {
    this.#onToggle = onToggle;
    this.element.append(this.#head, this.body);
  }

  get open(): boolean {
    return !this.body.hidden;
  }

  set open(open: boolean) {
    this.body.hidden = !open;
    this.#head.setAttribute("aria-expanded", String(open));
  }

  show(stretch: Stretch, fold: boolean): void {
    const before = this.#stretch;
    if (stretch === before) return;
    this.#stretch = stretch;
    if (stretch.kind !== "a" && this.#head.tagName !== "BUTTON") this.#foldable();
    setText(this.#head, stretch.caption || NAME[stretch.kind]);
    if (stretch.kind === "r" && before?.kind !== "r" && fold && !this.#handled) this.open = false;
  }

  #foldable(): void {
    const button = h("button", {
      type: "button",
      class: "sv-quiet sv-stretch-head",
      "aria-expanded": "true",
      "aria-controls": this.body.id,
      "data-testid": "reasoning",
    });
    button.addEventListener("click", () => {
      this.#handled = true;
      this.open = !this.open;
      this.#onToggle();
    });
    this.#head.replaceWith(button);
    this.#head = button;
  }
}

import { h } from "./dom.js";

/**
 * One floating note inside `root` (which must be positioned). Absolute rather than fixed: containers with size
 * containment would become the frame of reference of a fixed element.
 */
export class Tooltip {
  readonly element = h("div", { class: "sv-tooltip", role: "tooltip", hidden: true });
  readonly #root: HTMLElement;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.append(this.element);
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(anchor: DOMRect, ...content: (Node | string)[]): void {
    const { element } = this;
    element.replaceChildren(...content);
    element.hidden = false;
    const frame = this.#root.getBoundingClientRect();
    const gap = 6;
    const left = Math.min(anchor.left - frame.left, frame.width - element.offsetWidth - 4);
    const below = anchor.bottom - frame.top + gap;
    const above = anchor.top - frame.top - element.offsetHeight - gap;
    const fits = anchor.bottom + gap + element.offsetHeight < (globalThis.innerHeight || Infinity);
    element.style.left = `${Math.max(4, left)}px`;
    element.style.top = `${fits || anchor.top < element.offsetHeight ? below : above}px`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}

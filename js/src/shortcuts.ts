import { h } from "./dom.js";

export interface Shortcut {
  /** With Ctrl or ⌘. */
  key: string;
  label: string;
  /** What it does when it may; a button that is disabled does nothing. */
  run: () => void;
}

/** As people read it. */
export function keysOf({ key }: Pick<Shortcut, "key">): string {
  const name = key.length === 1 ? key.toUpperCase() : key;
  return `Ctrl+${name} or ⌘+${name}`;
}

/** As `aria-keyshortcuts` has it. */
export function ariaKeys({ key }: Pick<Shortcut, "key">): string {
  const name = key.length === 1 ? key.toUpperCase() : key;
  return `Control+${name} Meta+${name}`;
}

/** Answer the keys inside `root` and nowhere else, before JupyterLab does: it listens on the document. */
export function listenForKeys(root: HTMLElement, shortcuts: Shortcut[], signal: AbortSignal): void {
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey === event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
      if (!(event.target instanceof Node) || !root.contains(event.target)) return;
      const shortcut = shortcuts.find(({ key }) => key.toLowerCase() === event.key.toLowerCase());
      if (!shortcut) return;
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) shortcut.run();
    },
    { capture: true, signal },
  );
}

/** The keys in a fold, for those who look for them. */
export function keysView(shortcuts: Shortcut[]): HTMLElement {
  const rows = shortcuts.map((one) => h("div", { class: "sv-row" }, h("dt", {}, one.label), h("dd", {}, h("kbd", {}, keysOf(one)))));
  return h("details", { class: "sv-fold sv-group", "data-testid": "keys" }, h("summary", {}, "Keys"), h("dl", { class: "sv-keys sv-caption" }, ...rows));
}

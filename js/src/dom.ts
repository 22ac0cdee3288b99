/** Building elements without markup: text only ever becomes text nodes. */

type Child = Node | string | null | undefined;

export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number | boolean | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  play: "M4 2.5v11l9-5.5z",
  stop: "M3.5 3.5h9v9h-9z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  previous: "M13 3v10L7 8zM3.5 3h2v10h-2z",
  restart: "M8 2.5V.3L4.6 3.3 8 6.2V4a4.5 4.5 0 1 1-4.5 4.5H2A6 6 0 1 0 8 2.5z",
  next: "M3 3v10l6-5zM10.5 3h2v10h-2z",
  copy: "M5 1.5h7.5V11H11V3H5zM2.5 4.5h7v10h-7zM4 6v7h4V6z",
  down: "M7.25 2h1.5v8.2l3-3 1.1 1.1L8 13.1 3.15 8.3l1.1-1.1 3 3z",
  star: "M8 1.5l2 4.3 4.7.6-3.5 3.2.9 4.7L8 12l-4.1 2.3.9-4.7L1.3 6.4 6 5.8z",
  refresh: "M13.2 3v4h-4V5.5h1.9A4 4 0 1 0 12 8.5h1.5A5.5 5.5 0 1 1 11.7 4V3z",
  close: "M3.9 2.8 8 6.9l4.1-4.1 1.1 1.1L9.1 8l4.1 4.1-1.1 1.1L8 9.1l-4.1 4.1-1.1-1.1L6.9 8 2.8 3.9z",
  plus: "M7.2 2.5h1.6v4.7h4.7v1.6H8.8v4.7H7.2V8.8H2.5V7.2h4.7z",
  edit: "M11.6 1.6 14.4 4.4 5.2 13.6 1.6 14.4 2.4 10.8zM11.6 3.7 3.8 11.5l-.3 1 1-.3 7.8-7.8z",
  wide: "M1.5 2.5h13v11h-13zM3 4v8h10V4zM10 4h1.5v8H10z",
  alert: "M8 1 15.5 14.5H.5zM7.25 6v4h1.5V6zm0 5.25v1.5h1.5v-1.5z",
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGSVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "sv-icon");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

let ids = 0;

export function uniqueId(stem: string): string {
  ids += 1;
  return `sv-${stem}-${ids}`;
}

/** Set text only where it differs, so that a quiet page stays quiet. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Call `draw` at most once per frame; stops with the signal. */
export function perFrame(draw: () => void, signal: AbortSignal): () => void {
  let frame = 0;
  signal.addEventListener("abort", () => cancelAnimationFrame(frame), { once: true });
  return () => {
    if (frame || signal.aborted) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (!signal.aborted) draw();
    });
  };
}

/** Figures change this often (ms) at most: faster than that nobody reads them. */
export const READABLE_MS = 200;

/** Call `draw` at most once every `interval` ms, and always after the last change; stops with the signal. */
export function paced(draw: () => void, interval: number, signal: AbortSignal): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return () => {
    if (timer !== undefined || signal.aborted) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        last = performance.now();
        draw();
      },
      Math.max(0, last + interval - performance.now()),
    );
  };
}

/** How long a file may take to be written before its address is taken back. */
const REVOKE_MS = 60_000;

/** Let the browser save a file. */
export function download(name: string, bytes: DataView, type: string): void {
  const url = URL.createObjectURL(new Blob([bytes as DataView<ArrayBuffer>], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_MS);
}

export function prefersReducedMotion(): boolean {
  return typeof matchMedia === "function" && matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/**
 * Keep JupyterLab's shortcuts off what has the focus inside an element. An attribute on the element itself would not do:
 * JupyterLab looks for it from the focused element upwards, and has bindings that fit the focused element (arrow keys).
 */
export function keepKeys(root: HTMLElement, signal: AbortSignal): void {
  root.addEventListener(
    "focusin",
    ({ target }) => {
      if (target instanceof Element) target.setAttribute("data-lm-suppress-shortcuts", "true");
    },
    { signal },
  );
}

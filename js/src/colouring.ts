import { h } from "./dom.js";
import type { Colour, Maybe } from "./protocol.js";

/** Surprise (bits) from which on the colour gets no stronger. */
export const MOST_BITS = 8;

interface Columns {
  round: number[];
  p: Maybe[];
  q: Maybe[];
}

/** How strongly a token is coloured, from 0 to 1; null: not at all, for there is nothing to show. */
export function shade(colour: Colour, columns: Columns, i: number): number | null {
  const p = columns.p[i] ?? null;
  switch (colour) {
    case "provenance":
      return null;
    case "round":
      return (columns.round[i] ?? 0) % 2;
    case "p":
      return p;
    case "q":
      return columns.q[i] ?? null;
    case "surprise":
      return p === null ? null : Math.min(1, -Math.log2(p) / MOST_BITS);
  }
}

/** What the shades mean. */
export function shadesKey(colour: Colour): HTMLElement[] {
  switch (colour) {
    case "provenance":
      return [];
    case "round":
      return [swatch(0, "a round"), swatch(1, "the next")];
    case "p":
      return [scale("0 %", "100 %", "main model’s p")];
    case "q":
      return [scale("0 %", "100 %", "draft’s q; none where it did not draft")];
    case "surprise":
      return [scale("0 bits", `${MOST_BITS} bits and more`, "surprise, −log₂ p: high where the main model did not expect the token")];
  }
}

function swatch(value: number, label: string): HTMLElement {
  const patch = h("span", { class: "sv-shade", "aria-hidden": "true" }, "abc");
  patch.style.setProperty("--sv-v", String(value));
  return h("li", {}, patch, label);
}

function scale(low: string, high: string, label: string): HTMLElement {
  return h("li", {}, low, h("span", { class: "sv-scale", "aria-hidden": "true" }), high, h("span", { class: "sv-scale-label" }, label));
}

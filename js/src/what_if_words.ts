import type { Figures, Unknown } from "./what_if_figures.js";

export const TEXTBOOK =
  "(1 − aᵏ⁺¹) / ((1 − a)(kc + 1)) with a = accepted / (accepted + rounds that ended in a rejection) of this text, k the draft " +
  "length and c the cost of a drafted token over a plain round. It takes every token to be accepted with the same chance, " +
  "whatever came before, and a pass over k + 1 tokens to cost no more than over one. In texts hits come in clusters, and wide " +
  "passes cost more; so it differs.";

/** Why there is no speed, and how to get it. */
export const UNKNOWN: Record<Unknown, string> = {
  costs: "Speed needs costs: sv.WhatIf(audit, {draft: sv.measure_costs(pair)}).",
  cutoff: "Speed under a cutoff needs to know what drafts say after a miss: sv.audit(…, thorough=True).",
  longest: "Costs were not measured for drafts of this length.",
};

/** Which figures are exact, which are predicted, and which are not known. */
export function sureness({ speed, exact }: Figures): string {
  const certain = "Accepted tokens and rounds are exact.";
  if (typeof speed === "string") return `${certain} ${UNKNOWN[speed]}`;
  const predicted = "Speed is predicted from measured costs; the band holds 95 % of what they allow.";
  return exact ? `${certain} ${predicted}` : `${certain} ${predicted} Every draft is taken to go on to its length.`;
}

export function times(value: number): string {
  return `${value.toFixed(2)}×`;
}

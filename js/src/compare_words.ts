import type { PartingChoice, RunInfo } from "./protocol.js";
import { count, percent, quotable } from "./words.js";

/** Whose answer it is, in a line. */
export function runWords({ main = "", draft = "", drafter, num_draft_tokens: length }: RunInfo): string {
  const drafts = draft ? [drafter === "ngram" ? draft : `draft ${draft}`, length === undefined ? "" : `draft length ${length}`] : ["no draft"];
  return [main, ...drafts].filter(Boolean).join(" · ");
}

/** How sure a main model was where the answers part. */
export function partingWords({ at, text, p, other_p, margin_logits }: PartingChoice, other: PartingChoice): string {
  if (text === null) return `It ends at token ${at.toLocaleString("en")}.`;
  const against = other_p === null || other.text === null ? "" : `, against ${percent(other_p)} for “${quotable(other.text)}”`;
  const sure = p === null ? "" : `, p ${percent(p)}${against}`;
  const margin = margin_logits === null ? "" : ` Its first choice was ${margin_logits.toFixed(2)} logits ahead of the second.`;
  return `Token ${at.toLocaleString("en")}: “${quotable(text)}”${sure}.${margin}`;
}

export function differencesWords(n: number, current: number): string {
  if (n === 0) return "No differences";
  return current < 0 ? count(n, "difference") : `Difference ${(current + 1).toLocaleString("en")} of ${n.toLocaleString("en")}`;
}

/** The head of folded reasoning: its figures, and what the other answer has to do with it. */
export function foldWords(caption: string, { differences, parting, alone }: { differences: number; parting: boolean; alone: boolean }): string {
  const n = differences === 0 ? "no differences" : count(differences, "difference");
  return [caption, alone ? "only here" : n, parting ? "the answers part here" : ""].filter(Boolean).join(" · ");
}

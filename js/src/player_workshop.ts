import type { Fate, Kind, Snapshot } from "./protocol.js";
import { between, type Timeline } from "./timeline.js";
import { quotable } from "./words.js";

/** A token of a round as it is shown beside the question. */
export interface Chip {
  text: string;
  /** What became of it; null where it closes the round. */
  fate: "a" | Fate | null;
  kind: Lowercase<Kind> | null;
}

/** One round as a question: how many of its drafted tokens will be accepted? */
export interface Question {
  round: number;
  sent: number;
  agreed: number;
  drafted: Chip[];
  /** The main model's own token; undefined where the text ended before it. */
  closing: Chip | undefined;
}

export interface Verdict {
  question: Question;
  answer: number;
  right: boolean;
}

/** Asks for the rounds that have a draft and keeps score; a round counts once. */
export class Workshop {
  on = false;
  question: Question | null = null;
  verdict: Verdict | null = null;
  right = 0;
  asked = 0;
  streak = 0;
  readonly #snapshot: Snapshot;
  readonly #timeline: Timeline;
  readonly #counted = new Set<number>();

  constructor(snapshot: Snapshot, timeline: Timeline) {
    this.#snapshot = snapshot;
    this.#timeline = timeline;
  }

  asks(round: number): boolean {
    return this.on && (this.#timeline.sent[round] ?? 0) > 0;
  }

  ask(round: number): void {
    this.question = questionOf(round, this.#snapshot, this.#timeline);
    this.verdict = null;
  }

  answer(answer: number): void {
    const { question } = this;
    if (!question) return;
    const right = answer === question.agreed;
    if (!this.#counted.has(question.round)) {
      this.#counted.add(question.round);
      this.asked += 1;
      this.right += Number(right);
      this.streak = right ? this.streak + 1 : 0;
    }
    this.verdict = { question, answer, right };
    this.question = null;
  }

  /** Nothing is asked any more; the score stays. */
  dismiss(): void {
    this.question = this.verdict = null;
  }

  /** From the beginning. */
  reset(): void {
    this.dismiss();
    this.#counted.clear();
    this.right = this.asked = this.streak = 0;
  }
}

function questionOf(round: number, { tokens, dropped }: Snapshot, timeline: Timeline): Question {
  const [from, to] = [timeline.tokens[round - 1] ?? 0, timeline.tokens[round] ?? 0];
  const accepted = between(timeline.accepted, round, round + 1);
  const kept = (tokens?.text.slice(from, from + accepted) ?? []).map((text): Chip => ({ text, fate: "a", kind: null }));
  const gone: Chip[] = [];
  for (let j = timeline.dropped[round - 1] ?? 0; j < (timeline.dropped[round] ?? 0); j++) {
    const fate = (dropped?.fate[j] ?? "d") as Fate;
    if (fate !== "u") gone.push({ text: dropped?.text[j] ?? "", fate, kind: null });
  }
  const kind = (tokens?.kind[to - 1] ?? "p").toLowerCase() as Lowercase<Kind>;
  const closing = from + accepted < to ? { text: tokens?.text[to - 1] ?? "", fate: null, kind } : undefined;
  return { round, sent: timeline.sent[round] ?? 0, agreed: timeline.agreed[round] ?? 0, drafted: [...kept, ...gone], closing };
}

export function asked({ sent }: Question): string {
  return sent === 1 ? "Will this one be accepted?" : `How many of these ${sent} will be accepted?`;
}

/** What happened, in one sentence. */
export function told({ sent, agreed, drafted, closing }: Question): string {
  const wanted = closing ? `“${quotable(closing.text)}”` : "";
  if (agreed === sent) {
    const all = sent === 1 ? "It was accepted" : `All ${sent} were accepted`;
    return closing ? `${all}, and the main model added ${wanted}.` : `${all}, and the text ended there.`;
  }
  const some = sent === 1 ? "It was refused" : agreed === 0 ? `None of the ${sent} was accepted` : `${agreed} of ${sent} ${agreed === 1 ? "was" : "were"} accepted`;
  const refused = drafted.find(({ fate }) => fate === "r");
  if (!closing || !refused) return `${some}, and the text ended there.`;
  return `${some}: the main model wanted ${wanted} instead of “${quotable(refused.text)}”.`;
}

export function scored({ right, asked: n, streak }: Workshop): string {
  if (n === 0) return "";
  return `${right} of ${n} right${streak > 1 ? `, ${streak} in a row` : ""}`;
}

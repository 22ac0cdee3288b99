import type { AuditColumns, CostColumns } from "./protocol.js";
import { costRatio, dot, replay, textbook, time, workOf, type Curves, type Replay, type Scored, type Work } from "./replay.js";

/** Tokens of the longest draft that is asked about. */
export const LONGEST = 16;
export const LENGTHS = Array.from({ length: LONGEST + 1 }, (_, length) => length);
/** In place of an answer's number: all of them. */
export const ALL = -1;
/** Of a prediction's error band, as in `specviz.lab.audit`. */
const BAND = [0.025, 0.975] as const;

export interface Asked {
  draft: number;
  length: number;
  pMin: number;
  answer: number;
}

export interface Speed {
  speedup: number;
  low: number;
  high: number;
  tokensPerSecond: number;
  plainPerSecond: number;
  /** Shares of the time. */
  drafting: number;
  verifying: number;
  other: number;
}

/** Why there is no speed: no costs; a cutoff, and what is drafted in vain not known; longer than was measured. */
export type Unknown = "costs" | "cutoff" | "longest";

export interface Figures {
  /** One per answer that is shown. */
  replays: Replay[];
  tokens: number;
  accepted: number;
  rounds: number;
  /** At most so many where `exact` is false. */
  drafted: number;
  exact: boolean;
  speed: Speed | Unknown;
  /** Where a cutoff leaves the speedup unknown: what it lies between. */
  between: [number, number] | null;
  /** The textbook formula's speedup; null where it has no meaning. */
  textbook: number | null;
}

export interface Cell {
  tokensPerRound: number;
  speedup: number | null;
}

interface Text extends Scored {
  nPrompt: number;
}

/** The audit's columns as texts to be replayed, and everything that follows from them for a setting. */
export class Outcomes {
  readonly #audit: AuditColumns;
  readonly #costs: Record<string, CostColumns>;
  /** By draft, then by answer. */
  readonly #texts: Text[][];

  constructor(audit: AuditColumns, costs: Record<string, CostColumns>) {
    this.#audit = audit;
    this.#costs = costs;
    this.#texts = audit.drafts.map((_, draft) => audit.answers.map((answer) => textOf(answer, draft)));
  }

  /** Whether speeds can be told at all under this cutoff. */
  speeds(pMin: number): boolean {
    return Object.keys(this.#costs).length > 0 && (pMin === 0 || this.#audit.thorough);
  }

  /** The draft's costs were measured up to this length; null: not at all. */
  measuredUpTo(draft: number): number | null {
    const costs = this.#costsOf(draft);
    return costs ? costs.draft.length - 1 : null;
  }

  figures({ draft, length, pMin, answer }: Asked): Figures {
    const texts = this.#chosen(draft, answer);
    const replays = texts.map((text) => replay(text, { length, pMin }));
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    const accepted = sum(replays.map((one) => sum(one.accepted)));
    const costs = this.#costsOf(draft);
    const vague = length > 0 && pMin > 0 && !this.#audit.thorough;
    const work = workAt(texts, replays);
    const speed = costs ? (vague ? "cutoff" : speedOf(costs, work, plainWork(texts))) : "costs";
    return {
      replays,
      tokens: sum(replays.map((one) => one.nTokens)),
      accepted,
      rounds: sum(replays.map((one) => one.accepted.length)),
      drafted: sum(replays.map((one) => sum(one.drafted))),
      exact: replays.every((one) => one.exact),
      speed,
      between: costs && vague ? bounds(costs, texts, length, pMin) : null,
      textbook: costs && pMin === 0 ? textbookOf(costs, replays, accepted, length) : null,
    };
  }

  /** For each draft, every length. */
  cells(pMin: number, answer: number): Cell[][] {
    const known = this.speeds(pMin);
    return this.#texts.map((_, draft) => {
      const texts = this.#chosen(draft, answer);
      const costs = known ? this.#costsOf(draft) : undefined;
      const plain = costs ? took(costs, plainWork(texts)) : null;
      return LENGTHS.map((length) => {
        const replays = texts.map((text) => replay(text, { length, pMin }));
        const rounds = replays.reduce((sum, one) => sum + one.accepted.length, 0);
        const tokens = replays.reduce((sum, one) => sum + one.nTokens, 0);
        const seconds = costs ? took(costs, workAt(texts, replays)) : null;
        return {
          tokensPerRound: rounds ? tokens / rounds : 0,
          speedup: plain !== null && seconds !== null ? plain / seconds : null,
        };
      });
    });
  }

  #chosen(draft: number, answer: number): Text[] {
    const all = this.#texts[draft] ?? [];
    return answer === ALL ? all : all.slice(answer, answer + 1);
  }

  #costsOf(draft: number): CostColumns | undefined {
    return this.#costs[this.#audit.drafts[draft] ?? ""];
  }
}

function textOf(answer: AuditColumns["answers"][number], draft: number): Text {
  const columns = answer.drafts[draft];
  if (!columns) throw new Error(`specviz: the audit has no draft ${draft}`);
  const { matches, confidence, after } = columns;
  const hundredths = (values: number[]) => values.map((value) => value / 100);
  let misses = 0;
  return {
    matches: Uint8Array.from(matches, Number),
    confidence: hundredths(confidence),
    after: after ? Array.from(matches, (one) => (one === "1" ? [] : hundredths(after[misses++] ?? []))) : null,
    limit: answer.limit,
    nPrompt: answer.n_prompt,
  };
}

function workAt(texts: Text[], replays: Replay[]): Work {
  return workOf(replays, texts.map((text) => text.nPrompt));
}

function plainWork(texts: Text[]): Work {
  return workAt(texts, texts.map((text) => replay(text, { length: 0 })));
}

function took(costs: Curves, work: Work): number | null {
  const parts = time(costs, work);
  return parts && parts.draft + parts.pass;
}

function speedOf(costs: CostColumns, work: Work, plain: Work): Speed | Unknown {
  const parts = time(costs, work);
  const plainMs = took(costs, plain);
  if (!parts || !plainMs) return "longest";
  const ms = parts.draft + parts.pass;
  const ratios = costs.resampled.map((one) => (took(one, plain) ?? NaN) / (took(one, work) ?? NaN)).sort((a, b) => a - b);
  const other = dot(work.sent, costs.other);
  const tokens = dot(plain.sent, [1]);
  return {
    speedup: plainMs / ms,
    low: percentile(ratios, BAND[0]),
    high: percentile(ratios, BAND[1]),
    tokensPerSecond: (1000 * tokens) / ms,
    plainPerSecond: (1000 * tokens) / plainMs,
    drafting: parts.draft / ms,
    verifying: (parts.pass - other) / ms,
    other: other / ms,
  };
}

/** The speedup if every draft goes on to its length after a miss, and if none goes on at all. */
function bounds(costs: Curves, texts: Text[], length: number, pMin: number): [number, number] | null {
  const plain = took(costs, plainWork(texts));
  const nothing = texts.map((text) => ({ ...text, after: Array.from({ length: text.matches.length }, () => []) }));
  const [most, least] = [texts, nothing].map((some) =>
    took(costs, workAt(some, some.map((text) => replay(text, { length, pMin })))),
  );
  return plain && most && least ? [plain / most, plain / least] : null;
}

function textbookOf(costs: Curves, replays: Replay[], accepted: number, length: number): number | null {
  const refused = replays.reduce((sum, { sent, accepted: taken }) => sum + taken.filter((n, i) => n < (sent[i] ?? 0)).length, 0);
  if (length === 0) return 1;
  return accepted + refused > 0 ? textbook(accepted / (accepted + refused), length, costRatio(costs)) : null;
}

/** As numpy's: between the two values that it falls between. */
export function percentile(sorted: number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  return below + (above - below) * (at - Math.floor(at));
}

/** One letter per token, as in a token stream, and the number of its round. */
export function provenance({ accepted, sent, nTokens }: Replay): { kind: string[]; round: Int32Array } {
  const kind: string[] = [];
  const round = new Int32Array(nTokens);
  accepted.forEach((taken, r) => {
    const from = kind.length;
    for (let i = 0; i < taken; i++) kind.push("a");
    const n = sent[r] ?? 0;
    if (kind.length < nTokens) kind.push(n === 0 ? "p" : taken < n ? "c" : "b");
    round.fill(r, from, kind.length);
  });
  return { kind, round };
}

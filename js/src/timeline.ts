import type { RoundColumns } from "./protocol.js";
import type { RoundRange } from "./selection.js";
import { count, milliseconds } from "./words.js";

/** Output tokens a second at constant pace and speed 1; the axis of rounds without times. */
export const CONSTANT_PER_SECOND = 10;

/** When each round was, and what had come by its end; columns with an entry per round. */
export interface Timeline {
  /** Seconds of decoding. */
  end: number[];
  draft: number[];
  verify: number[];
  /** Counts of everything up to the round's end. */
  tokens: number[];
  dropped: number[];
  drafted: number[];
  accepted: number[];
  /** Of the round: tokens that went to the main model, and those it agreed with. */
  sent: number[];
  agreed: number[];
}

export function noTimeline(): Timeline {
  return { end: [], draft: [], verify: [], tokens: [], dropped: [], drafted: [], accepted: [], sent: [], agreed: [] };
}

/** Append rounds. */
export function extend(timeline: Timeline, rounds: RoundColumns): void {
  const grow = (column: number[], by: number) => column.push((column.at(-1) ?? 0) + by);
  for (let i = 0; i < rounds.tokens.length; i++) {
    const of = (name: keyof RoundColumns) => rounds[name][i] ?? 0;
    grow(timeline.end, of("draft") + of("verify") + of("other"));
    grow(timeline.tokens, of("tokens"));
    grow(timeline.dropped, of("drafted") - of("accepted"));
    grow(timeline.drafted, of("drafted"));
    grow(timeline.accepted, of("accepted"));
    for (const name of ["draft", "verify", "sent", "agreed"] as const) timeline[name].push(of(name));
  }
}

/** Of the rounds from `from` up to `to`, out of a column that counts everything up to a round's end. */
export function between(column: number[], from: number, to: number): number {
  return (column[to - 1] ?? 0) - (column[from - 1] ?? 0);
}

/** Whether times were recorded. */
export function isTimed({ end }: Timeline): boolean {
  return (end.at(-1) ?? 0) > 0;
}

/** When a round ends: in seconds or, without times, at constant pace. */
export function endOf(timeline: Timeline, round: number): number {
  return isTimed(timeline) ? (timeline.end[round] ?? 0) : (timeline.tokens[round] ?? 0) / CONSTANT_PER_SECOND;
}

/** The round under way at that time; the number of rounds once all are over. */
export function roundAt(timeline: Timeline, time: number): number {
  return firstAbove((round) => endOf(timeline, round), timeline.end.length, time);
}

/** The first of `n` ascending values above a limit; `n` where none is. */
export function firstAbove(value: (i: number) => number, n: number, limit: number): number {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(middle) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One round, in a sentence. */
export function roundWords(timeline: Timeline, round: number): string {
  const { draft, verify, sent, agreed } = timeline;
  const times = `draft ${milliseconds(draft[round] ?? 0)}, verify ${milliseconds(verify[round] ?? 0)}; `;
  const fate = sent[round] ? `${agreed[round]} of ${count(sent[round] ?? 0, "drafted token")} accepted` : "no draft";
  return `Round ${round}: ${isTimed(timeline) ? times : ""}${fate}.`;
}

/** Selected rounds, in figures. */
export function rangeWords(timeline: Timeline, { from, to }: RoundRange): string {
  const tokens = between(timeline.tokens, from, to);
  const drafted = between(timeline.drafted, from, to);
  const figures = [count(tokens, "token")];
  if (drafted) figures.push(`${between(timeline.accepted, from, to).toLocaleString("en")} of ${drafted.toLocaleString("en")} drafted accepted`);
  const seconds = between(timeline.end, from, to);
  if (seconds > 0) figures.push(`${(tokens / seconds).toFixed(1)} tok/s`);
  return `${rangeName({ from, to })}: ${figures.join(", ")}`;
}

/** “Round 4”, “Rounds 4–9”: the last one included. */
export function rangeName({ from, to }: RoundRange): string {
  return to - from === 1 ? `Round ${from}` : `Rounds ${from}–${to - 1}`;
}

import type { ComparisonColumns } from "./protocol.js";

export const SIDES = ["a", "b"] as const;
export type Side = (typeof SIDES)[number];

/** Tokens per row at most, within one passage: a row is laid out as a whole, so it must stay small. */
export const ROW_TOKENS = 512;
/** After a difference of so many tokens, an equal passage of so many begins a row of its own: it stands side by side again. */
const LARGE = 8;
const WORTH = 12;

/** Tokens of one answer from `from` up to `to`, within one passage and one row. */
export interface Piece {
  from: number;
  to: number;
  /** Number of the difference they belong to; null: both answers say the same. */
  difference: number | null;
}

/** What stands side by side. */
export type CompareRow = Record<Side, Piece[]>;

/** Rows that are, in either answer, part of one stretch of reasoning or of answer: its tokens from `from` up to `to`. */
export interface CompareSection {
  from: Record<Side, number>;
  to: Record<Side, number>;
  rows: CompareRow[];
}

/**
 * Cut two aligned texts into sections and these into rows. A row ends with a line that both have, so that within it the
 * text runs on as it was written; `texts` are what the tokens show, `starts` the tokens that stretches begin with.
 */
export function sectionsOf({ a, b, equal }: Pick<ComparisonColumns, Side | "equal">, texts: Record<Side, string[]>, starts: Record<Side, number[]>): CompareSection[] {
  const builder = new Rows(texts, starts);
  [...equal].forEach((same, i) => builder.add({ a: a[i] ?? 0, b: b[i] ?? 0 }, same === "1"));
  return builder.done();
}

class Rows {
  readonly #texts: Record<Side, string[]>;
  readonly #starts: Record<Side, number[]>;
  readonly #sections: CompareSection[] = [];
  /** Where the section begins, and its rows so far. */
  #from: Record<Side, number> = { a: 0, b: 0 };
  #rows: CompareRow[] = [];
  #row: CompareRow = { a: [], b: [] };
  /** Tokens that are in rows already. */
  #at: Record<Side, number> = { a: 0, b: 0 };
  #differences = 0;

  constructor(texts: Record<Side, string[]>, starts: Record<Side, number[]>) {
    this.#texts = texts;
    this.#starts = starts;
  }

  done(): CompareSection[] {
    this.#endSection();
    return this.#sections;
  }

  /** Add the passage that ends at these tokens. */
  add(to: Record<Side, number>, same: boolean): void {
    if (SIDES.some((side) => to[side] > this.#at[side] && this.#begun(side, this.#at[side]) > this.#begun(side, this.#from[side]))) this.#endSection();
    if (same) this.#addEqual(to);
    else this.#addDifference(to);
  }

  #addDifference(to: Record<Side, number>): void {
    const from = { ...this.#at };
    const parts = Math.ceil(Math.max(...SIDES.map((side) => to[side] - from[side])) / ROW_TOKENS);
    for (let part = 1; part <= parts; part++) {
      const until = (side: Side) => from[side] + Math.floor(((to[side] - from[side]) * part) / parts);
      this.#push({ a: until("a"), b: until("b") }, this.#differences);
      if (part < parts) this.#endRow();
    }
    this.#differences += 1;
  }

  #addEqual(to: Record<Side, number>): void {
    const large = SIDES.some((side) => this.#row[side].some((piece) => piece.difference !== null && piece.to - piece.from >= LARGE));
    if (large && to.a - this.#at.a >= WORTH) this.#endRow();
    let [i, j] = [this.#at.a, this.#at.b];
    /** Characters that a is ahead of b: where it is none, both have a token's end. */
    let ahead = 0;
    while (i < to.a || j < to.b) {
      if (i < to.a && (ahead <= 0 || j >= to.b)) ahead += this.#texts.a[i++]?.length ?? 0;
      else ahead -= this.#texts.b[j++]?.length ?? 0;
      if (ahead !== 0 || i === this.#at.a || j === this.#at.b) continue;
      if (this.#texts.a[i - 1]?.endsWith("\n") || Math.max(i - this.#at.a, j - this.#at.b) >= ROW_TOKENS) {
        this.#push({ a: i, b: j }, null);
        this.#endRow();
      }
    }
    this.#push(to, null);
  }

  #push(to: Record<Side, number>, difference: number | null): void {
    if (to.a === this.#at.a && to.b === this.#at.b) return;
    for (const side of SIDES) {
      this.#row[side].push({ from: this.#at[side], to: to[side], difference });
      this.#at[side] = to[side];
    }
  }

  #endRow(): void {
    if (this.#row.a.length) this.#rows.push(this.#row);
    this.#row = { a: [], b: [] };
  }

  #endSection(): void {
    this.#endRow();
    if (this.#rows.length) this.#sections.push({ from: this.#from, to: { ...this.#at }, rows: this.#rows });
    this.#from = { ...this.#at };
    this.#rows = [];
  }

  /** How many stretches have begun with a token or before it. */
  #begun(side: Side, token: number): number {
    return this.#starts[side].filter((start) => start <= token).length;
  }
}

import { describe, expect, it } from "vitest";
import { costRatio, replay, textbook, time, workOf, type Curves, type Scored } from "../src/replay.js";
import fixture from "./fixtures/replay.json";

interface Given {
  matches: string;
  confidence: number[];
  after: number[][] | null;
  limit: number | null;
  length: number;
  p_min: number;
  n_min: number;
  n_prompt: number;
}

interface Gives {
  accepted: number[];
  sent: number[];
  drafted: number[];
  exact: boolean;
  milliseconds: number;
}

const CASES = fixture.cases as { given: Given; gives: Gives }[];
const CURVES: Curves = fixture.curves;

const scored = ({ matches, confidence, after, limit }: Given): Scored => ({ matches: Array.from(matches, Number), confidence, after, limit });

describe("the port of specviz/lab", () => {
  it("has every kind of case", () => {
    expect(CASES.length).toBeGreaterThan(50);
    for (const kind of [
      ({ given }: (typeof CASES)[number]) => given.after === null,
      ({ given }: (typeof CASES)[number]) => given.n_min > 1,
      ({ given }: (typeof CASES)[number]) => given.limit !== null && given.p_min > 0,
      ({ gives }: (typeof CASES)[number]) => gives.drafted.some((n, i) => n > (gives.sent[i] ?? 0)),
    ]) {
      expect(CASES.filter(kind).length).toBeGreaterThan(5);
    }
  });

  it.each(CASES.map((one, i) => [i, one] as const))("replays case %i as Python does, and says what it takes", (_, { given, gives }) => {
    const found = replay(scored(given), { length: given.length, pMin: given.p_min, nMin: given.n_min });
    const { milliseconds, ...rounds } = gives;
    expect(found).toEqual({ ...rounds, nTokens: given.matches.length });
    const took = time(CURVES, workOf([found], [given.n_prompt]));
    expect((took?.draft ?? NaN) + (took?.pass ?? NaN)).toBeCloseTo(milliseconds, 5);
  });

  it("adds texts up", () => {
    const some = CASES.slice(0, 5);
    const replays = some.map(({ given }) => replay(scored(given), { length: given.length, pMin: given.p_min, nMin: given.n_min }));
    const all = time(CURVES, workOf(replays, some.map(({ given }) => given.n_prompt)));
    expect((all?.draft ?? NaN) + (all?.pass ?? NaN)).toBeCloseTo(some.reduce((sum, { gives }) => sum + gives.milliseconds, 0), 5);
  });

  it("has the textbook formula", () => {
    expect(costRatio(CURVES)).toBeCloseTo(fixture.cost_ratio, 9);
    for (const [alpha = 0, k = 0, c = 0, value = 0] of fixture.textbook) expect(textbook(alpha, k, c)).toBeCloseTo(value, 12);
  });
});

it("knows no time of drafts longer than were measured", () => {
  const text = { matches: new Array<number>(40).fill(1), confidence: [], after: null, limit: null };
  expect(time({ ...CURVES, draft: [0, 1, 2] }, workOf([replay(text, { length: 3 })], [1]))).toBeNull();
});

it("does without continuations only where nothing depends on them", () => {
  const text = { matches: [1, 0], confidence: [1, 1], after: null, limit: null };
  expect(() => replay(text, { length: 4, nMin: 2 })).toThrow("continuations");
  expect(replay(text, { length: 4, nMin: 1 }).accepted).toEqual([1]);
});

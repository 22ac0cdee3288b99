import { describe, expect, it } from "vitest";
import { Decimator } from "../src/decimator.js";

function fed(n: number, capacity = 1000): Decimator<number> {
  const decimator = new Decimator<number>(capacity);
  for (let i = 0; i < n; i++) decimator.push(i);
  return decimator;
}

describe("Decimator", () => {
  it("keeps everything while it fits", () => {
    expect(fed(999).rows()).toEqual(Array.from({ length: 999 }, (_, i) => i));
    expect(fed(999).stride).toBe(1);
  });

  it.each([0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 1001, 4096])("stays within 8 rows and ends with the newest of %i", (n) => {
    const rows = fed(n, 8).rows();
    expect(rows.length).toBeLessThanOrEqual(8);
    expect(rows.at(-1)).toBe(n === 0 ? undefined : n - 1);
    expect(rows.length).toBeGreaterThanOrEqual(Math.min(n, 4));
  });

  it("spreads rows evenly: all multiples of one power of two, and the newest", () => {
    const decimator = fed(20_000);
    const rows = decimator.rows();
    const steps = new Set(rows.slice(1, -1).map((row, i) => row - (rows[i] ?? 0)));
    expect(rows[0]).toBe(0);
    expect([...steps]).toEqual([decimator.stride]);
    expect(Math.log2(decimator.stride) % 1).toBe(0);
    expect(rows.length).toBeGreaterThan(500);
    expect(rows.length).toBeLessThanOrEqual(1000);
  });

  it("never shows a row twice", () => {
    for (let n = 1; n < 200; n++) {
      const rows = fed(n, 16).rows();
      expect(new Set(rows).size).toBe(rows.length);
    }
  });

  it("forgets on clear", () => {
    const decimator = fed(5000, 16);
    decimator.clear();
    expect(decimator.rows()).toEqual([]);
    decimator.push(1);
    expect(decimator.rows()).toEqual([1]);
    expect(decimator.stride).toBe(1);
  });

  it("refuses a capacity that cannot hold first, newest and something between", () => {
    expect(() => new Decimator(3)).toThrow(RangeError);
  });
});

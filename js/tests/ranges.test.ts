import { describe, expect, it } from "vitest";
import { doubled, FIRST_X, step } from "../src/ranges.js";

describe("ranges", () => {
  it("x doubles until the last token fits", () => {
    expect(doubled(FIRST_X, 10)).toBe(64);
    expect(doubled(64, 64)).toBe(64);
    expect(doubled(64, 65)).toBe(128);
    expect(doubled(64, 1000)).toBe(1024);
    expect(doubled(500, 501)).toBe(1000);
  });

  it.each([
    [0.3, 0.3],
    [1.02, 1.5],
    [7.9, 8],
    [8.1, 10],
    [84, 100],
    [101, 150],
    [0, 1],
    [Infinity, 1],
  ])("the step that holds %d is %d", (value, expected) => expect(step(value)).toBe(expected));
});

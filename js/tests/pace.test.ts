import { expect, it, vi } from "vitest";
import { paced } from "../src/dom.js";

it("paced draws seldom, but always after the last change", () => {
  vi.useFakeTimers();
  const draw = vi.fn();
  const controller = new AbortController();
  const changed = paced(draw, 200, controller.signal);
  changed();
  vi.advanceTimersByTime(0);
  expect(draw).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 30; i++) {
    changed();
    vi.advanceTimersByTime(33);
  }
  expect(draw.mock.calls.length).toBeLessThanOrEqual(6);
  changed();
  vi.advanceTimersByTime(200);
  const { length } = draw.mock.calls;
  vi.advanceTimersByTime(1000);
  expect(draw).toHaveBeenCalledTimes(length);
  changed();
  controller.abort();
  vi.advanceTimersByTime(1000);
  expect(draw).toHaveBeenCalledTimes(length);
});

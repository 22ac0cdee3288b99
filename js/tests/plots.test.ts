import Plotly from "plotly.js-basic-dist-min";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CurvePlot, MAX_POINTS } from "../src/plots.js";
import { Store } from "../src/store.js";
import { batch, curves, runState } from "./fakes.js";

let store: Store;
let plot: CurvePlot;
let controller: AbortController;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  store = new Store(() => undefined);
  controller = new AbortController();
  plot = new CurvePlot("throughput", store, controller.signal);
  document.body.append(plot.element);
  await vi.waitFor(() => expect(Plotly.newPlot).toHaveBeenCalled());
  await vi.advanceTimersByTimeAsync(200);
});

afterEach(() => controller.abort());

const animated = () => vi.mocked(Plotly.animate).mock.calls;
const reacted = () => vi.mocked(Plotly.react).mock.calls;
const range = (n: number) => Array.from({ length: n }, (_, i) => 3 * (i + 1));

describe("CurvePlot", () => {
  it("sets everything once at the start of a run, animates while it lasts, and sets everything at its end", async () => {
    store.receive(batch(1, { reset: true, state: runState("generating"), curves: curves([3], 40) }));
    await vi.advanceTimersByTimeAsync(150);
    expect([reacted().length, animated().length]).toEqual([1, 0]);
    store.receive(batch(2, { curves: curves([6], 41) }));
    await vi.advanceTimersByTimeAsync(150);
    expect([reacted().length, animated().length]).toEqual([1, 1]);
    store.receive(batch(3, { state: runState("finished") }));
    await vi.advanceTimersByTimeAsync(500);
    expect([reacted().length, animated().length]).toEqual([2, 1]);
    expect(reacted()[1]?.[2]).toMatchObject({ xaxis: { range: [0, 6] } });
    await vi.advanceTimersByTimeAsync(5000);
    expect([reacted().length, animated().length]).toEqual([2, 1]);
  });

  it("draws at most ten times a second and never redraws while live", async () => {
    store.receive(batch(1, { reset: true, state: runState("generating") }));
    await vi.advanceTimersByTimeAsync(150);
    for (let i = 0; i < 60; i++) {
      store.receive(batch(2 + i, { curves: curves([3 * (i + 1)], 40) }));
      await vi.advanceTimersByTimeAsync(33);
    }
    expect(animated().length).toBeGreaterThan(15);
    expect(animated().length).toBeLessThanOrEqual(21);
    for (const call of animated()) expect(call[2]).toMatchObject({ frame: { redraw: false } });
  });

  it("doubles its x range and steps its y range when they are exceeded", async () => {
    store.receive(batch(1, { reset: true, state: runState("generating") }));
    await vi.advanceTimersByTimeAsync(150);
    store.receive(batch(2, { curves: curves([65], 84) }));
    await vi.advanceTimersByTimeAsync(150);
    expect(animated().at(-1)?.[1].layout).toEqual({ xaxis: { range: [0, 128] }, yaxis: { range: [0, 100] } });
    store.receive(batch(3, { curves: curves([66], 60) }));
    await vi.advanceTimersByTimeAsync(150);
    expect(animated().at(-1)?.[1].layout).toEqual({ xaxis: { range: [0, 128] }, yaxis: { range: [0, 100] } });
  });

  it("never holds more than a thousand points, and says how many it shows", async () => {
    store.receive(batch(1, { reset: true, state: runState("finished"), curves: curves(range(7000), 50) }));
    await vi.advanceTimersByTimeAsync(500);
    const drawn = reacted().at(-1)?.[1][0]?.x ?? [];
    expect(drawn.length).toBeLessThanOrEqual(MAX_POINTS);
    expect(drawn.length).toBeGreaterThan(MAX_POINTS / 2);
    expect(drawn.at(-1)).toBe(21_000);
    expect(plot.element.dataset["points"]).toBe(String(drawn.length));
  });

  it("starts again with a new run and goes on with a continued one", async () => {
    store.receive(batch(1, { reset: true, state: runState("finished"), curves: curves(range(100), 50) }));
    await vi.advanceTimersByTimeAsync(500);
    store.receive(batch(2, { run: 2, state: runState("generating"), curves: curves([303], 50) }));
    await vi.advanceTimersByTimeAsync(500);
    expect(plot.element.dataset["points"]).toBe("101");
    store.receive(batch(3, { run: 3, reset: true, state: runState("generating"), curves: curves([3], 50) }));
    await vi.advanceTimersByTimeAsync(500);
    expect(plot.element.dataset["points"]).toBe("1");
  });

  it("takes the theme's change into account, and gives everything back", async () => {
    document.body.dataset["jpThemeLight"] = "false";
    await vi.advanceTimersByTimeAsync(0);
    await vi.advanceTimersByTimeAsync(500);
    expect(reacted().length).toBe(1);
    controller.abort();
    expect(Plotly.purge).toHaveBeenCalledTimes(1);
    store.receive(batch(1, { reset: true, curves: curves([3]) }));
    await vi.advanceTimersByTimeAsync(500);
    expect(reacted().length).toBe(1);
  });

  it("says when nothing was measured, but only once the run is over", async () => {
    const note = plot.element.querySelector<HTMLElement>(".sv-plot-note");
    store.receive(batch(1, { reset: true, state: runState("generating"), curves: curves([1], null) }));
    await vi.advanceTimersByTimeAsync(200);
    expect(note?.hidden).toBe(true);
    store.receive(batch(2, { state: runState("finished") }));
    await vi.advanceTimersByTimeAsync(200);
    expect(note?.hidden).toBe(false);
  });
});

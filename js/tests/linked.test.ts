import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mountPart, roundRow, statsTable, tokenStream } from "../src/parts.js";
import { CurvePlot } from "../src/plots.js";
import { positionsOf } from "../src/positions.js";
import type { Content, Part, RoundColumns } from "../src/protocol.js";
import { barsOf, LEAST_WIDTH } from "../src/round_strip.js";
import { Selection } from "../src/selection.js";
import { Store } from "../src/store.js";
import { extend, noTimeline, rangeWords, type Timeline } from "../src/timeline.js";
import { Tiles } from "../src/tiles.js";
import { batch, byId, curves, FakeModel, nextFrame, runState } from "./fakes.js";

/** The history of `tests/trace/test_stats.py`: bonus, correction, one of them with a token unsent, plain, ended inside. */
const ROUNDS: RoundColumns = {
  draft: [0.1, 0.1, 0.1, 0.1, 0.1],
  verify: [0.3, 0.3, 0.3, 0.3, 0.3],
  other: [0.1, 0.1, 0.1, 0.1, 0.1],
  drafted: [4, 4, 3, 1, 3],
  sent: [4, 4, 2, 0, 3],
  accepted: [4, 1, 0, 0, 2],
  agreed: [4, 1, 0, 0, 3],
  tokens: [5, 2, 1, 1, 2],
};

function timelineOf(rounds: RoundColumns): Timeline {
  const timeline = noTimeline();
  extend(timeline, rounds);
  return timeline;
}

/** Five rounds of eleven tokens, their dropped ones, curves and statistics. */
function content(): Content {
  const round = ROUNDS.tokens.flatMap((n, i) => Array.from({ length: n }, () => i));
  const text = round.map((_, i) => ` t${i}`);
  return {
    tokens: { text, kind: "aaaabaccpaa", round, p: text.map(() => 0.9), q: text.map(() => 0.5) },
    dropped: { at: [6, 7], text: [" x", " y"], fate: "rr", round: [1, 2], q: [0.2, 0.2], p: [0.1, 0.1] },
    curves: curves([5, 7, 8, 9, 11]),
    rounds: ROUNDS,
    stats: [
      { key: "draft_acceptance_rate", label: "Acceptance rate", value: "46.7 %", help: "Ours." },
      { key: "mean_acceptance_length", label: "Acceptance length", value: "2.75", help: "Ours." },
    ],
    metrics: { vllm: ["2.75", null], textbook: ["0.778"] },
    metric_words: {
      vllm: [
        { key: "mean", label: "Mean acceptance length", help: "Theirs.", tile: "mean_acceptance_length" },
        { key: "absent", label: "Absent", help: "Never.", tile: "" },
      ],
      textbook: [{ key: "alpha", label: "α", help: "Chance.", tile: "draft_acceptance_rate" }],
    },
    state: runState("finished"),
  };
}

describe("a selection", () => {
  it("moves, is drawn by its head, and stays inside", () => {
    const selection = new Selection();
    selection.step(-1, 5, false);
    expect(selection.range).toEqual({ from: 4, to: 5 });
    selection.step(-1, 5, true);
    selection.step(-1, 5, true);
    expect(selection.range).toEqual({ from: 2, to: 5 });
    selection.step(1, 5, false);
    expect(selection.range, "there is no room").toEqual({ from: 2, to: 5 });
    selection.step(-1, 5, false);
    for (let i = 0; i < 4; i++) selection.step(1, 5, true);
    expect(selection.range, "drawn over its anchor").toEqual({ from: 3, to: 5 });
    selection.clear();
    selection.step(1, 0, false);
    expect(selection.range).toBeNull();
  });

  it("tells of changes alone", () => {
    const selection = new Selection();
    const listener = vi.fn();
    selection.subscribe(listener, new AbortController().signal);
    selection.set(1, 3);
    selection.set(1, 3);
    selection.clear();
    selection.clear();
    expect(listener).toHaveBeenCalledTimes(2);
  });

  it("ends with its run, not with a resync", () => {
    const store = new Store(() => undefined);
    store.receive(batch(1, { reset: true, ...content() }));
    store.selection.set(1, 2);
    store.receive({ type: "snapshot", seq: 5, run: 1, ...content() });
    expect(store.selection.range).toEqual({ from: 1, to: 3 });
    store.receive(batch(6, { run: 2, reset: true }));
    expect(store.selection.range).toBeNull();
    store.selection.set(0);
    store.receive({ type: "snapshot", seq: 8, run: 3, ...content() });
    expect(store.selection.range).toBeNull();
  });
});

describe("figures of rounds", () => {
  it("are counted by position as Python counts them", () => {
    const timeline = timelineOf(ROUNDS);
    expect(positionsOf(timeline, { from: 0, to: 5 })).toEqual({ drafts: 4, accepted: [3, 2, 1, 1], compared: [4, 3, 1, 1] });
    expect(positionsOf(timeline, { from: 1, to: 4 })).toEqual({ drafts: 2, accepted: [1, 0, 0, 0], compared: [2, 1, 0, 0] });
    expect(positionsOf(timeline, { from: 3, to: 4 })).toEqual({ drafts: 0, accepted: [], compared: [] });
  });

  it("are told in a sentence", () => {
    const timeline = timelineOf(ROUNDS);
    expect(rangeWords(timeline, { from: 0, to: 5 })).toBe("Rounds 0–4: 11 tokens, 7 of 15 drafted accepted, 4.4 tok/s");
    expect(rangeWords(timeline, { from: 2, to: 3 })).toBe("Round 2: 1 token, 0 of 3 drafted accepted, 2.0 tok/s");
  });

  it("stand together where they are narrow, in at most four hundred bars", () => {
    expect(barsOf(timelineOf(ROUNDS), 5).map(({ left, right }) => [left, right])).toEqual([0, 1, 2, 3, 4].map((i) => [expect.closeTo(100 * i), expect.closeTo(100 * (i + 1))]));
    const many = Object.fromEntries(Object.entries(ROUNDS).map(([name, column]) => [name, Array.from({ length: 20_000 }, (_, i) => column[i % 5])])) as RoundColumns;
    const bars = barsOf(timelineOf(many), 10_000);
    expect(bars.length).toBeLessThanOrEqual(1000 / LEAST_WIDTH);
    expect(bars.at(-1)?.to).toBe(20_000);
    expect(bars.every(({ from }, i) => from === (bars[i - 1]?.to ?? 0))).toBe(true);
  });
});

describe("linked views", () => {
  let store: Store;
  let root: HTMLElement;
  let controller: AbortController;
  let model: FakeModel;

  beforeEach(async () => {
    store = new Store(() => undefined);
    store.receive(batch(1, { reset: true, ...content() }));
    controller = new AbortController();
    const { signal } = controller;
    model = new FakeModel({ metrics: "specviz" });
    root = document.createElement("div");
    root.append(
      tokenStream(store, { signal }),
      roundRow(store, signal),
      new CurvePlot("acceptance", store, signal).element,
      statsTable(store, { model: model.as(), signal }),
    );
    document.body.append(root);
    for (const brush of root.querySelectorAll(".sv-brush")) brush.getBoundingClientRect = () => new DOMRect(0, 0, 500, 50);
    await nextFrame();
  });

  afterEach(() => controller.abort());

  const strip = (name: Part) => byId(root, name).querySelector<HTMLElement>(".sv-strip")!;
  const band = (name: string) => byId(root, name).querySelector<HTMLElement>(".sv-band")!;
  const place = (name: string) => [Number.parseFloat(band(name).style.left), Number.parseFloat(band(name).style.width)].map(Math.round);
  const marked = () => [...root.querySelectorAll<HTMLElement>(".sv-selected")].map((one) => one.textContent);

  async function drag(surface: Element, from: number, to: number) {
    const at = (type: string, clientX: number) => surface.dispatchEvent(new MouseEvent(type, { clientX, bubbles: true, button: 0 }));
    at("pointerdown", from);
    at("pointermove", to);
    at("pointerup", to);
    await nextFrame();
  }

  async function press(element: Element, key: string, shiftKey = false) {
    const event = new KeyboardEvent("keydown", { key, shiftKey, bubbles: true, cancelable: true });
    element.dispatchEvent(event);
    await nextFrame();
    return event.defaultPrevented;
  }

  it("all follow a drag over the time of rounds", async () => {
    await drag(strip("timeline"), 120, 280);
    expect(store.selection.range).toEqual({ from: 1, to: 3 });
    expect(marked()).toEqual([" t5", " x", " t6", " y", " t7"]);
    expect(byId(root, "stream").classList.contains("sv-selecting")).toBe(true);
    expect(place("timeline")).toEqual([20, 40]);
    expect(place("accepted")).toEqual([20, 40]);
    expect(place("plot-acceptance"), "tokens 5 to 8 of 11, or of the axis").toEqual([Math.round(500 / 11), Math.round(300 / 11)]);
    expect(byId(root, "selection").textContent).toBe("Rounds 1–2: 3 tokens, 1 of 7 drafted accepted, 3.0 tok/s");
    expect(strip("timeline").getAttribute("aria-valuetext")).toContain("Rounds 1–2");
    expect(byId(root, "positions").querySelector("table")?.textContent).toContain("1 of 2 (50.0 %)");
    expect(byId(root, "positions").querySelectorAll(".sv-pos b")).toHaveLength(8);
    byId(root, "clear-selection").click();
    await nextFrame();
    expect([marked(), band("timeline").hidden, byId(root, "selection").textContent]).toEqual([[], true, ""]);
    expect(byId(root, "positions").querySelectorAll(".sv-pos b")).toHaveLength(0);
  });

  it("follow a drag over a curve, and a click there selects none", async () => {
    const area = byId(root, "plot-acceptance").querySelector(".sv-plot-area")!;
    await drag(area, 0, 300);
    expect(store.selection.range, "tokens 0 to 6.6").toEqual({ from: 0, to: 2 });
    await drag(area, 100, 101);
    expect(store.selection.range).toBeNull();
    await drag(area, 0, 300);
    expect(await press(byId(root, "plot-acceptance"), "Escape")).toBe(true);
    expect(store.selection.range).toBeNull();
  });

  it("follow the keys", async () => {
    const element = strip("accepted");
    expect(await press(element, "Escape"), "nothing to clear").toBe(false);
    for (const [key, shift] of [["ArrowRight", false], ["ArrowRight", false], ["ArrowRight", true]] as const) await press(element, key, shift);
    expect(store.selection.range).toEqual({ from: 1, to: 3 });
    expect(await press(element, "Escape")).toBe(true);
    expect(store.selection.range).toBeNull();
    await drag(element, 250, 250);
    expect(store.selection.range, "a click selects one").toEqual({ from: 2, to: 3 });
  });

  it("follow what is selected of the text, and let it go with a click there", async () => {
    const text = (i: number) => root.querySelector(`[data-i="${i}"]`)!.firstChild!;
    getSelection()?.setBaseAndExtent(text(6), 1, text(9), 2);
    document.dispatchEvent(new Event("selectionchange"));
    await nextFrame();
    await nextFrame();
    expect(store.selection.range).toEqual({ from: 1, to: 5 });
    expect(getSelection()?.isCollapsed, "it can still be copied").toBe(false);
    getSelection()?.collapse(text(2), 1);
    document.dispatchEvent(new Event("selectionchange"));
    await nextFrame();
    expect(store.selection.range).toBeNull();
  });

  it("take Shift and arrows in the text from the token on that the keys are at", async () => {
    const log = byId(root, "stream");
    await press(log, "ArrowLeft");
    await press(log, "ArrowLeft", true);
    expect(store.selection.range).toEqual({ from: 3, to: 5 });
    await press(log, "Escape");
    expect(store.selection.range).toBeNull();
  });

  it("mark what is drawn later", async () => {
    store.selection.set(4, 6);
    store.receive(batch(2, { tokens: { text: [" new"], kind: "p", round: [5], p: [null], q: [null] } }));
    await nextFrame();
    expect(marked()).toEqual([" t9", " t10", " new"]);
  });

  it("tell statistics and headline figures in the names asked for", async () => {
    const tiles = new Tiles(store, controller.signal);
    const rows = () => [...root.querySelectorAll(".sv-table tr")].map((row) => [row.querySelector(".sv-term")?.textContent, row.querySelector("td")?.textContent]);
    const labels = () => [...tiles.element.querySelectorAll(".sv-tile-label")].map(({ textContent }) => textContent);
    model.change("metrics", "vllm");
    tiles.show("vllm");
    expect(rows()).toEqual([["Mean acceptance length", "2.75"]]);
    expect(labels()).toEqual(["Tokens/s", "Acceptance rate", "Mean acceptance length", "Speedup"]);
    model.change("metrics", "textbook");
    tiles.show("textbook");
    expect(rows()).toEqual([["α", "0.778"]]);
    expect([labels()[1], byId(tiles.element, "tile-acceptance").querySelector(".sv-value")?.textContent]).toEqual(["α", "0.778"]);
    model.change("metrics", "specviz");
    expect(rows()).toHaveLength(2);
  });

  it("are there as parts, and without rounds", () => {
    const empty = new Store(() => undefined);
    for (const part of ["timeline", "accepted", "positions"] as const) {
      const el = document.createElement("div");
      mountPart(part, empty, { el, signal: controller.signal });
      expect(byId(el, part).tagName).toBe("FIGURE");
    }
  });
});

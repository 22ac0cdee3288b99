import type { Experimental, Host } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RESYNC_DELAY_MS, RESYNC_RETRY_MS } from "../src/in_order.js";
import feed from "../src/index.js";
import type { FeedTraits, HeatColumns, LaneColumns, RaceMessage, RacePhase, RaceRun } from "../src/protocol.js";
import { RaceStore } from "../src/race_track_store.js";
import { lastBefore } from "../src/race_track_lanes.js";
import { sureness } from "../src/race_track_words.js";
import { byId, FakeModel } from "./fakes.js";

const HEATS: HeatColumns = {
  pair: "BIG with SMALL",
  prompt: ["First <b>", "Second"],
  category: ["", "code"],
  ratio: [null, null],
  parting: [null, null],
  tie: [null, null],
  interval: null,
  done: 0,
  verdict: "",
};

const RUN: RaceRun = { prompt: 0, serial: 1, way: "speculative", number: 1, of: 2, live: true };

function message(seq: number, phase: RacePhase, more: Partial<RaceMessage> = {}): RaceMessage {
  const running = ["loading", "warming", "racing"].includes(phase);
  const state = { phase, message: "", detail: "", can_start: !running && phase !== "stopping", can_stop: running };
  return { type: "race", seq, whole: seq === 1, state, run: RUN, lanes: {}, speedup: null, ...(seq === 1 ? { heats: HEATS } : {}), ...more };
}

/** A run whose every round takes a tenth of a second. */
function lane(serial: number, kinds: string[], from = 0, text = "x"): LaneColumns {
  const seconds = kinds.map((_, i) => (from + i + 1) / 10);
  let n = from;
  const count = kinds.map((kind) => (n += kind.length));
  return { serial, seconds, count, speed: seconds.map((at, i) => (count[i] ?? 0) / at), text: [...kinds.join("")].map(() => text), kind: kinds.join("") };
}

let model: FakeModel;
let root: HTMLElement;
let controller: AbortController;

async function open(snapshot: RaceMessage | Record<string, never> = {}): Promise<void> {
  model = new FakeModel({ view: "race", snapshot });
  controller = new AbortController();
  const { signal } = controller;
  const widget = feed();
  const experimental = {} as Experimental;
  await widget.initialize({ model: model.as<FeedTraits>(), signal, experimental });
  root = document.createElement("div");
  document.body.append(root);
  await widget.render({ model: model.as<FeedTraits>(), el: root, signal, host: {} as Host, experimental });
}

/** Tell it, and let the page draw. */
function tell(...messages: RaceMessage[]): void {
  for (const one of messages) model.emit("msg:custom", one);
  vi.advanceTimersByTime(40);
}

const blocks = (way: string) => [...byId(root, `lane-${way}`).querySelectorAll<HTMLElement>(".sv-race-blocks i")];
const kinds = (way: string) => blocks(way).map((one) => one.dataset["kind"]).join("");
const words = (way: string) => byId(root, `lane-${way}`).textContent ?? "";
const badge = (way: string) => byId(root, `lane-${way}`).dataset["badge"];
const status = () => byId(root, "race-status").textContent;
const PLAIN: RaceRun = { ...RUN, serial: 2, way: "plain" };

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "cancelAnimationFrame", "performance"] });
  await open();
});

afterEach(() => {
  controller.abort();
  vi.unstubAllGlobals();
});

describe("the buttons", () => {
  it("ask the kernel once, until it answers with another phase", () => {
    const start = byId(root, "race-start") as HTMLButtonElement;
    start.click();
    start.click();
    expect(model.sent()).toEqual([{ type: "start" }]);
    expect(start.disabled).toBe(true);
    tell(message(1, "loading"));
    expect(status()).toBe("Loading the models");
    const stop = byId(root, "race-stop") as HTMLButtonElement;
    expect([start.disabled, stop.disabled]).toEqual([true, false]);
    stop.click();
    tell(message(2, "loading"));
    expect(stop.disabled).toBe(true);
    tell(message(3, "stopped"));
    expect([start.disabled, stop.disabled, status()]).toEqual([false, true, "Stopped after 0 of 2 prompts"]);
  });

  it("pass the focus to each other, where the keys go", () => {
    const [start, stop] = [byId(root, "race-start"), byId(root, "race-stop")];
    start.focus();
    start.click();
    tell(message(1, "loading"));
    expect(document.activeElement).toBe(stop);
    tell(message(2, "finished"));
    expect(document.activeElement, "that was not pressed").toBe(stop);
  });

  it("have keys", () => {
    byId(root, "race-start").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
    expect(model.sent()).toEqual([{ type: "start" }]);
  });

  it("may be pressed again when the kernel does not answer", () => {
    byId(root, "race-start").click();
    vi.advanceTimersByTime(10_000);
    expect((byId(root, "race-start") as HTMLButtonElement).disabled).toBe(false);
  });
});

describe("the lanes", () => {
  it("grow with what comes, a block per token, named after what proposed it", () => {
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["aac", "aaaab"]) } }));
    tell(message(2, "racing", { lanes: { speculative: lane(1, ["c"], 8) } }));
    expect(kinds("speculative")).toBe("aacaaaabc");
    expect(words("speculative")).toContain("9 tokens");
    expect([badge("speculative"), badge("plain")]).toEqual(["live", ""]);
    const [first, , third] = blocks("speculative");
    expect(Number(first?.style.getPropertyValue("--sv-span"))).toBeCloseTo(0.1 / 3, 5);
    expect(Number(third?.style.getPropertyValue("--sv-at"))).toBeCloseTo(0.2 / 3, 5);
    expect(status()).toBe("Prompt 1 of 2, with draft, run 1 of 2");
  });

  it("are replayed in step with the lane that grows", () => {
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["aac", "ac", "ac", "c"]) } }));
    tell(message(2, "racing", { run: PLAIN, lanes: { plain: lane(2, ["p"]) } }));
    tell(message(3, "racing", { run: PLAIN, lanes: { plain: lane(2, ["p"], 1) } }));
    expect(kinds("speculative")).toHaveLength(8);
    expect([badge("plain"), badge("speculative")]).toEqual(["live", "replay"]);
    expect(words("plain")).toContain("2 tokens");
    expect(words("speculative")).toContain("5 tokens");
    vi.advanceTimersByTime(300);
    expect(words("speculative")).toContain("8 tokens");
    expect(badge("speculative")).toBe("");
    expect(words("plain"), "nothing is made up of the lane that grows").toContain("2 tokens");
  });

  it("are both replayed while the draft is loaded but never asked", () => {
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["ac", "ac", "c"]) } }));
    tell(message(2, "racing", { run: PLAIN, lanes: { plain: lane(2, ["p", "p", "p", "p", "p"]) } }));
    tell(message(3, "racing", { run: { ...RUN, serial: 3, way: "length 0" } }));
    expect([badge("plain"), badge("speculative")]).toEqual(["replay", "replay"]);
    expect(status()).toContain("loaded but never asked");
    vi.advanceTimersByTime(600);
    expect(words("plain")).toContain("5 tokens");
  });

  it("are drawn at once where motion is to be reduced", () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener: () => undefined }));
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["aac", "ac", "c"]) } }));
    tell(message(2, "racing", { run: PLAIN, lanes: { plain: lane(2, ["p"]) } }));
    expect(words("speculative")).toContain("6 tokens");
    expect(badge("speculative")).toBe("");
  });

  it("begin anew with the next run of their way, and with the next prompt", () => {
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["aac"]) } }));
    tell(message(2, "racing", { run: { ...RUN, serial: 6, number: 2 }, lanes: { speculative: lane(6, ["c"]) } }));
    expect(kinds("speculative")).toBe("c");
    tell(message(3, "warming", { run: { ...RUN, prompt: 1, serial: 0, way: null, live: false } }));
    expect(kinds("speculative")).toBe("");
    expect(status()).toBe("Prompt 2 of 2, warming up");
  });

  it("end with the last words, which are text whatever they say", () => {
    tell(message(1, "racing", { lanes: { speculative: lane(1, ["ac"], 0, "<img src=x>\n") } }));
    expect(root.querySelector("img")).toBeNull();
    expect(byId(root, "lane-speculative").querySelector(".sv-race-said")?.textContent).toBe("<img src=x>↵<img src=x>↵");
  });
});

describe("what may be said", () => {
  it("stands as a status, with the speedup, its interval and each prompt's ratio", () => {
    tell(message(1, "racing", { speedup: 1.234 }));
    vi.advanceTimersByTime(200);
    expect(byId(root, "race-speedup").textContent).toBe("1.23×");
    const done: HeatColumns = { ...HEATS, ratio: [1.3, 1.2], interval: [1.249, 1.1, 1.4], done: 2, verdict: "faster: 1.25x, 95 % CI 1.10-1.40" };
    tell(message(2, "finished", { speedup: 1.249, heats: done }));
    const verdict = byId(root, "race-verdict");
    expect([verdict.getAttribute("role"), verdict.textContent]).toEqual(["status", "Faster: 1.25x, 95 % CI 1.10-1.40"]);
    expect(root.textContent).toContain("95 % interval 1.10× to 1.40×, over 2 prompts");
    const rows = [...root.querySelectorAll("[data-testid=race-prompt]")].map((row) => row.textContent);
    expect(rows).toEqual(["First <b>1.30×", "codeSecond1.20×"]);
    const dots = [...root.querySelectorAll<HTMLElement>(".sv-race-dot")].map((dot) => parseFloat(dot.style.insetInlineStart));
    expect(dots[0]).toBeGreaterThan(dots[1] ?? 100);
    expect(dots[1]).toBeGreaterThan(50);
    expect(byId(root, "race-mean").textContent).toContain("1.25×");
    expect(status()).toBe("Finished: 2 prompts");
  });

  it("shows an interval that goes on beyond the axis as open", () => {
    tell(message(1, "finished", { heats: { ...HEATS, ratio: [1.3, 0.9], interval: [1.08, 0.07, 7.1], done: 2 } }));
    const bar = root.querySelector<HTMLElement>(".sv-race-interval");
    expect([bar?.classList.contains("sv-open-low"), bar?.classList.contains("sv-open-high")]).toEqual([true, true]);
    expect([bar?.style.insetInlineStart, bar?.style.width]).toEqual(["0%", "100%"]);
  });

  it("names where texts part, and whether it is a tie", () => {
    const parting = ["the texts part at token 3: ' a' without a draft, ' b' with one", "the texts part at token 9"];
    tell(message(1, "finished", { heats: { ...HEATS, ratio: [1, 1], parting, tie: [true, false], done: 2 } }));
    const lines = [...root.querySelectorAll("[data-testid=race-parting]")].map((line) => line.textContent);
    expect(lines).toEqual(["tieThe texts part at token 3: ' a' without a draft, ' b' with one.", "no tieThe texts part at token 9."]);
  });

  it("marks the prompt under way", () => {
    tell(message(1, "racing", { run: { ...RUN, prompt: 1 } }));
    const current = [...root.querySelectorAll("[data-testid=race-prompt]")].map((row) => row.getAttribute("aria-current"));
    expect(current).toEqual([null, "step"]);
  });

  it("is an error in words where it failed", () => {
    const state = { phase: "failed", message: "A race needs a pair with a draft", detail: "", can_start: true, can_stop: false } as const;
    tell(message(1, "failed", { state }));
    const banner = byId(root, "race-banner");
    expect([banner.hidden, banner.getAttribute("role")]).toEqual([false, "alert"]);
    expect(banner.textContent).toContain("A race needs a pair with a draft");
    expect(status()).toBe("Something went wrong");
  });

  it("says when an interval is to come", () => {
    expect(sureness(HEATS, true)).toBe("an interval comes with the second prompt");
    expect(sureness({ ...HEATS, prompt: ["one"] }, true)).toBe("an interval comes at the end");
    expect(sureness(HEATS, false)).toBe("");
  });
});

describe("a page that is opened in the middle of a race", () => {
  const all = (seq: number, n: number): RaceMessage => ({
    ...message(seq, "racing", { run: PLAIN, heats: HEATS, lanes: { plain: lane(2, Array.from({ length: n }, () => "p")), speculative: lane(1, ["ac"]) } }),
    whole: true,
  });
  const running = all(7, 2);
  const one = (seq: number, from: number) => message(seq, "racing", { run: PLAIN, lanes: { plain: lane(2, ["p"], from) } });

  it("is restored from its snapshot, and goes on with what comes after the answer", async () => {
    await open(running);
    expect([kinds("plain"), kinds("speculative")]).toEqual(["pp", "ac"]);
    tell(one(7, 1), all(8, 2), one(9, 2));
    expect(kinds("plain")).toBe("ppp");
    expect(words("speculative"), "it had run before this page was opened").toContain("2 tokens");
  });

  it("asks at once for what came before it listened, were it the end", async () => {
    await open(running);
    expect(model.sent()).toEqual([{ type: "resync" }]);
    tell({ ...all(9, 4), state: message(9, "finished").state, run: { ...PLAIN, live: false } });
    expect([kinds("plain"), status()]).toEqual(["pppp", "Finished: 0 prompts"]);
    vi.advanceTimersByTime(60_000);
    expect(model.sent()).toHaveLength(1);
  });

  it("neither loses nor doubles what comes around the answer", async () => {
    await open(running);
    tell(one(8, 2), one(9, 3));
    expect(kinds("plain"), "that may not be all").toBe("pp");
    tell(all(9, 4), one(10, 4));
    expect(kinds("plain")).toBe("ppppp");
  });

  it.each(["idle", "finished"] as const)("has nothing to ask for while the race is %s", async (phase) => {
    await open({ ...message(0, phase, { heats: HEATS }), whole: true });
    vi.advanceTimersByTime(60_000);
    expect(model.sent()).toEqual([]);
    tell(message(1, "loading"));
    expect(status()).toBe("Loading the models");
  });
});

describe("the store", () => {
  const send = vi.fn();
  let store: RaceStore;
  const part = (seq: number, phase: RacePhase = "racing") => message(seq, phase, { lanes: { speculative: lane(1, ["c"], seq - 1) } });
  const whole = (seq: number) => ({ ...message(seq, "racing", { heats: HEATS, lanes: { speculative: lane(1, Array.from({ length: seq }, () => "c")) } }), whole: true });
  const text = () => store.lanes.speculative?.kind;

  beforeEach(() => {
    send.mockClear();
    store = new RaceStore(send);
    store.receive(part(1));
  });

  it("asks for everything once where a message is missing, and again if that stays unanswered", () => {
    for (const seq of [3, 4]) store.receive(part(seq));
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(send.mock.calls).toEqual([[{ type: "resync" }]]);
    vi.advanceTimersByTime(RESYNC_RETRY_MS);
    expect(send).toHaveBeenCalledTimes(2);
    for (const one of [whole(5), part(6)]) store.receive(one);
    expect(text()).toBe("cccccc");
    vi.advanceTimersByTime(60_000);
    expect(send).toHaveBeenCalledTimes(2);
  });

  it("keeps what is newer than the snapshot that closes a gap, the end too", () => {
    for (const one of [part(3), part(4, "finished")]) store.receive(one);
    store.restore(whole(2));
    expect([text(), store.state.phase]).toEqual(["cccc", "finished"]);
    vi.advanceTimersByTime(60_000);
    expect(send).not.toHaveBeenCalled();
  });

  it("does not go back to a snapshot that is older than what it has", () => {
    for (const one of [part(2), part(3)]) store.receive(one);
    store.restore(whole(2));
    store.receive(whole(2));
    expect(text()).toBe("ccc");
    store.receive(part(5));
    store.restore(whole(2));
    expect(text(), "nor while something is missing").toBe("ccc");
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(send.mock.calls).toEqual([[{ type: "resync" }]]);
  });
});

it.each([
  [0, -1],
  [0.1, 0],
  [0.25, 1],
  [9, 2],
])("the last of [0.1, 0.2, 0.3] that is not above %d has index %d", (limit, index) => {
  expect(lastBefore([0.1, 0.2, 0.3], limit)).toBe(index);
});

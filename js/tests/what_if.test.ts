import type { Experimental, Host } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import feed from "../src/index.js";
import type { AuditColumns, CostColumns, FeedTraits, WhatIfTraits } from "../src/protocol.js";
import { replay } from "../src/replay.js";
import { WhatIf } from "../src/what_if.js";
import { Outcomes, percentile, provenance } from "../src/what_if_figures.js";
import { shortened } from "../src/what_if_heatmap.js";
import { byId, FakeModel, nextFrame } from "./fakes.js";

const HOSTILE = ["<img src=x onerror=alert(1)>", "a\0b", "\u202eabc", "x\n\ny", "\n"];
const DRAFTS = ["m-draft-17m", "m-draft-12m"];

/** Hits and misses in a pattern; 12m misses more; confidences rise and fall. */
function audit(n = 60, { thorough = true, answers = 2 } = {}): AuditColumns {
  const draft = (every: number) => {
    const matches = Array.from({ length: n }, (_, i) => (i % every === every - 1 ? "0" : "1")).join("");
    const misses = [...matches].filter((one) => one === "0");
    return {
      matches,
      confidence: Array.from({ length: n }, (_, i) => (i * 37) % 101),
      favourite: misses.map((_, i) => (i === 0 ? "<b>wrong</b>" : ` wrong${i}`)),
      after: thorough ? misses.map(() => [80, 60, 20]) : null,
    };
  };
  const one = (i: number) => ({
    prompt: `<i>question</i> ${i}`,
    category: i === 0 ? "qa" : "",
    n_prompt: 10,
    limit: null,
    text: Array.from({ length: n }, (_, j) => HOSTILE[j] ?? (j === n - 1 ? "<|end|>" : ` t${j}`)),
    control: [n - 1],
    drafts: [draft(5), draft(3)],
  });
  return { main: "m", drafts: DRAFTS, thorough, answers: Array.from({ length: answers }, (_, i) => one(i)) };
}

function costs(longest = 16): CostColumns {
  const to = (f: (k: number) => number) => Array.from({ length: longest + 1 }, (_, k) => f(k));
  const curves = (off: number) => ({ draft: to((k) => k * (1 + off)), pass: to((k) => 10 + k), draft_slope: 0, pass_slope: 0.002, token_slope: 0.001, switch: 0.5 });
  return { ...curves(0), other: to(() => 1), resampled: [-0.1, -0.05, 0, 0.05, 0.1].map(curves) };
}

const COSTS = Object.fromEntries(DRAFTS.map((name) => [name, costs()]));

let controller: AbortController;
let model: FakeModel;
let root: HTMLElement;

function open(traits: Partial<Record<keyof WhatIfTraits, unknown>> = {}): void {
  model = new FakeModel({
    view: "what_if",
    audit: audit(),
    costs: COSTS,
    measured: {},
    draft: DRAFTS[0],
    num_draft_tokens: 4,
    p_min: 0,
    answer: -1,
    show_rejected: false,
    ...traits,
  });
  root = new WhatIf(model.as<WhatIfTraits>(), controller.signal).element;
  document.body.append(root);
}

async function set(name: string, value: unknown): Promise<void> {
  model.change(name, value);
  await nextFrame();
}

beforeEach(() => {
  controller = new AbortController();
});

afterEach(() => controller.abort());

const said = (id: string) => byId(root, `what-if-${id}`).textContent ?? "";
const shown = () => [...byId(root, "what-if-text").querySelectorAll("section")].filter((one) => !one.hidden);
const kinds = (section: Element | undefined) => [...(section?.querySelectorAll<HTMLElement>("[data-i]") ?? [])].map((span) => span.dataset["kind"]);
const cell = (draft: number, length: number) =>
  byId(root, "heatmap").querySelector(`[data-draft="${draft}"][data-length="${length}"]`) as HTMLElement;

describe("the text", () => {
  it("is drawn as text, whatever its tokens are", () => {
    open();
    expect(root.querySelector("img, i:not([data-part]):not(.sv-wi-scale i), b")).toBeNull();
    const lines = shown()[0]?.querySelectorAll(".sv-wi-line") ?? [];
    expect([...lines].map((line) => line.textContent).join("")).toBe(audit().answers[0]?.text.join("").replace("\u202e", "⟨202E⟩"));
    expect(lines.length).toBe(3);
    expect(shown()[0]?.querySelector(".sv-wi-prompt")?.textContent).toBe("<i>question</i> 0");
  });

  it("is marked by who proposed each token, and where rounds begin", async () => {
    open();
    for (const [length, expected] of [[4, "aaaabaaaab"], [2, "aabacaabac"], [5, "aaaacaaaac"], [0, "pppppppppp"]] as const) {
      await set("num_draft_tokens", length);
      expect(kinds(shown()[0]).slice(0, 10).join("")).toBe(expected);
    }
    await set("num_draft_tokens", 2);
    const opening = [...(shown()[0]?.querySelectorAll<HTMLElement>(".sv-opens") ?? [])].map((span) => Number(span.dataset["i"]));
    expect(opening.slice(0, 4)).toEqual([0, 3, 5, 8]);
  });

  it("is built once: a slider only changes how its spans are marked", async () => {
    open({ audit: audit(1000) });
    const seen: MutationRecord[] = [];
    const observer = new MutationObserver((records) => seen.push(...records));
    observer.observe(byId(root, "what-if-text"), { subtree: true, childList: true, characterData: true, attributes: true });
    const spans = [...byId(root, "what-if-text").querySelectorAll("span")];
    await set("num_draft_tokens", 2);
    await set("p_min", 0.5);
    expect(seen.length).toBeGreaterThan(100);
    expect(seen.filter((record) => record.type !== "attributes")).toEqual([]);
    expect([...byId(root, "what-if-text").querySelectorAll("span")]).toEqual(spans);
    observer.disconnect();
  });

  it("shows refused favourites before their corrections, and none else", async () => {
    open({ num_draft_tokens: 5 });
    expect(root.querySelector(".x")).toBeNull();
    await set("show_rejected", true);
    const visible = () => [...(shown()[0]?.querySelectorAll<HTMLElement>(".x:not([hidden])") ?? [])];
    expect(visible()[0]?.textContent).toBe("<b>wrong</b>");
    expect(visible().every((one) => (one.nextElementSibling as HTMLElement).dataset["kind"] === "c")).toBe(true);
    expect(visible().length).toBe(kinds(shown()[0]).filter((kind) => kind === "c").length);
    await set("draft", DRAFTS[1]);
    expect(visible().length).toBe(kinds(shown()[0]).filter((kind) => kind === "c").length);
    await set("num_draft_tokens", 0);
    expect(visible()).toEqual([]);
  });

  it("is that of one answer or of all", async () => {
    open();
    expect(shown().length).toBe(2);
    await set("answer", 1);
    expect(shown().map((one) => one.querySelector(".sv-wi-prompt")?.textContent)).toEqual(["<i>question</i> 1"]);
    expect(said("rounds")).toContain("for 60 tokens");
  });

  it("tells of a token under the pointer", () => {
    open();
    shown()[0]?.querySelector("[data-i='4']")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    const note = root.querySelector<HTMLElement>(".sv-tooltip");
    expect(note?.hidden).toBe(false);
    expect(note?.textContent).toContain("<b>wrong</b>");
    expect(note?.querySelector("b")).toBeNull();
  });
});

describe("the figures", () => {
  it("are exact where everything is known", async () => {
    open({ num_draft_tokens: 5 });
    expect(said("rounds")).toBe("Rounds" + "exact" + "24" + "for 120 tokens");
    expect(said("per-round")).toContain("5.00");
    expect(said("acceptance")).toContain("96 of 120 drafted");
    expect(said("acceptance")).toContain("exact");
    await set("num_draft_tokens", 0);
    expect(said("acceptance")).toContain("nothing drafted");
    expect(said("speedup")).toContain("1.00×");
  });

  it("predict speed with a band and its parts", () => {
    open({ num_draft_tokens: 5 });
    // 24 rounds of 5 drafted, 5 sent: 5 + 15 ms each, 1 of them other; a plain token 10 ms;
    // of the depth 0.002 ms per pass and 0.001 ms per token. No pass is of another width than the one before.
    const figures = new Outcomes(audit(), COSTS).figures({ draft: 0, length: 5, pMin: 0, answer: -1 });
    if (typeof figures.speed === "string") throw new Error(figures.speed);
    const depths = Array.from({ length: 60 }, (_, i) => 10 + i);
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    const plain = 2 * (600 + (0.002 + 0.001) * sum(depths));
    const took = 2 * (12 * 20 + (0.002 + 0.001 * 6) * sum(depths.filter((_, i) => i % 5 === 0)));
    expect(figures.speed.speedup).toBeCloseTo(plain / took, 9);
    expect(figures.speed.tokensPerSecond).toBeCloseTo(120000 / took, 6);
    expect(figures.speed.drafting + figures.speed.verifying + figures.speed.other).toBeCloseTo(1, 9);
    expect(figures.speed.other).toBeCloseTo(24 / took, 9);
    expect(figures.speed.low).toBeLessThan(figures.speed.speedup);
    expect(figures.speed.high).toBeGreaterThan(figures.speed.speedup);
    expect(said("speedup")).toContain(`95 % band ${figures.speed.low.toFixed(2)}× to ${figures.speed.high.toFixed(2)}×`);
    // a = 96 / (96 + 24), k = 5, c = 1 / 10
    expect(byId(root, "textbook").textContent).toBe(`textbook formula: ${((1 - 0.8 ** 6) / 0.2 / 1.5).toFixed(2)}×`);
  });

  it("say at least, and that speed is unknown, where it is not known what drafts say after a miss", async () => {
    open({ audit: audit(60, { thorough: false }), num_draft_tokens: 8 });
    expect(said("acceptance")).toContain("at least");
    expect(said("acceptance")).toContain("of at most");
    expect(said("speedup")).toContain("predicted");
    await set("p_min", 0.4);
    expect(said("speedup")).toMatch(/unknown—between \d\.\d\d× and \d\.\d\d×/u);
    expect(said("note")).toContain("thorough=True");
    expect(byId(root, "textbook").textContent).toBe("");
    const outcomes = new Outcomes(audit(60, { thorough: false }), COSTS);
    const known = new Outcomes(audit(), COSTS).figures({ draft: 0, length: 8, pMin: 0.4, answer: -1 });
    const vague = outcomes.figures({ draft: 0, length: 8, pMin: 0.4, answer: -1 });
    if (typeof known.speed === "string" || !vague.between) throw new Error("no speed");
    expect(vague.accepted).toBe(known.accepted);
    expect(vague.between[0]).toBeLessThanOrEqual(known.speed.speedup);
    expect(vague.between[1]).toBeGreaterThanOrEqual(known.speed.speedup);
  });

  it("say how to get costs, and what was not measured", async () => {
    open({ costs: {} });
    expect(said("note")).toContain("sv.measure_costs(pair)");
    expect(byId(root, "heatmap-about").textContent).toContain("sv.measure_costs(pair)");
    controller.abort();
    controller = new AbortController();
    root.remove();
    open({ costs: { [DRAFTS[0] as string]: costs(3) } });
    expect(said("note")).toContain("not measured for drafts of this length");
    await set("num_draft_tokens", 3);
    expect(said("speedup")).toContain("predicted");
  });
});

describe("the heatmap", () => {
  it("has every draft and length, the best ringed, the chosen marked", async () => {
    open();
    const values = DRAFTS.flatMap((_, draft) => Array.from({ length: 17 }, (_, length) => Number(cell(draft, length).textContent)));
    expect(cell(0, 0).textContent).toBe("1.00");
    const best = root.querySelectorAll(".sv-best");
    expect(best.length).toBe(1);
    expect(Number(best[0]?.textContent)).toBe(Math.max(...values));
    expect(cell(0, 4).getAttribute("aria-selected")).toBe("true");
    await set("num_draft_tokens", 7);
    expect([...root.querySelectorAll("[aria-selected=true]")]).toEqual([cell(0, 7)]);
    expect(said("speedup")).toContain(`${cell(0, 7).textContent}×`);
  });

  it("follows the cutoff and the answer", async () => {
    open();
    const before = cell(0, 8).textContent;
    await set("p_min", 0.9);
    expect(cell(0, 8).textContent).not.toBe(before);
    expect(byId(root, "heatmap-about").textContent).toContain("p_min 0.90");
  });

  it("chooses with a click or Enter, walks with the arrows, and saves", async () => {
    open();
    cell(1, 3).click();
    await nextFrame();
    expect([model.get("draft"), model.get("num_draft_tokens")]).toEqual([DRAFTS[1], 3]);
    const press = (key: string) => {
      const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
      document.activeElement?.dispatchEvent(event);
      return event.defaultPrevented;
    };
    cell(1, 3).focus();
    press("ArrowUp");
    press("ArrowRight");
    expect(document.activeElement).toBe(cell(0, 4));
    press("ArrowUp");
    press("End");
    expect(document.activeElement).toBe(cell(0, 16));
    expect(press("Tab")).toBe(false);
    expect(press("Enter")).toBe(true);
    await nextFrame();
    expect(model.get("num_draft_tokens")).toBe(16);
    controller.abort();
    expect(model.calls.at(-1)).toEqual(["save"]);
  });

  it("marks what was measured, under this cutoff", async () => {
    open({ measured: { draft: [DRAFTS[1]], num_draft_tokens: [4], p_min: [0], speedup: [1.234] } });
    expect([...root.querySelectorAll(".sv-measured")]).toEqual([cell(1, 4)]);
    expect(cell(1, 4).getAttribute("aria-label")).toContain("Measured 1.23×.");
    cell(1, 4).dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(root.querySelector(".sv-tooltip")?.textContent).toContain("Measured 1.23×.");
    await set("p_min", 0.3);
    expect(root.querySelectorAll(".sv-measured").length).toBe(0);
  });

  it("has tokens per round where speeds are not known", () => {
    open({ costs: {} });
    expect(root.querySelector(".sv-wi-heat h3")?.textContent).toBe("Tokens per round");
    expect(cell(0, 16).textContent).toBe("5.00");
  });
});

describe("the controls", () => {
  it("set the traits, and save them", async () => {
    open();
    for (const [id, value] of [["what-if-length-slider", "9"], ["what-if-p-min-slider", "0.29"]] as const) {
      const slider = byId(root, id) as HTMLInputElement;
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }
    for (const [id, value] of [["what-if-draft", DRAFTS[1]], ["what-if-answer", "1"]] as const) {
      const select = byId(root, id) as HTMLSelectElement;
      select.value = value ?? "";
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    const chosen = () => ["num_draft_tokens", "p_min", "draft", "answer"].map((name) => model.get(name));
    expect(chosen()).toEqual([9, 0.29, DRAFTS[1], 1]);
    expect(model.calls.at(-1)).toEqual(["save"]);
    await set("draft", DRAFTS[0]);
    expect((byId(root, "what-if-draft") as HTMLSelectElement).value).toBe(DRAFTS[0]);
  });

  it("are gone without a trace", () => {
    open();
    controller.abort();
    expect(model.listeners()).toBe(0);
  });
});

it("is a view of the bundle, of a model that has no snapshot", async () => {
  open();
  delete model.traits["snapshot"];
  const definition = feed();
  const experimental = {} as Experimental;
  const { signal } = controller;
  await definition.initialize({ model: model.as<FeedTraits>(), signal, experimental });
  const el = document.createElement("div");
  await definition.render({ model: model.as<FeedTraits>(), el, signal, host: {} as Host, experimental });
  byId(el, "heatmap");
});

it("a stop within a draft leaves no closing token", () => {
  const whole = replay({ matches: [1, 1, 1], confidence: [1, 1, 1], after: null, limit: null }, { length: 8 });
  expect(provenance(whole).kind).toEqual(["a", "a", "a"]);
});

it("percentiles are numpy's", () => {
  expect(percentile([1, 2, 3, 4], 0.025)).toBeCloseTo(1.075, 12);
  expect(percentile([5], 0.975)).toBe(5);
});

it("names are cut where all of them are alike", () => {
  expect(shortened(["a-draft-17m.Q4", "a-draft-12m.Q4"])).toEqual(["…17m.Q4", "…12m.Q4"]);
  expect(shortened(["alone"])).toEqual(["alone"]);
  expect(shortened(["x1", "x2"])).toEqual(["x1", "x2"]);
  expect(shortened(["same", "same"])).toEqual(["same", "same"]);
});

import { describe, expect, it } from "vitest";
import { draftOptions, fold, listed, mainOptions, reachable, type Entry } from "../src/choices.js";
import { bytes, parameters } from "../src/words.js";
import { models, offers } from "./fakes.js";

const shown = (entries: Entry[]) =>
  entries.map((entry) => (entry.kind === "group" ? `[${entry.text}]` : entry.kind === "refused" ? `+${entry.count}` : entry.option.key));

describe("main models", () => {
  const all = mainOptions(
    models(
      ["Qwen2.5-14B-Q4_K_M", { source: "ollama", architecture: "qwen2", quantization: "Q4_K_M" }],
      ["Éclair", { source: "folder" }],
      ["cut", { source: "folder", reason: "ends early" }],
      ["demo", { source: "demo" }],
    ),
  );

  it("stand under their sources, those that cannot be used folded at the end", () => {
    expect(shown(listed(all, "", false))).toEqual(["[Demo]", "demo", "[Folders]", "Éclair", "[Ollama]", "Qwen2.5-14B-Q4_K_M", "+1"]);
    expect(shown(listed(all, "", true)).slice(-2)).toEqual(["+1", "cut"]);
  });

  it.each([
    ["eclair", ["[Folders]", "Éclair"]],
    ["ÉCLAIR", ["[Folders]", "Éclair"]],
    ["q4_k ollama", ["[Ollama]", "Qwen2.5-14B-Q4_K_M"]],
    ["  qwen2   14b ", ["[Ollama]", "Qwen2.5-14B-Q4_K_M"]],
    ["folders cut", ["+1"]],
    ["qwen gemma", []],
  ])("are found by all words of %j, anywhere", (typed, found) => {
    expect(shown(listed(all, typed, false))).toEqual(found);
  });

  it("say what is known of them, and nothing of what is not", () => {
    const [bare] = mainOptions(models(["bare", { n_params: 0, size_bytes: 0, n_ctx: 0, n_vocab: 0, bits_per_weight: 0, architecture: "" }]));
    expect(bare?.facts).toBe("Q4_1");
    expect(bare?.details.map(([term]) => term)).toEqual(["Path"]);
  });
});

describe("drafts", () => {
  const all = models(["main"], ["good"], ["large"], ["other"]);
  const offered = offers(
    "main",
    [
      ["good", { recommended: "same family", reason: "token 3 differs" }],
      ["large", { warnings: ["it is large"] }],
      ["other", { fits: false, reason: "token 9 differs" }],
      ["gone", {}],
    ],
    { default: "good" },
  );

  it("keep the order of the offers, after the drafters without a model", () => {
    expect(shown(listed(draftOptions(all, offered), "", false))).toEqual(["none", "ngram", "[Drafts that fit, the best first]", "good", "large", "+1"]);
  });

  it("have badge, star, warnings and reasons where they belong", () => {
    const [, , good, large, other] = draftOptions(all, offered);
    expect([good?.recommended, good?.isDefault, good?.reason]).toEqual(["same family", true, ""]);
    expect(good?.details[0]).toEqual(["Differs", "token 3 differs"]);
    expect([large?.warnings, large?.isDefault]).toEqual([["it is large"], false]);
    expect(other?.reason).toBe("token 9 differs");
  });

  it("can be no model before there are offers, and be remembered so", () => {
    expect(draftOptions(all, null).map(({ key }) => key)).toEqual(["none", "ngram"]);
    expect(draftOptions(all, { ...offered, default: "ngram" })[1]?.isDefault).toBe(true);
  });
});

describe("moving", () => {
  const entries = listed(mainOptions(models(["a", { source: "demo" }], ["b"], ["c"], ["d", { reason: "broken" }])), "", false);

  it("passes over headings and stays within the list", () => {
    expect(shown(entries)).toEqual(["[Demo]", "a", "[Folders]", "b", "c", "+1"]);
    expect(reachable(entries, 1, 1)).toBe(3);
    expect(reachable(entries, 3, -1)).toBe(1);
    expect(reachable(entries, 1, -1)).toBe(1);
    expect(reachable(entries, 3, 8)).toBe(5);
    expect([reachable(entries, 3, -Infinity), reachable(entries, 3, Infinity)]).toEqual([1, 5]);
    expect([reachable(entries, -1, 1), reachable(entries, -1, -1)]).toEqual([1, 5]);
  });

  it("ends nowhere in an empty list", () => {
    expect(reachable([], 0, 1)).toBe(-1);
  });
});

it("folds accents and case", () => {
  expect(fold("Ünïcödé")).toBe("unicode");
});

it.each([
  [0, "0 B", "0 k"],
  [944, "944 B", "1 k"],
  [12e6, "12 MB", "12 M"],
  [1.5e9, "1.5 GB", "1.5 B"],
  [1e9, "1.0 GB", "1.0 B"],
  [405e9, "405 GB", "405 B"],
])("writes %d as %s and as %s", (n, size, count) => {
  expect([bytes(n), parameters(n)]).toEqual([size, count]);
});

import { beforeEach, describe, expect, it } from "vitest";
import { StatsTable } from "../src/stats_table.js";
import { Store } from "../src/store.js";
import { baselineText, Tiles } from "../src/tiles.js";
import { batch, byId } from "./fakes.js";

let store: Store;
let table: StatsTable;
let seq: number;

beforeEach(() => {
  store = new Store(() => undefined);
  table = new StatsTable(store, new AbortController().signal);
  document.body.append(table.element);
  seq = 0;
});

function stats(...rows: [key: string, label: string, value: string, help?: string][]): void {
  seq += 1;
  store.receive(batch(seq, { stats: rows.map(([key, label, value, help = ""]) => ({ key, label, value, help })) }));
  table.draw();
}

const shown = () => [...table.element.querySelectorAll("tr")].map((row) => [row.querySelector(".sv-term")?.textContent, row.querySelector("td")?.textContent]);

describe("StatsTable", () => {
  it("shows rows in Python's order, and follows when they come and go", () => {
    stats(["a", "A", "1"], ["b", "B", "2"]);
    expect(shown()).toEqual([["A", "1"], ["B", "2"]]);
    stats(["c", "C", "3"], ["b", "B", "4"], ["a", "A", "1"]);
    expect(shown()).toEqual([["C", "3"], ["B", "4"], ["A", "1"]]);
    stats(["b", "B", "5"]);
    expect(shown()).toEqual([["B", "5"]]);
  });

  it("keeps a row's element, and the focus on it, over an update", () => {
    stats(["a", "A", "1", "What A is"]);
    const label = table.element.querySelector<HTMLElement>(".sv-term");
    label?.focus();
    expect(document.activeElement).toBe(label);
    stats(["z", "Z", "0"], ["a", "A", "2", "What A is"]);
    expect(table.element.querySelector("[data-key=a] .sv-term")).toBe(label);
  });

  it("explains a row on focus and on hover, and to a screen reader", () => {
    stats(["a", "A", "1", "What A is"], ["b", "B", "2"]);
    const label = table.element.querySelector<HTMLElement>("[data-key=a] .sv-term");
    const note = table.element.querySelector<HTMLElement>(".sv-tooltip");
    label?.dispatchEvent(new Event("focusin", { bubbles: true }));
    expect([note?.hidden, note?.textContent]).toEqual([false, "What A is"]);
    label?.dispatchEvent(new Event("focusout", { bubbles: true }));
    expect(note?.hidden).toBe(true);
    label?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(note?.hidden).toBe(false);
    expect(document.getElementById(label?.getAttribute("aria-describedby") ?? "")?.textContent).toBe("What A is");
    expect(table.element.querySelector("[data-key=b] .sv-term")?.hasAttribute("tabindex")).toBe(false);
  });

  it("takes no markup", () => {
    stats(["a", "<b>A</b>", "<i>1</i>", "<u>help</u>"]);
    expect(table.element.querySelector("b, i, u")).toBeNull();
    expect(shown()).toEqual([["<b>A</b>", "<i>1</i>"]]);
  });
});

describe("Tiles", () => {
  it("shows the four headline rows and a dash for an absent one", () => {
    const tiles = new Tiles(store, new AbortController().signal);
    stats(["tokens_per_second", "Tokens/s", "84.3 tok/s"], ["speedup", "Speedup", "1.38×"]);
    tiles.draw();
    const value = (id: string) => byId(tiles.element, id).querySelector(".sv-value")?.textContent;
    expect(value("tile-speed")).toBe("84.3 tok/s");
    expect(value("tile-speedup")).toBe("1.38×");
    expect(value("tile-acceptance")).toBe("—");
    expect(byId(tiles.element, "baseline").textContent).toBe("no baseline measured");
  });

  it("says where the speedup comes from", () => {
    const tiles = new Tiles(store, new AbortController().signal);
    store.receive(batch(1, { baseline: { tokens_per_second: 60, n_tokens: 16, age_tokens: 4, age_s: 1, account: "<b>A round</b>" } }));
    tiles.draw();
    expect(byId(tiles.element, "account").textContent).toBe("<b>A round</b>");
  });

  it("says what the speedup is measured against, and how old that is", () => {
    expect(baselineText({ tokens_per_second: 61.2, n_tokens: 16, age_tokens: 120, age_s: 3.1, account: "" })).toBe(
      "against 61.2 tok/s plain: 16 tokens of this prompt, 120 tokens (3.1 s) ago",
    );
    expect(baselineText({ tokens_per_second: 61, n_tokens: 1, age_tokens: 1, age_s: 240, account: "" })).toBe(
      "against 61.0 tok/s plain: 1 token of this prompt, 1 token (4 min) ago",
    );
  });
});

import { describe, expect, it, vi } from "vitest";
import { Compared, viewCompare } from "../src/compare.js";
import { ROW_TOKENS, sectionsOf, SIDES, type CompareRow, type Side } from "../src/compare_rows.js";
import { openPage } from "../src/page.js";
import type { CompareTraits, ComparisonColumns, Snapshot } from "../src/protocol.js";
import { savePageButton } from "../src/save_page.js";
import { Store } from "../src/store.js";
import { batch, byId, dropped, FakeModel, nextFrame, roundDetail, tokenDetail, tokens } from "./fakes.js";

const A = ["So", " it", "\n", " one", " more", " is", "."];
const B = ["So", " it", "\n", " two", " is", "."];

const COMPARISON: ComparisonColumns = {
  names: ["plain", "drafted"],
  verdict: "They part at token 3.",
  a: [3, 5, 7],
  b: [3, 4, 6],
  equal: "101",
  parting: [
    { at: 3, text: " one", p: 0.5, other_p: 0.4, margin: 0.1, margin_logits: 0.2231 },
    { at: 3, text: " two", p: 0.6, other_p: null, margin: null, margin_logits: null },
  ],
  settings: [{ label: "Seed", a: "—", b: "7", help: "" }],
  figures: [{ label: "Rounds", a: "7", b: "3", help: "Draft-then-verify steps." }],
};

function snapshot(run: number, texts: string[], more: Partial<Snapshot> = {}): Snapshot {
  return { type: "snapshot", seq: 1, run, run_info: { main: `BIG-${run}`, draft: "", drafter: "none" }, tokens: tokens(texts, "p".repeat(texts.length)), ...more };
}

function view(comparison = COMPARISON, a = A, b = B, more: readonly [Partial<Snapshot>, Partial<Snapshot>] = [{}, {}]) {
  const sent: unknown[] = [];
  const gone = { dropped: dropped([[4, " gone", "r"]]) };
  const compared = new Compared(comparison, [snapshot(1, a, { ...gone, ...more[0] }), snapshot(2, b, more[1])], (message) => sent.push(message));
  const model = new FakeModel({ show_rejected: false });
  const controller = new AbortController();
  const el = document.createElement("div");
  document.body.append(el);
  Element.prototype.scrollIntoView = vi.fn();
  viewCompare(compared, { el, signal: controller.signal, model: model.as<CompareTraits>() });
  return { el, compared, model, sent, text: byId(el, "compare-text"), controller };
}

const textOf = (cells: ArrayLike<Element>) => [...Array.from(cells)].map((cell) => cell.textContent).join("");
const press = (target: HTMLElement, key: string) => !target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

describe("rows", () => {
  const rowsOf = (passages: Pick<ComparisonColumns, Side | "equal">, texts: Record<Side, string[]>, starts = { a: [], b: [] } as Record<Side, number[]>) =>
    sectionsOf(passages, texts, starts).flatMap(({ rows }) => rows);

  /** All pieces of a side, in order, have to be the whole answer. */
  function whole(rows: CompareRow[], texts: Record<Side, string[]>) {
    for (const side of SIDES) {
      const pieces = rows.flatMap((row) => row[side]);
      expect(pieces.flatMap(({ from, to }) => texts[side].slice(from, to))).toEqual(texts[side]);
    }
  }

  it("end with lines that both have", () => {
    const texts = { a: A, b: B };
    const rows = rowsOf(COMPARISON, texts);
    whole(rows, texts);
    expect(rows.map((row) => row.a.map(({ from, to, difference }) => [from, to, difference]))).toEqual([
      [[0, 3, null]],
      [[3, 5, 0], [5, 7, null]],
    ]);
    expect(rows[1]?.b[0]).toEqual({ from: 3, to: 4, difference: 0 });
  });

  it("end where both have a token's end, however they are cut", () => {
    const texts = { a: ["So", " it\n", "i\ns"], b: ["S", "o it", "\n", "i\ns"] };
    const rows = rowsOf({ a: [3], b: [4], equal: "1" }, texts);
    whole(rows, texts);
    expect(rows.map((row) => SIDES.map((side) => row[side].map(({ from, to }) => texts[side].slice(from, to).join("")).join("")))).toEqual([
      ["So it\n", "So it\n"],
      ["i\ns", "i\ns"],
    ]);
  });

  it("begin anew after a large difference, so that equal text stands side by side", () => {
    const more = (n: number, word: string) => Array.from({ length: n }, () => word);
    const texts = { a: [...more(20, "x"), ...more(30, "=")], b: more(30, "=") };
    expect(rowsOf({ a: [20, 50], b: [0, 30], equal: "01" }, texts)).toHaveLength(2);
    expect(rowsOf({ a: [2, 32], b: [0, 30], equal: "01" }, { a: texts.a.slice(18), b: texts.b })).toHaveLength(1);
  });

  it("stay small at 20,000 tokens, alike or not", () => {
    const texts = { a: Array.from({ length: 20_000 }, () => "x"), b: Array.from({ length: 15_000 }, () => "x") };
    for (const passages of [{ a: [20_000], b: [15_000], equal: "0" }, { a: [15_000, 20_000], b: [15_000, 15_000], equal: "10" }]) {
      const rows = rowsOf(passages, texts);
      whole(rows, texts);
      for (const row of rows) for (const { from, to } of [...row.a, ...row.b]) expect(to - from).toBeLessThanOrEqual(ROW_TOKENS);
    }
  });
});

describe("sections", () => {
  const spans = (columns: Pick<ComparisonColumns, Side | "equal">, texts: Record<Side, string[]>, starts: Record<Side, number[]>) =>
    sectionsOf(columns, texts, starts).map(({ from, to }) => [from.a, to.a, from.b, to.b]);

  it("begin where a stretch of either answer begins", () => {
    const texts = { a: ["<", "x", ">", "y"], b: ["<", ">", "y"] };
    expect(spans({ a: [1, 2, 3, 4], b: [1, 1, 2, 3], equal: "1011" }, texts, { a: [0, 3], b: [0, 2] })).toEqual([
      [0, 3, 0, 2],
      [3, 4, 2, 3],
    ]);
    expect(spans({ a: [3, 4], b: [0, 1], equal: "01" }, { a: texts.a, b: ["y"] }, { a: [0, 3], b: [] })).toEqual([
      [0, 3, 0, 0],
      [3, 4, 0, 1],
    ]);
  });

  it("keep what only one answer adds to the end of a stretch", () => {
    const texts = { a: ["So", "<", ">"], b: ["So", "!", "<", ">"] };
    expect(spans({ a: [1, 1, 3], b: [1, 2, 4], equal: "101" }, texts, { a: [0, 1], b: [0, 2] })).toEqual([
      [0, 1, 0, 2],
      [1, 3, 2, 4],
    ]);
  });
});

describe("a comparison", () => {
  it("shows both texts whole, with what differs marked in both", () => {
    const { el, text } = view();
    expect(byId(el, "verdict").textContent).toBe("They part at token 3.");
    for (const [side, texts] of [["a", A], ["b", B]] as const) {
      const spans = [...text.querySelectorAll(`[data-side=${side}] [data-i]`)];
      expect(spans.map((span) => span.textContent)).toEqual(texts.map((one) => one.replace("\n", "")));
    }
    expect(textOf(text.querySelectorAll("mark [data-i]"))).toBe(" one more two");
    expect(text.querySelectorAll(".sv-cmp-parting")).toHaveLength(2);
    expect(byId(el, "parting-a").textContent).toBe("Token 3: “ one”, p 50.0 %, against 40.0 % for “ two”. Its first choice was 0.22 logits ahead of the second.");
    expect(byId(el, "parting-b").textContent).toBe("Token 3: “ two”, p 60.0 %.");
    expect(byId(el, "compare-settings").textContent).toContain("Seed—7");
    expect(byId(el, "compare-figures").textContent).toContain("Rounds73");
  });

  it("goes from difference to difference by button and by key, round and round", () => {
    const { el, text } = view({ ...COMPARISON, a: [1, 2, 6, 7], b: [1, 2, 6, 6], equal: "0110" });
    const status = () => byId(el, "compare-status").textContent;
    expect(status()).toBe("2 differences");
    byId(el, "compare-next").click();
    expect(status()).toBe("Difference 1 of 2");
    expect(press(text, "n")).toBe(true);
    expect(status()).toBe("Difference 2 of 2");
    expect(text.querySelector(".sv-cmp-nothing.sv-cmp-current"), "the answer that says nothing has its place marked").not.toBeNull();
    press(text, "n");
    expect(status()).toBe("Difference 1 of 2");
    press(text, "p");
    expect(status()).toBe("Difference 2 of 2");
  });

  it("has nothing to go to where nothing differs", () => {
    const { el, text } = view({ ...COMPARISON, a: [7], b: [7], equal: "1", parting: null, settings: [] }, A, A);
    expect((byId(el, "compare-next") as HTMLButtonElement).disabled).toBe(true);
    press(text, "n");
    expect(byId(el, "compare-status").textContent).toBe("No differences");
    expect(el.textContent).toContain("Both were asked for with the same settings.");
  });

  it("tells about a token of either answer, and asks for its round", () => {
    const { el, text, sent, compared } = view();
    const cards = () => [...el.querySelectorAll<HTMLElement>("[data-testid=inspector]")].filter((card) => !card.hidden);
    text.querySelector<HTMLElement>("[data-side=b] [data-i='3']")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(sent).toEqual([{ type: "inspect", run: 2, round: 0 }]);
    expect(cards()).toHaveLength(1);
    compared.receive(roundDetail([tokenDetail("p", " two", { index: 3, p: 0.6 })], { run: 2, round: 0 }));
    expect(cards()[0]?.textContent).toContain("60.0 %");
    text.querySelector<HTMLElement>("[data-side=a] [data-i='0']")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(cards(), "one card at a time").toHaveLength(1);
    expect(sent.at(-1)).toEqual({ type: "inspect", run: 1, round: 0 });
  });

  it("walks by arrow keys from the difference that was gone to", () => {
    const { text } = view();
    press(text, "n");
    press(text, "ArrowRight");
    const at = () => text.querySelector<HTMLElement>(".sv-cursor")?.dataset["i"];
    expect(at()).toBe("3");
    press(text, "ArrowRight");
    expect(at()).toBe("4");
    press(text, "ArrowLeft");
    expect(at()).toBe("3");
  });

  it("shows dropped tokens in place when asked to", () => {
    const { el, text, model } = view();
    expect(text.querySelector(".x")?.textContent).toBe(" gone");
    (byId(el, "toggle-rejected") as HTMLInputElement).click();
    expect(model.get("show_rejected")).toBe(true);
    expect(el.querySelector(".sv-tokens")?.classList.contains("sv-rejected")).toBe(true);
  });

  it("takes no text for markup", () => {
    const evil = ["<img src=x onerror=alert(1)>", "</script>"];
    const { el } = view({ ...COMPARISON, names: ["<b>a", "<i>b"], verdict: "<img>", a: [2], b: [2], equal: "1", parting: null }, evil, evil);
    expect(el.querySelector("img, script, b, i")).toBeNull();
  });
});

describe("reasoning", () => {
  const THOUGHTS = { a: ["<", " hm", "\n", " so", ">", "Four", "."], b: ["<", " oh", "\n", " so", ">", "Five", "."] };
  const COLUMNS = { a: [1, 2, 5, 6, 7], b: [1, 2, 5, 6, 7], equal: "10101" };
  const stretches = (kind: string, ...caption: string[]) => ({ reasoning: { from: 0, start: [0, 5].slice(0, kind.length), kind, caption } });
  const BOTH = [stretches("ra", "R: 5", "A: 2"), stretches("ra", "R: 5!", "A: 2!")] as const;

  function folded(a: string[] = THOUGHTS.a, b: string[] = THOUGHTS.b, more: readonly [Partial<Snapshot>, Partial<Snapshot>] = BOTH, columns = COLUMNS) {
    const shown = view({ ...COMPARISON, ...columns }, a, b, more);
    const heads = [...shown.text.querySelectorAll<HTMLButtonElement>("[data-testid=reasoning]")];
    const seen = (side: Side) => textOf([...shown.text.querySelectorAll(`[data-side=${side}] [data-i]`)].filter((token) => !token.closest("[hidden]")));
    return { ...shown, heads, seen, expanded: () => heads.map((head) => head.getAttribute("aria-expanded")) };
  }

  it("is folded on both sides under its own figures, and opens on both", () => {
    const { text, heads, seen, expanded } = folded();
    expect(heads.map((head) => head.textContent)).toEqual([
      "R: 5 · 1 difference · the answers part here",
      "R: 5! · 1 difference · the answers part here",
    ]);
    expect([...text.querySelectorAll("p.sv-stretch-head")].map((one) => one.textContent)).toEqual(["A: 2", "A: 2!"]);
    expect([seen("a"), seen("b"), expanded()]).toEqual(["Four.", "Five.", ["false", "false"]]);
    heads[1]?.click();
    expect([seen("a"), seen("b"), expanded()]).toEqual(["< hm so>Four.", "< oh so>Five.", ["true", "true"]]);
    const body = document.getElementById(heads[0]?.getAttribute("aria-controls") ?? "");
    expect(body?.contains(text.querySelector("[data-i='4']"))).toBe(true);
    expect(body?.contains(text.querySelector("[data-i='5']"))).toBe(false);
    heads[0]?.click();
    expect([seen("a"), seen("b"), expanded()]).toEqual(["Four.", "Five.", ["false", "false"]]);
  });

  it("has no line left of its rows while it is closed", () => {
    const { text, heads } = folded();
    const rows = () => [...text.querySelectorAll<HTMLElement>("[role=rowgroup] [role=row]")].map((row) => row.hidden);
    expect(rows()).toEqual([true, true, false]);
    heads[0]?.click();
    expect(rows()).toEqual([false, false, false]);
  });

  it("opens for the difference that is gone to", () => {
    const { text, expanded } = folded();
    press(text, "p");
    expect(expanded()[0]).toBe("false");
    press(text, "n");
    expect(expanded()).toEqual(["true", "true"]);
    expect(text.querySelector(".sv-cmp-current")?.textContent).toBe(" hm");
  });

  it("is walked past while it is closed, and through while it is open", () => {
    const { text, heads } = folded();
    const at = () => text.querySelector<HTMLElement>(".sv-cursor")?.dataset["i"];
    press(text, "p");
    press(text, "ArrowRight");
    expect(at()).toBe("5");
    press(text, "ArrowLeft");
    expect(at(), "there is nothing before it").toBe("5");
    heads[0]?.click();
    expect(at(), "a click beside all tokens lets go").toBeUndefined();
    press(text, "ArrowRight");
    press(text, "ArrowLeft");
    expect(at()).toBe("4");
    heads[0]?.click();
    expect(at(), "a card is about nothing that is closed").toBeUndefined();
  });

  it("is walked past to what comes after it", () => {
    const texts = ["Well", "<", ">", "so"];
    const more = { reasoning: { from: 0, start: [0, 1, 3], kind: "ara", caption: ["A", "R", "A"] } };
    const { text, seen } = folded(texts, texts, [more, more], { a: [1, 3, 4], b: [1, 3, 4], equal: "111" });
    expect(seen("b")).toBe("Wellso");
    press(text, "ArrowRight");
    press(text, "ArrowRight");
    expect(text.querySelector<HTMLElement>(".sv-cursor")?.dataset["i"]).toBe("3");
    press(text, "ArrowLeft");
    expect(text.querySelector<HTMLElement>(".sv-cursor")?.dataset["i"]).toBe("0");
  });

  it("of one answer only folds beside nothing, and leaves the other's text alone", () => {
    const { heads, seen, text } = folded(THOUGHTS.a, THOUGHTS.b.slice(5), [stretches("ra", "R: 5", "A: 2"), {}], { a: [5, 6, 7], b: [0, 1, 2], equal: "001" });
    expect(heads.map((head) => head.textContent)).toEqual(["R: 5 · only here · the answers part here"]);
    expect([seen("a"), seen("b")]).toEqual(["Four.", "Five."]);
    expect(text.querySelectorAll("p.sv-stretch-head")).toHaveLength(1);
    heads[0]?.click();
    expect([seen("a"), seen("b")]).toEqual(["< hm so>Four.", "Five."]);
  });

  it("that only one answer marks hides its own cells only", () => {
    const { heads, seen } = folded(THOUGHTS.a, THOUGHTS.a.slice(0, 4), [stretches("ra", "R: 5", "A: 2"), {}], { a: [4, 5, 7], b: [4, 4, 4], equal: "100" });
    expect([seen("a"), seen("b")]).toEqual(["Four.", "< hm so"]);
    heads[0]?.click();
    expect(seen("a")).toBe("< hm so>Four.");
  });

  it("that goes on stays open, and so does its counterpart", () => {
    const { heads, expanded } = folded(THOUGHTS.a, THOUGHTS.b.slice(0, 4), [stretches("ra", "R: 5", "A: 2"), stretches("o", "R: 4")], { a: [1, 2, 4, 5, 7], b: [1, 2, 4, 4, 4], equal: "10100" });
    expect(expanded()).toEqual(["true", "true"]);
    heads[1]?.click();
    expect(expanded()).toEqual(["false", "false"]);
  });

  it("is gone to in the strip of a round", () => {
    const { text, compared, expanded, el } = folded();
    const detail = roundDetail([tokenDetail("p", " hm", { index: 1 }), tokenDetail("p", "Four", { index: 5 })], { run: 1, round: 0 });
    text.querySelector<HTMLElement>("[data-side=a] [data-i='5']")?.click();
    compared.receive(detail);
    el.querySelector<HTMLElement>("[data-step='1']")?.click();
    expect(expanded()).toEqual(["true", "true"]);
  });
});

describe("its page", () => {
  it("shows the same without a kernel", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined }));
    const root = document.createElement("div");
    document.body.append(root);
    const { type: _, run: __, round: ___, ...detail } = roundDetail([tokenDetail("p", " two", { index: 3, p: 0.6 })]);
    openPage(root, { answers: [snapshot(1, A), snapshot(2, B)], comparison: COMPARISON, details: [[], [detail]] });
    expect(root.querySelector("h1")?.textContent).toBe("plain and drafted");
    root.querySelector<HTMLElement>("[data-side=b] [data-i='3']")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    await nextFrame();
    expect(root.querySelector("[data-testid=inspector]:not([hidden])")?.textContent).toContain("60.0 %");
    expect(root.querySelector("[data-testid=save-page]")).toBeNull();
    vi.stubGlobal("matchMedia", undefined);
  });
});

describe("saving", () => {
  function button(store?: Store) {
    const model = new FakeModel();
    const element = savePageButton(model.as(), new AbortController().signal, store);
    document.body.append(element);
    const links: string[] = [];
    URL.createObjectURL = () => "blob:1";
    URL.revokeObjectURL = () => undefined;
    HTMLAnchorElement.prototype.click = function click() {
      links.push(this.download);
    };
    return { model, element, links };
  }

  it("asks once, and downloads what comes for it and for nobody else", () => {
    vi.useFakeTimers();
    const { model, element, links } = button();
    element.click();
    element.click();
    const [asked, ...more] = model.sent() as { type: string; id: string }[];
    expect([asked?.type, more]).toEqual(["save_page", []]);
    model.emit("msg:custom", { type: "file", id: "another", name: "other.html" }, [new DataView(new ArrayBuffer(1))]);
    expect(links).toEqual([]);
    model.emit("msg:custom", { type: "file", id: asked?.id, name: "BIG.html" }, [new DataView(new ArrayBuffer(1))]);
    expect([links, element.textContent]).toEqual([["BIG.html"], "Saved"]);
    vi.runAllTimers();
    expect(element.textContent).toBe("Save as page");
  });

  it("says why there is none", () => {
    const { model, element, links } = button();
    element.click();
    const [asked] = model.sent() as { id: string }[];
    model.emit("msg:custom", { type: "file", id: asked?.id, name: "", error: "nothing was generated yet" }, []);
    expect([links, element.textContent, element.title]).toEqual([[], "Could not be saved", "nothing was generated yet"]);
  });

  it("waits until there is something", async () => {
    const store = new Store(() => undefined);
    const { element } = button(store);
    expect(element.disabled).toBe(true);
    store.receive(batch(1, { reset: true, tokens: tokens(["a"]) }));
    await nextFrame();
    expect(element.disabled).toBe(false);
  });
});

/// <reference types="vite/client" />
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ANNOUNCE_EVERY_MS } from "../src/announcer.js";
import { Store } from "../src/store.js";
import { BLOCK_TOKENS, TokenStream } from "../src/token_stream.js";
import { batch, byId, dropped, runState, tokens } from "./fakes.js";

let store: Store;
let stream: TokenStream;
let seq: number;

beforeEach(() => {
  store = new Store(() => undefined);
  stream = new TokenStream(store, new AbortController().signal);
  document.body.append(stream.element);
  seq = 0;
});

function say(content: Parameters<typeof batch>[1]): void {
  seq += 1;
  store.receive(batch(seq, { reset: seq === 1, ...content }));
  stream.draw();
}

const blocks = () => [...stream.log.querySelectorAll(".sv-block")];
const lines = () => blocks().map((block) => [...block.children].map((span) => span.textContent));
const spans = () => [...stream.log.querySelectorAll<HTMLElement>("[data-i]")];

describe("lines", () => {
  it("are one block each, with one span per token", () => {
    say({ tokens: tokens(["one", " two", "\n", "three", "}\n", "end"]) });
    expect(lines()).toEqual([["one", " two", ""], ["three", "}"], ["end"]]);
    expect(spans().map((span) => span.dataset["i"])).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(blocks().map((block) => block.textContent)).toEqual(["one two\n", "three}\n", "end"]);
  });

  it("keep blank lines and what follows a break inside a token", () => {
    say({ tokens: tokens(["a", "\n\n", "b", "\n  c", "d"]) });
    expect(blocks().map((block) => block.textContent)).toEqual(["a\n\n", "b\n", "  cd"]);
    expect(spans()).toHaveLength(5);
    expect(stream.log.querySelector("[data-tail]")?.textContent).toBe("  c");
  });

  it("are broken by force after 512 tokens", () => {
    say({ tokens: tokens(Array.from({ length: BLOCK_TOKENS + 1 }, () => "x")) });
    expect(blocks().map((block) => block.childElementCount)).toEqual([512, 1]);
  });

  it("go on over batches", () => {
    say({ tokens: tokens(["a"]) });
    say({ tokens: tokens(["b"]) });
    say({ tokens: tokens(["\n"]) });
    say({ tokens: tokens(["c"]) });
    expect(lines()).toEqual([["a", "b", ""], ["c"]]);
  });
});

describe("the line above the text", () => {
  const line = (drafter: "model" | "ngram" | "none", draft: string, length: number | "auto") => {
    say({ run_info: { main: "BIG", draft, drafter, num_draft_tokens: length } });
    return byId(stream.element, "run-info").textContent;
  };

  it("says what drafts, and how far", () => {
    expect(byId(stream.element, "run-info").textContent).toBe("");
    expect(line("model", "SMALL", 4)).toBe("BIG · draft SMALL · draft length 4");
    expect(line("model", "SMALL", "auto")).toBe("BIG · draft SMALL · draft length auto");
    expect(line("ngram", "n-gram lookup", "auto")).toBe("BIG · n-gram lookup · draft length auto");
    expect(line("none", "", "auto")).toBe("BIG · no draft");
  });
});

describe("tokens", () => {
  it("keep their nodes when more are appended, toggled or told about", () => {
    say({ tokens: tokens(["a", "b"]) });
    const before = spans();
    const created = vi.spyOn(document, "createElement");
    stream.show({ provenance: false, rejected: true });
    say({ stats: [] });
    expect(created).not.toHaveBeenCalled();
    say({ tokens: tokens(["c"]) });
    expect(created.mock.calls.filter(([tag]) => (tag as string) === "span")).toHaveLength(1);
    expect(spans().slice(0, 2)).toEqual(before);
    created.mockRestore();
  });

  it("stay text, whatever they hold", () => {
    const hostile = "<img src=x onerror=alert(1)>";
    say({
      run_info: { prompt: hostile, main: hostile },
      tokens: tokens([hostile, "\u202Eevil"], "aC"),
      dropped: dropped([[0, hostile, "r"]]),
    });
    expect(stream.element.querySelector("img")).toBeNull();
    expect(spans()[0]?.textContent).toBe(hostile);
    spans()[0]?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(byId(stream.element, "inspector").textContent).toContain("<img");
    expect(stream.element.querySelector("img")).toBeNull();
  });

  it("say their kind; a control token is a chip and no part of the text", () => {
    say({ tokens: tokens(["a", "b", "c", "<|im_end|>"], "acbP") });
    expect(spans().map((span) => span.dataset["kind"])).toEqual(["a", "c", "b", "P"]);
    expect(spans()[3]?.classList.contains("sv-control")).toBe(true);
    expect(stream.text()).toBe("abc");
  });

  it("are cleared by a reset and kept by a continuation", () => {
    say({ tokens: tokens(["a"]) });
    say({ run: 2, tokens: tokens(["b"]) });
    expect(lines()).toEqual([["a", "b"]]);
    say({ run: 3, reset: true, tokens: tokens(["c"]) });
    expect(lines()).toEqual([["c"]]);
    expect(spans()[0]?.dataset["i"]).toBe("0");
  });
});

describe("dropped tokens", () => {
  it("stand before the token they lost to, and break no line", () => {
    say({ tokens: tokens(["a", "b"], "ac"), dropped: dropped([[1, "x\ny", "r"], [1, "\r\n", "d"]]) });
    expect(lines()).toEqual([["a", "x↵y", "↵", "b"]]);
    expect([...stream.log.querySelectorAll<HTMLElement>(".x")].map((span) => span.dataset["fate"])).toEqual(["r", "d"]);
  });

  it("at the end wait there, before whatever comes next", () => {
    say({ tokens: tokens(["a"]), dropped: dropped([[1, "x", "e"]]) });
    expect(lines()).toEqual([["a", "x"]]);
    say({ tokens: tokens(["b"]) });
    expect(lines()).toEqual([["a", "x", "b"]]);
  });

  it("that run ahead of their token are held until it comes", () => {
    say({ tokens: tokens(["a"]), dropped: dropped([[2, "x", "r"]]) });
    expect(lines()).toEqual([["a"]]);
    say({ tokens: tokens(["b", "c"]) });
    expect(lines()).toEqual([["a", "b", "x", "c"]]);
  });

  it("that come late still find their place", () => {
    say({ tokens: tokens(["a", "b"]) });
    say({ dropped: dropped([[1, "x", "r"]]) });
    expect(lines()).toEqual([["a", "x", "b"]]);
  });

  it("are always there: showing them is a class on the container", () => {
    say({ tokens: tokens(["a"]), dropped: dropped([[0, "x", "r"]]) });
    const before = stream.log.querySelectorAll(".x").length;
    expect(stream.element.classList.contains("sv-rejected")).toBe(false);
    stream.show({ provenance: true, rejected: true });
    expect(stream.element.classList.contains("sv-rejected")).toBe(true);
    expect(stream.log.querySelectorAll(".x").length).toBe(before);
  });
});

describe("speaking", () => {
  it("announces whole sentences, not tokens, and the rest at the end", () => {
    vi.useFakeTimers();
    const spoken = byId(stream.element, "announcer");
    say({ tokens: tokens(["It", " works", ".", " And"]), state: runState("generating") });
    expect(spoken.textContent).toBe("");
    vi.advanceTimersByTime(ANNOUNCE_EVERY_MS);
    expect(spoken.textContent).toBe("It works.");
    say({ tokens: tokens([" more"]) });
    vi.advanceTimersByTime(ANNOUNCE_EVERY_MS);
    expect(spoken.textContent).toBe("It works.");
    say({ state: runState("finished") });
    vi.advanceTimersByTime(ANNOUNCE_EVERY_MS);
    expect(spoken.textContent).toBe("And more");
  });

  it("leaves the log itself quiet", () => {
    expect(stream.log.getAttribute("role")).toBe("log");
    expect(stream.log.getAttribute("aria-live")).toBe("off");
  });

  it("does not read out what a snapshot brings", () => {
    vi.useFakeTimers();
    store.receive({ type: "snapshot", seq: 5, run: 1, tokens: tokens(["Long. "]) });
    stream.draw();
    vi.advanceTimersByTime(10 * ANNOUNCE_EVERY_MS);
    expect(byId(stream.element, "announcer").textContent).toBe("");
  });
});

describe("scrolling", () => {
  function scrolledTo(top: number): void {
    Object.defineProperties(stream.log, {
      scrollHeight: { value: 1000, configurable: true },
      clientHeight: { value: 300, configurable: true },
    });
    stream.log.scrollTop = top;
    stream.log.dispatchEvent(new Event("scroll"));
  }

  it("follows the text only for a reader at its end", () => {
    scrolledTo(700);
    say({ tokens: tokens(["a"]) });
    expect(stream.log.scrollTop).toBe(1000);
    scrolledTo(100);
    say({ tokens: tokens(["b"]) });
    expect(stream.log.scrollTop).toBe(100);
    expect(byId(stream.element, "latest").hidden).toBe(false);
    byId(stream.element, "latest").click();
    expect(stream.log.scrollTop).toBe(1000);
  });
});

it("no module of the page writes markup", async () => {
  const sources = import.meta.glob("../src/*.ts", { query: "?raw", import: "default", eager: true }) as Record<string, string>;
  expect(Object.keys(sources).length).toBeGreaterThan(10);
  for (const [name, source] of Object.entries(sources)) {
    expect(source, name).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write/u);
  }
});

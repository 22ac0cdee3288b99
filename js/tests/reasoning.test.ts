import { beforeEach, describe, expect, it, vi } from "vitest";
import type { ReasoningColumns } from "../src/protocol.js";
import { Store } from "../src/store.js";
import { TokenStream } from "../src/token_stream.js";
import { batch, dropped, tokens } from "./fakes.js";

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

/** Stretches from number `from` on, each as [first token, kind]. */
function reasoning(from: number, ...all: [start: number, kind: string][]): ReasoningColumns {
  const caption = all.map(([start, kind]) => `${kind}${start}`);
  return { from, start: all.map(([start]) => start), kind: all.map(([, kind]) => kind).join(""), caption };
}

/** Per stretch its head and the text of its tokens, closed ones in brackets. */
const sections = () =>
  [...stream.log.querySelectorAll(".sv-stretch")].map(({ children: [head, body] }) => [
    head?.textContent,
    body instanceof HTMLElement && body.hidden ? `[${body.textContent}]` : body?.textContent,
  ]);
const heads = () => [...stream.log.querySelectorAll<HTMLButtonElement>("button.sv-stretch-head")];
const drawn = () => [...stream.log.querySelectorAll<HTMLElement>("[data-i]")].map(({ dataset }) => Number(dataset["i"]));

describe("reasoning", () => {
  it("is open while it goes on, and closed when it has ended", () => {
    say({ tokens: tokens(["<think>", "hm"]), reasoning: reasoning(0, [0, "o"]) });
    expect(sections()).toEqual([["o0", "<think>hm"]]);
    expect(heads()[0]?.getAttribute("aria-expanded")).toBe("true");
    say({ tokens: tokens(["</think>", "so"]), reasoning: reasoning(0, [0, "r"], [3, "a"]) });
    expect(sections()).toEqual([["r0", "[<think>hm</think>]"], ["a3", "so"]]);
    expect(heads()[0]?.getAttribute("aria-expanded")).toBe("false");
    say({ tokens: tokens([" it"]), reasoning: { ...reasoning(1, [3, "a"]), caption: ["more"] } });
    expect(sections()[1]).toEqual(["more", "so it"]);
  });

  it("opens and closes by its button, which the reader has the last word of", () => {
    say({ tokens: tokens(["hm"]), reasoning: reasoning(0, [0, "o"]) });
    heads()[0]?.click();
    expect(sections()).toEqual([["o0", "[hm]"]]);
    heads()[0]?.click();
    say({ tokens: tokens(["so"]), reasoning: reasoning(0, [0, "r"], [1, "a"]) });
    expect(sections()[0]).toEqual(["r0", "hm"]);
    expect(document.getElementById(heads()[0]?.getAttribute("aria-controls") ?? "")?.textContent).toBe("hm");
  });

  it("takes in tokens that were drawn before its tag was complete", () => {
    say({ tokens: tokens(["one\n", "two", "<th"]), dropped: dropped([[2, "x", "r"]]) });
    expect(sections()).toEqual([]);
    say({ tokens: tokens(["ink>", "hm"]), reasoning: reasoning(0, [0, "a"], [2, "o"]) });
    expect(sections()).toEqual([["a0", "one\ntwo"], ["o2", "x<think>hm"]]);
    expect(stream.log.querySelectorAll(".sv-block")).toHaveLength(3);
    expect(drawn()).toEqual([0, 1, 2, 3, 4]);
  });

  it("that the prompt began is known at its end", () => {
    say({ tokens: tokens(["hm", "\n", "hm"]) });
    say({ tokens: tokens(["</think>", "so"]), reasoning: reasoning(0, [0, "r"], [4, "a"]) });
    expect(sections()).toEqual([["r0", "[hm\nhm</think>]"], ["a4", "so"]]);
    expect(stream.text()).toBe("hm\nhm</think>so");
  });

  it("that was taken for the answer at first becomes reasoning where it stands", () => {
    say({ tokens: tokens(["a", "b"]), reasoning: reasoning(0, [0, "r"], [1, "a"]) });
    say({ tokens: tokens(["c"]), reasoning: reasoning(1, [1, "r"], [2, "a"]) });
    expect(sections()).toEqual([["r0", "[a]"], ["r1", "[b]"], ["a2", "c"]]);
  });

  it("is stepped over by the arrow keys while it is closed", () => {
    say({ tokens: tokens(["a", "b", "c\n", "d", "e"]), reasoning: reasoning(0, [0, "a"], [1, "r"], [4, "a"]) });
    HTMLElement.prototype.scrollIntoView = vi.fn();
    const cursor = () => stream.log.querySelector<HTMLElement>(".sv-cursor")?.dataset["i"];
    const press = (key: string) => stream.log.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const seen: (string | undefined)[] = [];
    for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"]) {
      press(key);
      seen.push(cursor());
    }
    heads()[0]?.click();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"]) {
      press(key);
      seen.push(cursor());
    }
    expect(seen).toEqual(["0", "4", "0", "0", "1", "2", "3"]);
  });

  it("goes with a reset", () => {
    say({ tokens: tokens(["a"]), reasoning: reasoning(0, [0, "o"]) });
    say({ reset: true, tokens: tokens(["b"]) });
    expect(sections()).toEqual([]);
    expect(drawn()).toEqual([0]);
  });

  it("holds no token that turns its neighbours round", () => {
    say({ tokens: tokens(["a\u2066\u202eb", "c"]), dropped: dropped([[1, "\u2069", "r"]]) });
    expect(stream.log.querySelector(".sv-block")?.textContent).toBe("a⟨2066⟩⟨202E⟩b⟨2069⟩c");
    expect(stream.text()).toBe("a\u2066\u202ebc");
  });

  it("stays text, whatever its caption says", () => {
    say({ tokens: tokens(["a"]), reasoning: { from: 0, start: [0], kind: "o", caption: ["<img src=x>"] } });
    expect(heads()[0]?.textContent).toBe("<img src=x>");
    expect(stream.element.querySelector("img")).toBeNull();
  });
});

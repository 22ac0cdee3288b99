import { beforeEach, describe, expect, it } from "vitest";
import type { Colour, RoundDetail } from "../src/protocol.js";
import { KEPT_DETAILS, Store } from "../src/store.js";
import { TokenStream } from "../src/token_stream.js";
import { batch, byId, roundDetail, tokenDetail } from "./fakes.js";

let store: Store;
let stream: TokenStream;
let asked: unknown[];

HTMLElement.prototype.scrollIntoView = () => undefined;

/** Round 0: "the big" accepted, "cat" refused, "sat" discarded, "dog" the correction; round 1: a plain token. */
beforeEach(() => {
  asked = [];
  store = new Store((message) => asked.push(message));
  stream = new TokenStream(store, new AbortController().signal);
  document.body.append(stream.element);
  store.receive(
    batch(1, {
      reset: true,
      tokens: { text: ["the", " big", " dog", "."], kind: "aacp", round: [0, 0, 0, 1], p: [0.9, 0.8, 0.73, 0.25], q: [0.7, 0.6, null, null] },
      dropped: { at: [2, 2], text: [" cat", " sat"], fate: "rd", round: [0, 0], q: [0.41, 0.3], p: [0.12, null] },
    }),
  );
  stream.show({ provenance: true, rejected: true });
  stream.draw();
});

const DETAIL: RoundDetail = roundDetail([
  tokenDetail("a", "the", { position: 1, index: 0, p: 0.9, q: 0.7, rank: 1, choice: "the", same: true }),
  tokenDetail("a", " big", { position: 2, index: 1, p: 0.8, q: 0.6, rank: 1, choice: " big", same: true }),
  tokenDetail("r", " cat", {
    position: 3,
    p: 0.003,
    q: 0.41,
    surprise: 8.4,
    rank: 7,
    choice: " dog",
    choice_p: 0.73,
    same: false,
    margin: 0.61,
    margin_logits: 1.81,
    main_top: { text: [" dog", " fox"], p: [0.73, 0.12], mark: ["c", ""] },
    draft_top: { text: [" cat", " fox"], p: [0.41, 0.2], mark: ["t", ""] },
  }),
  tokenDetail("d", " sat", { position: 4, q: 0.3 }),
  tokenDetail("c", " dog", { index: 2, p: 0.73, rank: 7, choice: " dog", same: true }),
]);

const card = () => byId(stream.element, "inspector");
const text = () => card().querySelector(".sv-in-content")?.textContent?.replace(/\u00a0/gu, " ") ?? "";
const token = (i: number) => stream.log.querySelector<HTMLElement>(`[data-i="${i}"]`) as HTMLElement;
const gone = (j: number) => stream.log.querySelector<HTMLElement>(`[data-dropped="${j}"]`) as HTMLElement;
const point = (at: HTMLElement) => at.dispatchEvent(new Event("pointerover", { bubbles: true }));
const press = (key: string, at: Element = stream.log) => at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const marked = () => [...stream.log.querySelectorAll(".sv-cursor")].map((span) => span.textContent);
const held = () => [...stream.log.querySelectorAll(".sv-held")].map((span) => span.textContent);

function answer(detail: RoundDetail = DETAIL): void {
  store.receive(detail);
}

describe("pointing at a token", () => {
  it("says at once what the page knows, asks for the round, and says the rest when it comes", () => {
    point(gone(0));
    expect(card().hidden).toBe(false);
    expect(text()).toContain("Refused␣catRound 0");
    expect(text()).toContain("Main p12.0 %Draft q41.0 %");
    expect(asked).toEqual([{ type: "inspect", run: 1, round: 0 }]);
    answer();
    expect(text()).toContain("Round 0 · draft token 3 of 4");
    expect(text()).toContain("The draft said “ cat” (q 41 %), the main model wanted “ dog” (p 73 %); the draft had it at rank 7.");
    expect(text()).toContain("Rank7Margin61.0 % · 1.8 logitsSurprise8.4 bits");
    expect(text()).toContain("Round: 23 msdrafting 5.0 msverifying 16 msother 2.0 ms");
  });

  it("asks for a round once, and not for one that is known", () => {
    point(token(0));
    point(token(1));
    answer();
    point(token(2));
    expect(asked).toHaveLength(1);
    point(token(3));
    expect(asked.at(-1)).toEqual({ type: "inspect", run: 1, round: 1 });
  });

  it("shows the two models' lists on one scale, the token and the choice marked, also beyond the list", () => {
    point(gone(0));
    answer();
    const rows = [...card().querySelectorAll("section")].map((list) =>
      [...list.querySelectorAll("li")].map((row) => [
        row.querySelector("code")?.textContent,
        row.dataset["mark"],
        row.querySelector<HTMLElement>(".sv-in-bar i")?.style.inlineSize,
        row.querySelector(".sv-in-number")?.textContent,
      ]),
    );
    expect(rows[0]).toEqual([["␣cat", "t", "41%", "41.0 %"], ["␣fox", "", "20%", "20.0 %"], ["␣dog", "c", "0%", "rank 7"]]);
    expect(rows[1]).toEqual([["␣dog", "c", "73%", "73.0 %"], ["␣fox", "", "12%", "12.0 %"], ["␣cat", "t", "0.3%", "0.3 %"]]);
  });

  it("marks it, and leaves nothing marked afterwards", () => {
    point(token(1));
    expect(marked()).toEqual([" big"]);
    stream.log.dispatchEvent(new Event("pointerleave"));
    expect([card().hidden, marked()]).toEqual([true, []]);
  });

  it("shows the round from left to right, the current token in it", () => {
    point(token(2));
    answer();
    const steps = [...card().querySelectorAll<HTMLElement>(".sv-in-step")];
    expect(steps.map((step) => [step.textContent, step.dataset["kind"] ?? step.dataset["fate"]])).toEqual([
      ["the", "a"],
      ["␣big", "a"],
      ["␣cat", "r"],
      ["␣sat", "d"],
      ["␣dog", "c"],
    ]);
    expect(steps.map((step) => step.getAttribute("aria-current"))).toEqual([null, null, null, null, "true"]);
  });

  it("says of dropped tokens which of them it is", () => {
    point(gone(1));
    answer();
    expect(text()).toContain("Discarded␣satRound 0 · draft token 4 of 4");
    expect(text()).toContain("It stood after “ cat”, which was refused");
  });
});

describe("pinning", () => {
  it("holds a token until it is clicked again, whatever is pointed at", () => {
    token(1).click();
    point(token(3));
    stream.log.dispatchEvent(new Event("pointerleave"));
    stream.log.dispatchEvent(new Event("blur"));
    expect([card().hidden, held()]).toEqual([false, [" big"]]);
    token(3).click();
    expect(held()).toEqual(["."]);
    token(3).click();
    expect([card().hidden, held(), marked()]).toEqual([true, [], []]);
  });

  it("ends with Escape from anywhere, with the close button, and with a click beside the tokens", () => {
    const ends = [
      () => press("Escape", document.body),
      () => card().querySelector<HTMLElement>(".sv-in-close")?.click(),
      () => stream.log.click(),
    ];
    for (const end of ends) {
      token(0).click();
      expect(card().hidden).toBe(false);
      end();
      expect([card().hidden, held()]).toEqual([true, []]);
    }
  });

  it("keeps the keys: the neighbours are reached by arrows and stay pinned", () => {
    token(1).click();
    press("ArrowRight");
    expect(held()).toEqual([" cat"]);
    press("ArrowRight");
    press("ArrowRight");
    expect(held()).toEqual([" dog"]);
    press("ArrowLeft", card());
    expect(held()).toEqual([" sat"]);
  });

  it("leads through the strip to tokens that are not shown in place", () => {
    stream.show({ provenance: true, rejected: false });
    token(2).click();
    answer();
    card().querySelectorAll<HTMLElement>(".sv-in-step")[2]?.click();
    expect(text()).toContain("Refused␣cat");
    expect(held()).toEqual([" cat"]);
    card().querySelectorAll<HTMLElement>(".sv-in-step")[0]?.click();
    expect(held()).toEqual(["the"]);
  });

  it("leaves a selection of text alone", () => {
    getSelection()?.selectAllChildren(token(1));
    token(1).click();
    expect(card().hidden).toBe(true);
    getSelection()?.removeAllRanges();
  });

  it("ends with a new run, whose rounds are other ones", () => {
    token(0).click();
    answer();
    store.receive(batch(2, { run: 2, reset: true, tokens: { text: ["new"], kind: "p", round: [0], p: [1], q: [null] } }));
    stream.draw();
    expect(card().hidden).toBe(true);
    store.receive(DETAIL);
    expect(store.detail(0)).toBeUndefined();
    expect(asked.at(-1)).toEqual({ type: "inspect", run: 2, round: 0 });
  });

  it("holds the text still while it goes on growing", () => {
    Object.defineProperty(stream.log, "scrollHeight", { value: 1000, configurable: true });
    token(0).click();
    store.receive(batch(2, { tokens: { text: ["x"], kind: "p", round: [2], p: [1], q: [null] } }));
    stream.draw();
    expect(stream.log.scrollTop).toBe(0);
    expect(byId(stream.element, "latest").hidden).toBe(false);
  });
});

describe("keys", () => {
  it("go from token to token, to dropped ones only where they are shown", () => {
    for (const at of ["the", " big", " cat", " sat", " dog"]) {
      press("ArrowRight");
      expect(marked()).toEqual([at]);
    }
    expect(held()).toEqual([]);
    stream.show({ provenance: true, rejected: false });
    press("ArrowLeft");
    expect(marked()).toEqual([" big"]);
    press("Escape");
    expect([card().hidden, marked()]).toEqual([true, []]);
    press("ArrowLeft");
    expect(marked()).toEqual(["."]);
  });

  it("pin with Enter and let go with it", () => {
    press("ArrowRight");
    press("Enter");
    expect(held()).toEqual(["the"]);
    press("Enter");
    expect([held(), marked()]).toEqual([[], ["the"]]);
  });

  it("tell what is gone to, again with what the kernel adds; pointing tells nothing", () => {
    const told = byId(stream.element, "announcer");
    point(token(0));
    expect(told.textContent).toBe("");
    press("ArrowRight");
    expect(told.textContent).toBe("Accepted “ big”. The draft proposed it and the main model agreed.");
    answer();
    expect(told.textContent?.replace(/\u00a0/gu, " ")).toBe(
      "Accepted “ big”. Round 0 · draft token 2 of 4. The draft said “ big” (q 60 %), and so did the main model (p 80 %).",
    );
  });

  it("leave a browser's own alone", () => {
    stream.log.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", altKey: true, bubbles: true }));
    expect(card().hidden).toBe(true);
  });
});

describe("text of any kind", () => {
  it("stays text, in the card, its strip, its lists and what is told", () => {
    const hostile = "<img src=x onerror=alert(1)>\u202E\u0000";
    const shown = "<img␣src=x␣onerror=alert(1)>⟨202E⟩⟨0000⟩";
    press("ArrowRight");
    answer(
      roundDetail([
        tokenDetail("a", hostile, {
          position: 1,
          index: 0,
          choice: hostile,
          same: true,
          main_top: { text: [hostile], p: [1], mark: ["tc"] },
          draft_top: { text: [hostile], p: [1], mark: ["tc"] },
        }),
      ]),
    );
    expect(stream.element.querySelector("img")).toBeNull();
    expect(text().split(shown).length - 1).toBeGreaterThanOrEqual(3);
    expect(stream.element.textContent).not.toContain("\u202E");
    expect(stream.element.textContent).not.toContain("\u0000");
    expect(byId(stream.element, "announcer").textContent).toContain("⟨202E⟩");
  });
});

describe("colours", () => {
  const shades = () => [...stream.log.querySelectorAll<HTMLElement>(".t, .x")].map((span) => span.style.getPropertyValue("--sv-v"));
  const show = (colour: Colour) => stream.show({ provenance: true, rejected: true, colour });
  const key = () => [...stream.element.querySelectorAll<HTMLElement>(".sv-key")].filter((list) => !list.hidden).map((list) => list.textContent);

  it.each([
    ["round", ["0.000", "0.000", "0.000", "0.000", "0.000", "1.000"], "the next"],
    ["p", ["0.900", "0.800", "0.120", "", "0.730", "0.250"], "main model’s p"],
    ["q", ["0.700", "0.600", "0.410", "0.300", "", ""], "draft’s q"],
    ["surprise", ["0.019", "0.040", "0.382", "", "0.057", "0.250"], "surprise"],
  ] as const)("by %s are stronger for more, none where nothing is known, and have a legend", (colour, expected, legend) => {
    show(colour);
    expect(shades()).toEqual(expected);
    expect(key()[0]).toContain(legend);
    expect(stream.element.classList.contains("sv-provenance")).toBe(false);
  });

  it("reach tokens that come later", () => {
    show("p");
    store.receive(batch(2, { tokens: { text: ["x\ny"], kind: "p", round: [2], p: [0.5], q: [null] } }));
    stream.draw();
    expect(shades().slice(-2)).toEqual(["0.500", "0.500"]);
  });

  it("leave no trace when provenance is back", () => {
    show("p");
    show("provenance");
    expect(stream.log.querySelector("[style]")).toBeNull();
    expect(stream.log.querySelector(".sv-shade")).toBeNull();
    expect(stream.element.classList.contains("sv-provenance")).toBe(true);
    expect(key()).toHaveLength(1);
  });

  it("end at the strongest for a token that the main model holds impossible", () => {
    store.receive(batch(2, { tokens: { text: ["x"], kind: "p", round: [2], p: [0], q: [null] } }));
    stream.draw();
    show("surprise");
    expect(shades().at(-1)).toBe("1.000");
  });
});

it("keeps the details of so many rounds and no more", () => {
  for (let round = 0; round <= KEPT_DETAILS; round++) store.receive(roundDetail([], { round }));
  expect(store.detail(KEPT_DETAILS)).toBeDefined();
  expect(store.detail(0)).toBeUndefined();
});

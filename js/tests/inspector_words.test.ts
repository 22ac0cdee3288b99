import { describe, expect, it } from "vitest";
import { mainTitle, noDraft, noMain, placeOf, ruleOf, spoken, whyOf } from "../src/inspector_words.js";
import type { RoundDetail, TokenDetail } from "../src/protocol.js";
import { quotable, roughly, visible } from "../src/words.js";
import { roundDetail, tokenDetail } from "./fakes.js";

const REJECTION = { rule: "rejection", drawn: true };

/** What is said, with ordinary spaces. */
function why(token: TokenDetail, more: Partial<RoundDetail> = {}, others: TokenDetail[] = []): string {
  return spoken(whyOf(token, roundDetail([...others, token], more))).replace(/\u00a0/gu, " ");
}

const accepted = tokenDetail("a", " the", { position: 1, index: 4, p: 0.9, q: 0.8, rank: 1, choice: " the", same: true, chance: 0.75 });
const refused = tokenDetail("r", " cat", { position: 2, p: 0.12, q: 0.41, rank: 2, choice: " dog", choice_p: 0.73, same: false, chance: 0.29 });
const correction = tokenDetail("c", " dog", { index: 5, p: 0.73, rank: 2, choice: " dog", same: true });
const discarded = tokenDetail("d", " sat", { position: 3, p: 0.5, q: 0.4 });
const unsent = (unsent_by: string | null, more: Partial<TokenDetail> = {}) => tokenDetail("u", " on", { position: 4, unsent_by, ...more });
const bare = (token: TokenDetail) => tokenDetail(token.kind, token.text, { position: token.position, index: token.index });

describe("why, by the rule match", () => {
  it("an accepted token was accepted", () => {
    expect(why(accepted)).toBe("The draft said “ the” (q 80 %), and so did the main model (p 90 %).");
    expect(why(accepted, { drawn: true })).toBe("The draft said “ the” (q 80 %), and the main model drew the same (p 90 %).");
  });

  it("a token was refused: what the main model wanted, and whether the draft knew it", () => {
    expect(why(refused)).toBe("The draft said “ cat” (q 41 %), the main model wanted “ dog” (p 73 %); the draft had it at rank 2.");
    expect(why(refused, { drawn: true })).toContain("the main model drew “ dog” (p 73 %)");
    expect(why({ ...refused, rank: 1204 })).toContain("rank 1,204.");
  });

  it("a token was refused where the text ended before the main model's own", () => {
    expect(why({ ...refused, choice: null, rank: null })).toBe(
      "The draft said “ cat” (q 41 %), the main model wanted another token; the text ended before it.",
    );
  });

  it("a correction stands there: the same, from its side", () => {
    expect(why(correction, {}, [refused])).toBe(why(refused));
  });
});

describe("why, by the rule rejection", () => {
  it("an accepted token was accepted", () => {
    expect(why(accepted, REJECTION)).toBe("The draft drew “ the” (q 80 %); the main model allows it (p 90 %), and it was kept.");
  });

  it("a token was refused", () => {
    const lost = "The draft drew “ cat” (q 41 %); the main model allows it (p 12 %), and it lost the draw.";
    expect(why(refused, REJECTION)).toBe(`${lost} “ dog” was drawn in its place.`);
    expect(why({ ...refused, choice: null }, REJECTION)).toBe(lost);
  });

  it("a correction stands there", () => {
    expect(why(correction, REJECTION, [refused])).toBe(
      "Drawn in place of “ cat”, from what the main model gives more than the draft does: max(0, p − q); the draft had it at rank 2.",
    );
  });

  it("with which chance a compared token was kept, and under match where tokens are drawn", () => {
    const rule = (token: TokenDetail, more: Partial<RoundDetail>) => ruleOf(token, roundDetail([token], more)).replace(/\u00a0/gu, " ");
    expect(rule(refused, REJECTION)).toBe("29 % chance to be kept: min(1, p/q), after the samplers.");
    expect(rule(refused, { drawn: true })).toContain("29 % chance to be kept: the main model’s own sample");
    expect(rule(discarded, REJECTION)).toBe("");
  });

  it("is as match at temperature 0", () => {
    const more = { rule: "rejection", drawn: false };
    for (const token of [accepted, refused]) expect(why(token, more)).toBe(why(token));
    expect(ruleOf(refused, roundDetail([refused], more))).toBe("");
  });
});

describe("why, by either rule", () => {
  it("a discarded token was discarded", () => {
    expect(why(discarded, {}, [refused])).toBe("It stood after “ cat”, which was refused, so it was never compared.");
    expect(why(discarded)).toContain("after a refused token");
  });

  it.each([
    ["p_min", { p_min: 0.5 }, { confidence: 0.123 }, "The probability cutoff stopped the draft here: its favourite had q 12 %, below 50 %."],
    ["p_min", { p_min: 0.8, drafter: "ngram" }, { confidence: 0.75 }, "The probability cutoff stopped the draft here: its trust was 75 %, below 80 %."],
    ["p_min", { p_min: 0.8 }, {}, "The probability cutoff stopped the draft here."],
    ["entropy", { entropy_max: 2 }, { entropy: 2.314 }, "The entropy cutoff stopped the draft here: its entropy was 2.31 nats, above 2.00."],
    ["entropy", {}, {}, "The entropy cutoff stopped the draft here."],
    ["auto", {}, { confidence: 0.34 }, "The automatic length ended before it: sending it did not promise to pay, its favourite had q 34 %."],
    ["auto", {}, {}, "The automatic length ended before it: sending it did not promise to pay."],
    ["probe", {}, { confidence: 0.34 }, "A probe: drafted only to see whether drafting would pay; its favourite had q 34 %."],
    ["n_min", { n_min: 3 }, {}, "The draft was shorter than the 3 tokens it takes to be sent."],
    ["stop", {}, {}, "The generation was stopped before the draft was sent."],
    [null, {}, {}, "It was drafted but dropped before the main model saw it."],
  ])("an unsent token was not sent: %s", (by, more, seen, said) => {
    expect(why(unsent(by, seen), more)).toBe(said);
  });

  it("an unsent token would have been right, or wrong", () => {
    expect(why(unsent("n_min", { choice: " on", same: true }), { n_min: 2 })).toContain("then chose the very same token.");
    expect(why(unsent("n_min", { choice: " in", choice_p: 0.6, same: false }), { n_min: 2 })).toContain("then chose “ in” (p 60 %).");
  });

  it.each([
    ["eosFound", "an end token"],
    ["stopStringFound", "a stop string"],
    ["maxPredictedTokensReached", "the token limit"],
    ["contextLengthReached", "the end of the context"],
    [null, "a stop"],
  ])("a token stands past the end: %s", (stop_reason, said) => {
    expect(why(tokenDetail("e", "x", { position: 1 }), { stop_reason })).toBe(`The main model agreed, but ${said} had already ended the text.`);
  });

  it("a bonus came", () => {
    const bonus = tokenDetail("b", "!", { p: 0.9 });
    expect(why(bonus, { sent: 4 })).toBe("All 4 drafted tokens were kept, so the main model’s pass gave one token more (p 90 %).");
    expect(why(bonus, { sent: 1 })).toContain("The drafted token was kept");
  });

  it("a plain token came", () => {
    const plain = tokenDetail("p", "!", { p: 0.9 });
    expect(why(plain)).toBe("The main model’s own token (p 90 %); nothing was drafted in this round.");
    expect(why(plain, {}, [unsent("probe")])).toContain("none of the draft was sent");
  });
});

describe("without detail", () => {
  it("says what is left, and never a number that is not there", () => {
    const all = [accepted, refused, correction, discarded, unsent("p_min"), tokenDetail("e", "x", { position: 1 }), tokenDetail("b", "!"), tokenDetail("p", "!")];
    for (const token of all) {
      for (const more of [{}, { drawn: true }, REJECTION, { drafter: "ngram" }]) {
        const said = why(bare(token), more, [bare(refused)]);
        expect(said).toMatch(/^[A-Z“].*\.$/u);
        expect(said).not.toMatch(/null|undefined|NaN|\(q|\(p|rank/u);
        expect(ruleOf(bare(token), roundDetail([], more))).toBe("");
      }
    }
  });

  it("says of a list why it is empty", () => {
    const bonus = tokenDetail("b", "!");
    expect(noDraft(refused, roundDetail([refused], { drafter: "ngram" }))).toContain("no probabilities");
    expect(noDraft(bonus, roundDetail([accepted, bonus]))).toBe("The draft did not come this far.");
    expect(noDraft(bonus, roundDetail([bonus], { drafter: "none" }))).toBe("There was none.");
    expect(noDraft(refused, roundDetail([refused]))).toBe("Not recorded.");
    expect(noMain(unsent("p_min"), roundDetail([], { sent: 2 }))).toBe("It was not asked here.");
    expect(noMain(unsent("p_min"), roundDetail([], { sent: 3 }))).toBe("Not recorded.");
  });
});

it("says where a token stands", () => {
  const detail = roundDetail([accepted, refused, correction], { round: 12 });
  expect(placeOf(refused, detail)).toBe("Round 12 · draft token 2 of 2");
  expect(placeOf(correction, detail)).toBe("Round 12 · closes it");
});

it("says where the main model was asked on a path it had left", () => {
  expect([mainTitle(discarded), mainTitle(refused)]).toEqual(["Main model, had the draft stood", "Main model"]);
});

describe("tokens in words", () => {
  it("show what cannot be seen, and stay in one line", () => {
    expect(visible(" a\tb\r\nc")).toBe("␣a⇥b↵c");
    expect(visible("\u0000\u202Eevil\u200B\u001b[31m")).toBe("⟨0000⟩⟨202E⟩evil⟨200B⟩⟨001B⟩[31m");
    expect(visible("")).toBe("(part of a character)");
    expect(visible("🌊".repeat(50), 3)).toBe("🌊🌊🌊…");
  });

  it("keep their spaces within a sentence, unless they are nothing else", () => {
    expect([quotable(" cat"), quotable("  "), quotable("")]).toEqual([" cat", "␣␣", "(part of a character)"]);
  });

  it("have shares of few digits", () => {
    const said = [0, 0.0004, 0.004, 0.0951, 0.412, 0.994, 0.9999, 1].map((value) => roughly(value).replace(/\u00a0/gu, " "));
    expect(said).toEqual(["0 %", "under 0.1 %", "0.4 %", "9.5 %", "41 %", "99.4 %", "100 %", "100 %"]);
  });
});

import { h } from "./dom.js";
import { isFate, mainTitle, meaningOf, nameOf, noDraft, noMain, placeOf, ruleOf, whyOf, type Phrase } from "./inspector_words.js";
import type { CandidateColumns, Maybe, RoundDetail, TokenDetail } from "./protocol.js";
import { milliseconds, percent, quotable, visible } from "./words.js";

/** What the page knows of a token by itself. */
export type Known = Pick<TokenDetail, "kind" | "text" | "p" | "q"> & { round: number };

/** Where a token of the round's strip is: an output token's index, or which of the round's dropped ones it is. */
export type Step = { index: number } | { dropped: number };

const LONGEST = 16;

/** Everything there is to say about one token; without `detail`, what the page knows of it. */
export function card(known: Known, token?: TokenDetail, detail?: RoundDetail): HTMLElement[] {
  if (!token || !detail) {
    return [
      head(known, `Round ${known.round}`),
      h("p", { class: "sv-in-why" }, meaningOf(known.kind)),
      figures([mainP(known), draftQ(known)]),
      h("p", { class: "sv-caption sv-in-late" }, "The kernel has not told more: it may be busy, or gone."),
    ];
  }
  const rule = ruleOf(token, detail);
  return [
    head(token, placeOf(token, detail), token.same === false ? token.choice : null),
    h("p", { class: "sv-in-why" }, ...phrase(whyOf(token, detail))),
    ...(rule ? [h("p", { class: "sv-caption" }, rule)] : []),
    strip(token, detail),
    candidates(token, detail),
    figures([
      mainP(token),
      draftQ(token),
      ["Rank", token.rank === null ? "—" : token.rank.toLocaleString("en"), "Place of the main model’s choice in the draft’s list"],
      ["Margin", margin(token), "The main model’s favourite over its second choice"],
      ["Surprise", token.surprise === null ? "—" : `${token.surprise.toFixed(1)}\u00a0bits`, "−log₂ p: how unexpected the main model finds the token"],
    ]),
    times(detail),
  ];
}

function head({ kind, text }: Pick<Known, "kind" | "text">, place: string, instead: string | null = null): HTMLElement {
  return h(
    "div",
    { class: "sv-row sv-in-head" },
    h("strong", { class: "sv-swatch", ...look(kind) }, nameOf(kind)),
    quoted(text),
    ...(instead === null ? [] : [h("span", { class: "sv-in-arrow" }, "→"), quoted(instead)]),
    h("span", { class: "sv-caption" }, place),
  );
}

function quoted(text: string): HTMLElement {
  return h("code", { class: "sv-quote" }, visible(text));
}

function phrase(parts: Phrase): (string | HTMLElement)[] {
  return parts.map((part) => (typeof part === "string" ? part : h("b", { class: "sv-said" }, `“${quotable(part.token)}”`)));
}

/** The round from left to right: the draft as it was proposed, then the main model's own token. */
function strip(token: TokenDetail, detail: RoundDetail): HTMLElement {
  let dropped = 0;
  const steps = detail.tokens.map((one) => {
    const place = one.index === null ? { "data-step-dropped": dropped++ } : { "data-step": one.index };
    const name = one === token ? { "aria-current": "true" } : {};
    const step = h(
      "button",
      { type: "button", class: "sv-swatch sv-in-step", title: nameOf(one.kind), ...look(one.kind), ...place, ...name },
      visible(one.text, LONGEST),
    );
    const closes = one.position === null && detail.drafted > 0;
    return closes ? h("span", { class: "sv-in-closing" }, h("span", { class: "sv-in-arrow", "aria-hidden": "true" }, "→"), step) : step;
  });
  return h("div", { class: "sv-in-round", role: "group", "aria-label": "The round: the draft, then the main model’s own token" }, ...steps);
}

/** Which token a click on the strip means. */
export function stepAt(target: EventTarget | null): Step | null {
  const step = target instanceof Element ? target.closest<HTMLElement>(".sv-in-step") : null;
  if (!step) return null;
  const { step: index, stepDropped } = step.dataset;
  return index === undefined ? { dropped: Number(stepDropped) } : { index: Number(index) };
}

function candidates(token: TokenDetail, detail: RoundDetail): HTMLElement {
  const { choice, choice_p, choice_q, same, rank } = token;
  const chosen = same === false ? choice : null;
  return h(
    "div",
    { class: "sv-in-tops", ...look(token.kind) },
    list("Draft model", token.draft_top, noDraft(token, detail), [
      [token.text, token.q, same ? "tc" : "t"],
      [chosen, choice_q, "c", rank === null ? "" : `rank ${rank.toLocaleString("en")}`],
    ]),
    list(mainTitle(token), token.main_top, noMain(token, detail), [
      [token.text, token.p, same ? "tc" : "t"],
      [chosen, choice_p, "c"],
    ]),
    h(
      "p",
      { class: "sv-caption sv-in-marks", "aria-hidden": "true" },
      h("span", {}, h("i", { class: "sv-in-this" }), "this token"),
      h("span", {}, h("b", {}, "✓"), "main model’s choice"),
    ),
  );
}

type Row = [text: string | null, p: Maybe, mark: string, otherwise?: string];

/** The most probable tokens as bars from 0 to 100 %, and below them those of `more` that are not among them. */
function list(title: string, top: CandidateColumns, empty: string, more: Row[]): HTMLElement {
  const rows: Row[] = top.text.map((text, i) => [text, top.p[i] ?? null, top.mark[i] ?? ""]);
  const beyond = more.filter(
    ([text, p, mark, otherwise]) => text !== null && (p !== null || otherwise) && !rows.some((row) => shares(row[2], mark)),
  );
  const items = rows.length ? [...rows.map((row) => item(row)), ...beyond.map((row) => item(row, true))] : [];
  return h(
    "section",
    { "aria-label": title },
    h("div", { class: "sv-caption" }, title),
    items.length ? h("ol", {}, ...items) : h("p", { class: "sv-caption sv-in-nothing" }, empty),
  );
}

function shares(mark: string, other: string): boolean {
  return [...other].some((letter) => mark.includes(letter));
}

function item([text, p, mark, otherwise]: Row, beyond = false): HTMLElement {
  const bar = h("i", {});
  bar.style.inlineSize = `${100 * (p ?? 0)}%`;
  const said = [mark.includes("t") ? "this token" : "", mark.includes("c") ? "the main model’s choice" : ""].filter(Boolean).join(", ");
  return h(
    "li",
    { class: beyond ? "sv-in-beyond" : undefined, "data-mark": mark },
    h("span", { class: "sv-in-mark", "aria-hidden": "true" }, mark.includes("c") ? "✓" : ""),
    quoted(text ?? ""),
    h("span", { class: "sv-in-bar", "aria-hidden": "true" }, bar),
    h("span", { class: "sv-in-number" }, p === null ? (otherwise ?? "—") : percent(p)),
    said ? h("span", { class: "sv-hidden" }, `(${said})`) : null,
  );
}

function margin({ margin, margin_logits }: TokenDetail): string {
  if (margin === null) return "—";
  return margin_logits === null ? percent(margin) : `${percent(margin)} · ${margin_logits.toFixed(1)}\u00a0logits`;
}

type Figure = [name: string, value: string, meaning: string];

function mainP({ p }: Pick<Known, "p">): Figure {
  return ["Main p", percent(p), "The main model’s probability of the token, before the sampler"];
}

function draftQ({ q }: Pick<Known, "q">): Figure {
  return ["Draft q", percent(q), "The draft’s probability of the token, before the sampler"];
}

function figures(rows: Figure[]): HTMLElement {
  return h(
    "dl",
    { class: "sv-figures" },
    ...rows.map(([name, value, meaning]) => h("div", { title: meaning }, h("dt", { class: "sv-caption" }, name), h("dd", {}, value))),
  );
}

/** Where the round's time went. */
function times({ draft_seconds, verify_seconds, other_seconds }: RoundDetail): HTMLElement {
  const parts = [
    ["drafting", draft_seconds],
    ["verifying", verify_seconds],
    ["other", other_seconds],
  ] as const;
  const total = draft_seconds + verify_seconds + other_seconds;
  const pieces = parts.map(([, seconds]) => {
    const piece = h("i", {});
    piece.style.flexGrow = String(total ? seconds / total : 0);
    return piece;
  });
  return h(
    "div",
    { class: "sv-in-times" },
    h("div", { class: "sv-in-time", "aria-hidden": "true" }, ...pieces),
    h(
      "div",
      { class: "sv-caption" },
      h("span", {}, `Round: ${milliseconds(total)}`),
      ...parts.map(([name, seconds]) => h("span", {}, h("i", { "data-part": name, "aria-hidden": "true" }), `${name} ${milliseconds(seconds)}`)),
    ),
  );
}

function look(kind: TokenDetail["kind"]): Record<string, string> {
  return isFate(kind) ? { "data-fate": kind } : { "data-kind": kind };
}

import { h } from "./dom.js";
import type { AnswerColumns, AuditColumns } from "./protocol.js";
import type { Replay } from "./replay.js";
import { Tooltip } from "./tooltip.js";
import { ALL, provenance } from "./what_if_figures.js";
import { inOneLine, PROVENANCE, PROVENANCE_MEANING, roughly, upright, visible } from "./words.js";

type Letter = keyof typeof PROVENANCE;

/** One token: two spans where a line ends within it. */
interface Drawn {
  spans: HTMLElement[];
  kind: string;
  opens: boolean;
  round: number;
  /** What was refused here; made when it is first to be seen. */
  refused: HTMLElement | null;
}

/** The answers as one text, built once; a setting only says how its spans are marked. */
export class WhatIfText {
  readonly element = h("div", { class: "sv-wi-text", role: "region", "aria-label": "Answers, token by token", tabindex: 0, "data-testid": "what-if-text" });
  readonly #audit: AuditColumns;
  readonly #answers: { section: HTMLElement; tokens: Drawn[]; favourites: Map<number, string>[] }[];
  #draft = 0;

  constructor(audit: AuditColumns, tooltip: Tooltip, signal: AbortSignal) {
    this.#audit = audit;
    this.#answers = audit.answers.map((answer, i) => {
      const { section, tokens } = built(answer, i);
      this.element.append(section);
      return { section, tokens, favourites: answer.drafts.map(({ matches, favourite }) => placed(matches, favourite)) };
    });
    const explain = (target: EventTarget | null) => {
      const span = target instanceof Element ? target.closest<HTMLElement>(".t") : null;
      const note = span && this.#explanation(span);
      if (span && note) tooltip.show(span.getClientRects()[0] ?? span.getBoundingClientRect(), ...note);
      else tooltip.hide();
    };
    this.element.addEventListener("pointerover", (event) => explain(event.target), { signal });
    this.element.addEventListener("pointerleave", () => tooltip.hide(), { signal });
    this.element.addEventListener("scroll", () => tooltip.hide(), { signal, passive: true });
  }

  /** Mark the tokens of what is shown: `replays` has one entry for each shown answer. */
  draw(answer: number, draft: number, replays: Replay[], rejected: boolean): void {
    this.#draft = draft;
    const shown = answer === ALL ? this.#answers : this.#answers.slice(answer, answer + 1);
    for (const one of this.#answers) one.section.hidden = !shown.includes(one);
    shown.forEach(({ tokens, favourites }, i) => {
      const one = replays[i];
      if (!one) return;
      const { kind, round } = provenance(one);
      tokens.forEach((token, at) => {
        mark(token, kind[at] ?? "p", round[at] ?? 0, at === 0 || round[at] !== round[at - 1]);
        refuse(token, rejected && kind[at] === "c" ? favourites[draft]?.get(at) : undefined);
      });
    });
  }

  #explanation(span: HTMLElement): Node[] | null {
    const [i, at] = [Number(span.dataset["answer"]), Number(span.dataset["i"] ?? span.dataset["tail"])];
    const [columns, answer] = [this.#audit.answers[i], this.#answers[i]];
    const [token, scores] = [answer?.tokens[at], columns?.drafts[this.#draft]];
    if (!columns || !token || !scores) return null;
    const kind = token.kind as Letter;
    const favourite = scores.matches[at] === "1" ? "the same" : visible(answer?.favourites[this.#draft]?.get(at) ?? "");
    return [
      h(
        "div",
        { class: "sv-row" },
        h("strong", { class: "sv-swatch", "data-kind": kind }, PROVENANCE[kind]),
        h("code", { class: "sv-quote" }, visible(columns.text[at] ?? "")),
      ),
      h("div", { class: "sv-meaning" }, PROVENANCE_MEANING[kind]),
      h(
        "div",
        { class: "sv-figures" },
        figure("Round", String(token.round + 1)),
        figure("Draft’s favourite", favourite),
        figure("Its confidence", roughly((scores.confidence[at] ?? 0) / 100)),
      ),
    ];
  }
}

function figure(name: string, value: string): HTMLElement {
  return h("div", {}, h("div", { class: "sv-caption" }, name), value);
}

/** Favourites by the position where they miss. */
function placed(matches: string, favourite: string[]): Map<number, string> {
  const found = new Map<number, string>();
  for (let at = 0; at < matches.length; at++) {
    if (matches[at] !== "1") found.set(at, favourite[found.size] ?? "");
  }
  return found;
}

function built(answer: AnswerColumns, number: number): { section: HTMLElement; tokens: Drawn[] } {
  const section = h("section", {}, h("div", { class: "sv-wi-prompt" }, answer.prompt));
  const control = new Set(answer.control);
  let block: HTMLElement | null = null;
  const open = () => {
    if (!block) section.append((block = h("div", { class: "sv-wi-line" })));
    return block;
  };
  const spanOf = (text: string, name: "i" | "tail", at: number, more = "") => {
    const span = document.createElement("span");
    span.className = `t${more}`;
    span.dataset["answer"] = String(number);
    span.dataset[name] = String(at);
    span.textContent = upright(text);
    open().append(span);
    return span;
  };
  const tokens = answer.text.map((text, at): Drawn => {
    const token: Drawn = { spans: [], kind: "", opens: false, round: 0, refused: null };
    const end = control.has(at) ? -1 : text.lastIndexOf("\n");
    if (end < 0) {
      token.spans.push(spanOf(text, "i", at, control.has(at) ? " sv-control" : ""));
      return token;
    }
    token.spans.push(spanOf(text.slice(0, end), "i", at, " sv-newline"));
    open().append("\n");
    block = null;
    if (end + 1 < text.length) token.spans.push(spanOf(text.slice(end + 1), "tail", at));
    return token;
  });
  return { section, tokens };
}

function mark(token: Drawn, kind: string, round: number, opens: boolean): void {
  token.round = round;
  if (token.kind !== kind) {
    token.kind = kind;
    for (const span of token.spans) span.dataset["kind"] = kind;
  }
  if (token.opens !== opens) {
    token.opens = opens;
    token.spans[0]?.classList.toggle("sv-opens", opens);
  }
}

function refuse(token: Drawn, text: string | undefined): void {
  if (text === undefined) {
    if (token.refused) token.refused.hidden = true;
    return;
  }
  if (!token.refused) {
    token.refused = h("span", { class: "x", "data-fate": "r" });
    token.spans[0]?.before(token.refused);
  }
  token.refused.hidden = false;
  const shown = inOneLine(text);
  if (token.refused.textContent !== shown) token.refused.textContent = shown;
}

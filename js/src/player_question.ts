import { h, icon, setText } from "./dom.js";
import type { Playback } from "./player_playback.js";
import { asked, scored, told, type Chip, type Question } from "./player_workshop.js";
import { inOneLine } from "./words.js";

const BEFORE = "The replay stops before each verdict and asks.";

/** The workshop: the question before a verdict, then what happened, and the score. */
export class QuestionPanel {
  readonly element: HTMLElement;
  readonly #playback: Playback;
  readonly #words = h("p", { class: "sv-pl-words", role: "status", "data-testid": "workshop-words" });
  readonly #chips = h("p", { class: "sv-pl-chips", "data-testid": "workshop-chips" });
  readonly #buttons = h("div", { class: "sv-row sv-pl-answers" });
  readonly #score = h("p", { class: "sv-caption sv-pl-score", "data-testid": "workshop-score" });
  /** What is drawn: a question or a verdict, by identity. */
  #drawn: unknown = undefined;

  constructor(playback: Playback) {
    this.#playback = playback;
    const said = h("div", { class: "sv-row sv-pl-said" }, this.#words, this.#score);
    this.element = h("div", { class: "sv-pl-question", role: "group", "aria-label": "Workshop", tabindex: -1, "data-testid": "workshop" }, said, this.#chips, this.#buttons);
  }

  /** `focused`: the focus is in the player, and follows what is to be done. */
  draw(focused: boolean): void {
    const { workshop } = this.#playback;
    this.element.hidden = !workshop.on;
    setText(this.#score, scored(workshop));
    const { question, verdict } = workshop;
    const drawn = workshop.on ? (question ?? verdict) : undefined;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const inside = this.element.contains(document.activeElement);
    if (question) this.#ask(question);
    else if (verdict) this.#tell(verdict.question, verdict.right);
    else this.#wait();
    this.element.dataset["state"] = question ? "asking" : verdict ? (verdict.right ? "right" : "wrong") : "waiting";
    if (!(drawn ? focused : inside)) return;
    const next = verdict ? this.#buttons.querySelector("button") : this.element;
    next?.focus({ preventScroll: true });
  }

  #wait(): void {
    setText(this.#words, BEFORE);
    this.#chips.replaceChildren();
    this.#buttons.replaceChildren();
  }

  #ask(question: Question): void {
    setText(this.#words, asked(question));
    this.#chips.replaceChildren(...question.drafted.map(({ text }) => chip({ text, fate: null, kind: null })));
    const labels = question.sent === 1 ? ["No", "Yes"] : Array.from({ length: question.sent + 1 }, (_, n) => String(n));
    this.#buttons.replaceChildren(
      ...labels.map((label, n) => {
        const keys = n < 10 ? { "aria-keyshortcuts": String(n) } : {};
        const button = h("button", { type: "button", class: "sv-button sv-pl-answer", "data-testid": `answer-${n}`, ...keys }, label);
        button.addEventListener("click", () => this.#playback.answer(n));
        return button;
      }),
    );
  }

  #tell(question: Question, right: boolean): void {
    setText(this.#words, `${right ? "Right." : "Not quite."} ${told(question)}`);
    const { closing } = question;
    this.#chips.replaceChildren(...question.drafted.map(chip), ...(closing ? [chip(closing)] : []));
    const ended = this.#playback.playhead.ended;
    const next = h("button", { type: "button", class: "sv-button", "data-testid": "workshop-next" }, icon("play"), ended ? "Play again" : "Next");
    next.addEventListener("click", () => this.#playback.play());
    this.#buttons.replaceChildren(next);
  }
}

/** The drafted tokens of an open question after the text of a token stream, as long as they are neither kept nor refused. */
export class Ghosts {
  readonly #log: HTMLElement;
  readonly #element = h("span", { class: "sv-ghosts", "aria-hidden": "true", "data-testid": "ghosts" });
  #question: Question | null = null;

  constructor(log: HTMLElement) {
    this.#log = log;
  }

  /** To be called when the text stands as it is. */
  draw(question: Question | null): void {
    if (question === this.#question) return;
    this.#question = question;
    this.#element.remove();
    if (!question) return;
    this.#element.replaceChildren(...question.drafted.map(({ text }) => h("span", { class: "sv-ghost" }, inOneLine(text))));
    const last = this.#log.lastElementChild;
    const open = last?.matches(".sv-block") && !last.textContent?.endsWith("\n");
    (open ? last : this.#log)?.append(this.#element);
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

function chip({ text, fate, kind }: Chip): HTMLElement {
  const what = fate === "a" ? { "data-kind": "a" } : fate ? { "data-fate": fate } : kind ? { "data-kind": kind } : {};
  return h("span", { class: "sv-swatch sv-pl-chip", ...what }, inOneLine(text));
}

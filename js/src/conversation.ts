import type { AnyModel } from "@anywidget/types";
import { download, h, icon, uniqueId, type Icon } from "./dom.js";
import type { ExplorerTraits, FileMessage, PageMessage, TurnColumns } from "./protocol.js";
import type { SettingsModel } from "./settings.js";
import type { Store } from "./store.js";
import { count, upright } from "./words.js";

/** What was said before the turn in the token stream, and what can be said next. */
export class ConversationView {
  /** The name, what can be done with the whole, and the earlier turns. */
  readonly above: HTMLElement;
  /** The box for a follow-up. */
  readonly below: HTMLElement;

  readonly #store: Store;
  readonly #settings: SettingsModel;
  readonly #ask: (message: PageMessage) => void;
  readonly #turns = h("ol", {});
  readonly #scroller: HTMLElement;
  readonly #box: HTMLTextAreaElement;
  readonly #send: HTMLButtonElement;
  readonly #regenerate: HTMLButtonElement;
  readonly #undo: HTMLButtonElement;
  readonly #fresh: HTMLButtonElement;
  readonly #save: HTMLButtonElement;
  /** By which it is known to the kernel; `crypto.randomUUID` needs HTTPS. */
  readonly #id = Math.random().toString(36).slice(2);

  #drawn: TurnColumns[] | null = null;
  #drawnUser = "";
  #free = true;
  /** The run that a follow-up was sent in; its text stays until another begins. */
  #sentIn: number | null = null;

  /** `ask` asks the kernel for a run. */
  constructor(store: Store, settings: SettingsModel, model: AnyModel<ExplorerTraits>, ask: (message: PageMessage) => void, signal: AbortSignal) {
    this.#store = store;
    this.#settings = settings;
    this.#ask = ask;
    this.#undo = button("undo", "Undo", "restart", () => settings.send({ type: "undo" }));
    this.#undo.title = "Bring back what was replaced";
    this.#fresh = button("new", "New", "plus", () => settings.send({ type: "new" }));
    this.#fresh.title = "New conversation";
    this.#save = button("save", "Save", "down", () => settings.send({ type: "save", id: this.#id }));
    this.#save.title = "Save the conversation with its traces";
    this.#scroller = h("div", { class: "sv-turns", role: "region", "aria-label": "Earlier turns", tabindex: 0, hidden: true, "data-testid": "turns" }, this.#turns);
    this.above = h(
      "section",
      { class: "sv-conversation", "aria-label": "Conversation" },
      h("div", { class: "sv-row" }, this.#name(), this.#undo, this.#fresh, this.#save),
      this.#scroller,
    );
    this.#box = h("textarea", {
      id: uniqueId("follow-up"),
      rows: 1,
      class: "sv-prompt-box sv-say",
      placeholder: "Ask a follow-up…",
      spellcheck: "false",
      "data-testid": "follow-up",
    });
    this.#send = button("send", "Send", "play", () => this.#followUp(), "sv-button");
    this.#regenerate = button("regenerate", "Regenerate", "refresh", () => ask({ type: "regenerate" }), "sv-button");
    this.#regenerate.title = "Answer the last turn anew";
    this.#box.addEventListener("input", () => this.draw(this.#free));
    onEnter(this.#box, () => this.#followUp());
    this.below = h(
      "div",
      { class: "sv-row sv-composer" },
      h("label", { class: "sv-hidden", for: this.#box.id }, "Follow-up"),
      this.#box,
      this.#send,
      this.#regenerate,
    );
    settings.follow(["show_provenance"], () => this.#turns.classList.toggle("sv-provenance", settings.get("show_provenance")));
    const receive = (message: FileMessage, buffers: DataView[]) => {
      const [data] = buffers;
      if (message.type === "file" && message.id === this.#id && data) download(message.name, data, "application/jsonl");
    };
    model.on("msg:custom", receive);
    signal.addEventListener("abort", () => model.off("msg:custom", receive), { once: true });
  }

  /** `free`: a run may be asked for. */
  draw(free: boolean): void {
    const { conversation, runInfo, tokens, run } = this.#store;
    const { turns, can_undo } = conversation;
    const user = runInfo.prompt ?? "";
    const answered = tokens.text.length > 0;
    const changed = turns !== this.#drawn || user !== this.#drawnUser;
    if (changed) this.#drawTurns(turns, user);
    if (changed || free !== this.#free) {
      for (const one of this.#turns.querySelectorAll<HTMLButtonElement>("[data-testid=edit], [data-testid=ask-again]")) one.disabled = !free;
    }
    this.#free = free;
    if (this.#sentIn !== null && run !== this.#sentIn) {
      this.#sentIn = null;
      this.#box.value = "";
    }
    this.#undo.hidden = !can_undo;
    this.#undo.disabled = !free;
    this.#fresh.disabled = !free || !user;
    this.#save.disabled = !answered && turns.length === 0;
    this.#regenerate.disabled = !free || !user;
    this.#box.disabled = !user;
    this.#send.disabled = !free || !answered || !this.#box.value.trim();
  }

  /** The element that a key leads to. */
  get box(): HTMLElement {
    return this.#box;
  }

  /** Send the box that has the focus; whether one has. */
  submit(): boolean {
    const { activeElement } = document;
    const form = activeElement?.closest<HTMLElement>(".sv-edit");
    if (activeElement === this.#box) this.#followUp();
    else if (form && this.#turns.contains(form)) form.querySelector<HTMLButtonElement>("[data-testid=ask-again]")?.click();
    else return false;
    return true;
  }

  #followUp(): void {
    const text = this.#box.value;
    if (this.#send.disabled) return;
    this.#sentIn = this.#store.run;
    this.#ask({ type: "follow_up", text });
  }

  #name(): HTMLElement {
    const name = h("input", { type: "text", class: "sv-name", "aria-label": "Name of the conversation", placeholder: "Unnamed conversation", maxlength: 200, spellcheck: "false", "data-testid": "name" });
    name.addEventListener("input", () => this.#settings.set("name", name.value));
    name.addEventListener("change", () => this.#settings.flush());
    onEnter(name, () => this.#box.focus());
    this.#settings.follow(["name"], () => {
      const text = this.#settings.get("name") ?? "";
      if (name.value !== text) name.value = text;
    });
    return name;
  }

  #drawTurns(turns: TurnColumns[], user: string): void {
    const focused = this.#turns.contains(document.activeElement);
    const grown = turns.length !== this.#drawn?.length;
    this.#drawn = turns;
    this.#drawnUser = user;
    this.#scroller.hidden = turns.length === 0;
    const said = turns.map((turn, i) => h("li", {}, this.#said(turn.user, i), answer(turn)));
    if (turns.length > 0 && user) said.push(h("li", {}, this.#said(user, turns.length)));
    this.#turns.replaceChildren(...said);
    if (focused) this.#box.focus({ preventScroll: true });
    if (grown) this.#scroller.scrollTop = 0; // its end
  }

  /** What the user said, with a button to say something else. */
  #said(user: string, turn: number): HTMLElement {
    const edit = button("edit", "Edit", "edit", () => said.replaceWith(this.#editor(user, turn, said)));
    edit.setAttribute("aria-label", `Edit turn ${turn + 1}`);
    const said = h("div", { class: "sv-said-row" }, edit, h("p", { class: "sv-user" }, h("span", { class: "sv-hidden" }, "You: "), user));
    return said;
  }

  #editor(user: string, turn: number, said: HTMLElement): HTMLElement {
    const later = (this.#drawn?.length ?? 0) - turn;
    const box = h("textarea", { id: uniqueId("edit"), rows: 2, class: "sv-prompt-box sv-say", spellcheck: "false", "data-testid": "edit-box" });
    box.value = user;
    const cancel = () => {
      form.replaceWith(said);
      said.querySelector("button")?.focus();
    };
    const askAgain = button("ask-again", "Ask again", "play", () => this.#ask({ type: "edit", turn, text: box.value }), "sv-button");
    onEnter(box, () => askAgain.click());
    const form = h(
      "div",
      { class: "sv-edit" },
      h("label", { class: "sv-hidden", for: box.id }, `Turn ${turn + 1}`),
      box,
      h(
        "div",
        { class: "sv-row" },
        h("p", { class: "sv-caption" }, later ? `Its answer and ${count(later, "later turn")} go; Undo brings them back.` : "Its answer goes; Undo brings it back."),
        button("cancel", "Cancel", "close", cancel, "sv-button"),
        askAgain,
      ),
    );
    form.addEventListener("keydown", (event) => event.key === "Escape" && cancel());
    queueMicrotask(() => box.focus());
    return form;
  }
}

/** A system prompt, and what answers have to look like. */
export function instructions(settings: SettingsModel): HTMLElement[] {
  return [
    textControl(settings, "system", "System prompt", "The model’s own, if it has one"),
    textControl(settings, "json_schema", "JSON schema of the answer", "None: the answer is free"),
  ];
}

function textControl(settings: SettingsModel, name: "system" | "json_schema", label: string, placeholder: string): HTMLElement {
  const id = uniqueId(name);
  const box = h("textarea", { id, rows: 2, class: "sv-text", placeholder, spellcheck: "false", "data-testid": name });
  box.addEventListener("input", () => settings.set(name, box.value));
  box.addEventListener("change", () => settings.flush());
  settings.follow([name], () => {
    const text = settings.get(name) ?? "";
    if (box.value !== text) box.value = text;
  });
  return h("div", { class: "sv-field" }, h("label", { for: id }, label), box);
}

function answer({ text, kind, caption }: TurnColumns): HTMLElement {
  const runs = text.map((run, i) => h("span", { class: "t", "data-kind": kind[i] ?? "p" }, upright(run)));
  return h(
    "div",
    { class: "sv-answer" },
    h("p", {}, h("span", { class: "sv-hidden" }, "Answer: "), ...runs),
    h("p", { class: "sv-caption" }, caption),
  );
}

function button(testid: string, label: string, glyph: Icon, act: () => void, className = "sv-quiet"): HTMLButtonElement {
  const element = h("button", { type: "button", class: className, "data-testid": testid }, icon(glyph), h("span", {}, label));
  element.addEventListener("click", act);
  return element;
}

/** Enter acts; with Shift it is a new line, and while characters are composed it belongs to the input method. */
function onEnter(box: HTMLElement, act: () => void): void {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    event.preventDefault();
    act();
  });
}

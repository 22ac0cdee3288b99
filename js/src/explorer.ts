import type { AnyModel } from "@anywidget/types";
import { isUrl, NGRAM, NO_DRAFT } from "./choices.js";
import { choiceControl, colourControl, numberControl, seedControl, switchControl } from "./controls.js";
import { ConversationView, instructions } from "./conversation.js";
import { h, icon, keepKeys, perFrame, setText, uniqueId, type Icon } from "./dom.js";
import { enginesView } from "./engines_view.js";
import { ModelPicker } from "./model_picker.js";
import { plotRow, roundRow, statsGroup, tokenStream } from "./parts.js";
import type { PickerStore } from "./picker_store.js";
import { busy, type ExplorerTraits, type PageMessage, type Phase, type RunState } from "./protocol.js";
import { savePageButton } from "./save_page.js";
import { SettingsModel } from "./settings.js";
import { ariaKeys, keysOf, keysView, listenForKeys, type Shortcut } from "./shortcuts.js";
import type { Store } from "./store.js";
import { Tiles } from "./tiles.js";
import { toldView } from "./told.js";
import { AUTO_LENGTH, PHASE, RULES, WITHOUT_MODEL } from "./words.js";

/** Below this width (px) the sidebar goes under the prompt, folded. The same figure stands in styles.css. */
const NARROW = 860;
/** How long the kernel may take to answer before the page says that it waits, and before it lets one ask again. */
const WAITING_MS = 1500;
const GIVE_UP_MS = 10_000;

type Request = PageMessage["type"];
type Pressed = "generate" | "stop" | "continue";

/** The dashboard: prompt, text, plots on the left; models, settings, statistics on the right. */
export class Explorer {
  readonly element: HTMLElement;
  readonly #store: Store;
  readonly #settings: SettingsModel;
  readonly #models: PickerStore;
  readonly #signal: AbortSignal;
  readonly #buttons: Record<Pressed, HTMLButtonElement>;
  readonly #conversation: ConversationView;
  readonly #status = h("div", { class: "sv-status", role: "status", "data-testid": "status" });
  readonly #statusText = h("span", { class: "sv-status-text" });
  readonly #banner: HTMLElement;
  readonly #bannerTitle = h("strong", {});
  readonly #bannerMessage = h("p", {});
  readonly #bannerDetail = h("pre", {});
  readonly #bannerFold: HTMLDetailsElement;
  readonly #prompt: HTMLTextAreaElement;
  readonly #summary = h("span", { class: "sv-summary-text" });
  readonly #side: HTMLDetailsElement;
  readonly #wide: HTMLButtonElement;
  /** The draft that was switched off last. */
  #draft = "";

  /** Asked of the kernel and not answered by a new state yet. */
  #asked: Request | null = null;
  #slow = false;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #stateSeen: RunState;

  constructor(store: Store, models: PickerStore, model: AnyModel<ExplorerTraits>, signal: AbortSignal) {
    this.#store = store;
    this.#models = models;
    this.#signal = signal;
    this.#stateSeen = store.state;
    this.#settings = new SettingsModel(model, signal);
    this.#buttons = {
      generate: this.#button("generate", "Generate", "play", "sv-primary"),
      stop: this.#button("stop", "Stop", "stop"),
      continue: this.#button("continue", "Continue", "next"),
    };
    this.#conversation = new ConversationView(store, this.#settings, model, (message) => this.#ask(message), signal);
    this.#status.append(h("span", { class: "sv-progress", "aria-hidden": "true" }), this.#statusText);
    this.#bannerFold = h("details", {}, h("summary", {}, "Details"), this.#bannerDetail);
    this.#banner = h(
      "div",
      { class: "sv-banner", role: "alert", "data-testid": "banner", hidden: true },
      icon("alert"),
      h("div", {}, this.#bannerTitle, this.#bannerMessage, this.#bannerFold),
    );
    this.#prompt = h("textarea", {
      id: uniqueId("prompt"),
      rows: 2,
      class: "sv-prompt-box",
      placeholder: "Write a prompt…",
      spellcheck: "false",
      "data-testid": "prompt",
    });
    this.#wide = h(
      "button",
      { type: "button", class: "sv-quiet sv-icon-button", "aria-label": "Full width", "aria-pressed": "false", "data-testid": "wide" },
      icon("wide"),
    );
    this.#wide.addEventListener("click", () => this.#setWide(!this.#isWide), { signal });
    const keys = this.#shortcuts();
    this.#side = h("details", { class: "sv-settings", open: true }, h("summary", {}, "Settings", this.#summary), this.#controls(keysView(keys)));
    const tools = [
      colourControl(this.#settings),
      switchControl(this.#settings, "show_rejected", "Show rejected", "toggle-rejected"),
      savePageButton(model as AnyModel, signal, store),
    ];
    const tiles = new Tiles(store, signal);
    this.#settings.follow(["metrics"], () => tiles.show(this.#settings.get("metrics")));

    const layout = h(
      "div",
      { class: "sv-layout" },
      h("div", { class: "sv-ask" }, this.#promptArea(), this.#banner),
      h(
        "div",
        { class: "sv-main" },
        tiles.element,
        this.#conversation.above,
        tokenStream(store, { model: model as AnyModel, signal }, ...tools),
        this.#conversation.below,
        roundRow(store, signal),
        plotRow(store, signal),
      ),
      h(
        "aside",
        { class: "sv-side", "aria-label": "Settings and statistics" },
        this.#side,
        statsGroup(store, this.#settings, { model: model as AnyModel, signal }),
      ),
    );
    this.element = h("div", { class: "specviz sv-explorer", tabindex: -1, "data-testid": "explorer" }, layout);
    this.#nameKeys(keys);
    listenForKeys(this.element, keys, signal);
    keepKeys(this.element, signal);
    this.#foldWhenNarrow();
    store.subscribe(perFrame(() => this.draw(), signal), signal);
    signal.addEventListener("abort", () => this.#timers.forEach(clearTimeout), { once: true });
    this.draw();
  }

  draw(): void {
    const { state } = this.#store;
    if (state !== this.#stateSeen) {
      this.#stateSeen = state;
      if (answers(state, this.#asked)) this.#answered();
    }
    const phase: Phase = this.#asked === "stop" ? "stopping" : state.phase;
    const working = busy(phase) || this.#asked !== null;
    for (const [request, button] of Object.entries(this.#buttons)) button.disabled = !this.#may(request as Pressed);
    this.#conversation.draw(this.#may("follow_up"));
    this.element.classList.toggle("sv-conversing", this.#store.conversation.turns.length > 0);
    const { activeElement } = document;
    // A button that is disabled loses the focus to the page, and the keys with it.
    if (activeElement instanceof HTMLButtonElement && activeElement.disabled && this.element.contains(activeElement)) {
      this.element.focus({ preventScroll: true });
    }

    const failed = phase === "crashed" || phase === "failed";
    this.#status.dataset["phase"] = phase;
    this.#status.classList.toggle("sv-working", working);
    setText(this.#statusText, this.#statusLine(phase));
    this.#banner.hidden = !failed;
    setText(this.#bannerTitle, failed ? PHASE[phase] : "");
    setText(this.#bannerMessage, failed ? state.message : "");
    setText(this.#bannerDetail, failed ? state.detail : "");
    this.#bannerFold.hidden = !state.detail;
  }

  #statusLine(phase: Phase): string {
    if (this.#asked && this.#slow) return "Waiting for the kernel: another cell may be running";
    if (this.#asked && this.#asked !== "stop") return "Starting";
    const { message } = this.#store.state;
    if (phase === "crashed" || phase === "failed") return PHASE[phase];
    if (phase === "stopping") return PHASE.stopping;
    return [PHASE[phase], message, busy(phase) ? this.#nextPair() : ""].filter(Boolean).join(" · ");
  }

  /** What was chosen since the run under way began. */
  #nextPair(): string {
    const settings = this.#settings;
    const [main, draft] = settings.get("launched") ?? [];
    const next = { main: settings.get("main"), draft: settings.get("draft") };
    if (main === undefined || (main === next.main && draft === next.draft)) return "";
    const name = (key: string) => this.#models.nameOf(key) ?? WITHOUT_MODEL[key] ?? key;
    return `the next run takes ${name(next.main)} with ${name(next.draft)}`;
  }

  /** Whether the kernel would do it now. */
  #may(request: Request): boolean {
    const { can_generate, can_stop, can_continue } = this.#store.state;
    return this.#asked === null && (request === "stop" ? can_stop : request === "continue" ? can_continue : can_generate);
  }

  #ask(message: PageMessage): void {
    if (!this.#may(message.type)) return;
    this.#asked = message.type;
    this.#settings.send(message);
    this.#timers = [
      setTimeout(() => {
        this.#slow = true;
        this.draw();
      }, WAITING_MS),
      setTimeout(() => {
        this.#answered();
        this.draw();
      }, GIVE_UP_MS),
    ];
    this.draw();
  }

  #answered(): void {
    this.#timers.forEach(clearTimeout);
    this.#timers = [];
    this.#asked = null;
    this.#slow = false;
  }

  #button(request: Pressed, label: string, glyph: Icon, className = ""): HTMLButtonElement {
    const button = h("button", { type: "button", class: `sv-button ${className}`.trim(), "data-testid": request }, icon(glyph), label);
    button.addEventListener("click", () => this.#ask({ type: request }), { signal: this.#signal });
    return button;
  }

  #promptArea(): HTMLElement {
    const prompt = this.#prompt;
    const settings = this.#settings;
    prompt.addEventListener("input", () => settings.set("prompt", prompt.value));
    prompt.addEventListener("change", () => settings.flush());
    settings.follow(["prompt"], () => {
      const text = settings.get("prompt") ?? "";
      if (prompt.value !== text) prompt.value = text;
    });
    const presets = h("div", { class: "sv-presets", role: "group", "aria-label": "Example prompts" });
    settings.follow(["presets", "prompt"], () => {
      const texts = settings.get("presets") ?? [];
      if (presets.childElementCount !== texts.length || texts.some((text, i) => presets.children[i]?.textContent !== text)) {
        presets.replaceChildren(...texts.map((text) => this.#preset(text)));
      }
      for (const chip of presets.children) chip.setAttribute("aria-pressed", String(chip.textContent === settings.get("prompt")));
      presets.hidden = texts.length === 0;
    });
    return h(
      "div",
      { class: "sv-prompt-area" },
      h("label", { class: "sv-hidden", for: prompt.id }, "Prompt"),
      prompt,
      presets,
      h("div", { class: "sv-row sv-actions" }, ...Object.values(this.#buttons), this.#status, this.#wide),
    );
  }

  #preset(text: string): HTMLElement {
    const chip = h("button", { type: "button", class: "sv-chip", title: text, "data-testid": "preset" }, text);
    chip.addEventListener("click", () => {
      this.#settings.set("prompt", text);
      this.#prompt.focus();
    });
    return chip;
  }

  #controls(keys: HTMLElement): HTMLElement {
    const settings = this.#settings;
    const rule = choiceControl(settings, { name: "rule", choices: RULES, label: "Acceptance rule" });
    // The rules differ only where something is drawn.
    settings.follow(["temperature"], () => (rule.hidden = settings.get("temperature") === 0));
    return h(
      "div",
      { class: "sv-controls" },
      group(
        "Models",
        new ModelPicker(this.#models, settings, this.#signal).element,
        this.#placement(),
        toldView(this.#models, this.#signal),
      ),
      group(
        "Speculative decoding",
        switchControl(settings, "auto_length", "Choose the length automatically", "auto-length", AUTO_LENGTH),
        numberControl(settings, {
          name: "num_draft_tokens",
          label: "Draft length",
          min: 0,
          max: 16,
          step: 1,
          slider: true,
          testid: "num-draft-tokens",
          auto: "auto_length",
        }),
        numberControl(settings, {
          name: "p_min",
          label: "Draft probability cutoff",
          min: 0,
          max: 1,
          step: 0.05,
          slider: true,
          testid: "p-min",
          auto: "auto_length",
        }),
        switchControl(settings, "measure_baseline", "Measure the speedup", "toggle-baseline"),
      ),
      group(
        "Sampling",
        numberControl(settings, { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.1, slider: true, testid: "temperature" }),
        rule,
        numberControl(settings, { name: "max_tokens", label: "Maximum tokens", min: 1, max: 1_000_000, step: 1, slider: false, testid: "max-tokens" }),
        seedControl(settings),
        switchControl(settings, "ignore_eos", "Go on past the end of text", "ignore-eos"),
      ),
      group("Instructions", ...instructions(settings)),
      enginesView(this.#models, settings, this.#signal),
      keys,
    );
  }

  #shortcuts(): Shortcut[] {
    return [
      { key: "Enter", label: "Generate", run: () => this.#conversation.submit() || this.#ask({ type: "generate" }) },
      { key: ".", label: "Stop", run: () => this.#ask({ type: "stop" }) },
      { key: "L", label: "Choose the main model", run: () => this.#chooseMain() },
      { key: "D", label: "Draft on or off", run: () => this.#switchDraft() },
      { key: "E", label: "Full width", run: () => this.#setWide(!this.#isWide) },
      { key: "U", label: "Ask a follow-up", run: () => this.#conversation.box.focus() },
    ];
  }

  /** Say each key where what it does is. */
  #nameKeys(keys: Shortcut[]): void {
    const [main, draft] = this.element.querySelectorAll<HTMLElement>(".sv-combobox");
    const where = [this.#buttons.generate, this.#buttons.stop, main, draft, this.#wide, this.#conversation.box];
    keys.forEach((key, i) => {
      const element = where[i];
      element?.setAttribute("aria-keyshortcuts", ariaKeys(key));
      if (element instanceof HTMLButtonElement) element.title = `${key.label}: ${keysOf(key)}`;
    });
  }

  get #isWide(): boolean {
    return this.element.classList.contains("sv-wide");
  }

  /** The text alone, over the whole width; the settings and statistics wait aside. */
  #setWide(wide: boolean): void {
    this.element.classList.toggle("sv-wide", wide);
    this.#wide.setAttribute("aria-pressed", String(wide));
  }

  #chooseMain(): void {
    this.#setWide(false);
    this.#side.open = true;
    this.element.querySelector<HTMLElement>(".sv-combobox")?.focus();
  }

  /** Off, or the draft that was on before; where none was, the best that fits. */
  #switchDraft(): void {
    const settings = this.#settings;
    if (isUrl(settings.get("main"))) return;
    const draft = settings.get("draft");
    if (draft !== NO_DRAFT) this.#draft = draft;
    const offers = this.#models.content.offers;
    const fitting = offers?.main === settings.get("main") ? offers.key.filter((_, i) => offers.fits[i]) : [this.#draft];
    const on = fitting.includes(this.#draft) || this.#draft === NGRAM ? this.#draft : fitting[0];
    if (draft === NO_DRAFT && !on) return;
    settings.set("draft", draft === NO_DRAFT ? (on ?? NO_DRAFT) : NO_DRAFT);
    settings.flush();
  }

  /** Where the models of the last run really are. */
  #placement(): HTMLElement {
    const list = h("ul", { class: "sv-caption", "data-testid": "placement" });
    const draw = () => {
      const lines = this.#models.content.placement ?? [];
      list.replaceChildren(...lines.map((line) => h("li", {}, line)));
      list.hidden = lines.length === 0;
    };
    this.#models.subscribe(draw, this.#signal);
    draw();
    return list;
  }

  #foldWhenNarrow(): void {
    const settings = this.#settings;
    settings.follow(["chosen", "auto_length", "num_draft_tokens"], () => {
      const { main = "", draft = "" } = settings.get("chosen") ?? {};
      const parts = [main, draft || "no draft"];
      if (draft) parts.push(`draft length ${settings.get("auto_length") ? "auto" : settings.get("num_draft_tokens")}`);
      setText(this.#summary, parts.filter(Boolean).join(" · "));
    });
    settings.follow(["chosen", "main", "draft", "launched"], () => this.draw());
    let narrow = false;
    const observer = new ResizeObserver(([entry]) => {
      const now = (entry?.contentRect.width ?? NARROW) < NARROW;
      if (now === narrow || entry?.contentRect.width === 0) return;
      narrow = now;
      this.#side.open = !narrow;
    });
    observer.observe(this.element);
    this.#signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }
}

/** Batches sent before the kernel heard the request still carry the state from before it. */
function answers({ phase }: RunState, request: Request | null): boolean {
  if (request === "stop") return phase === "stopping" || !busy(phase);
  return busy(phase) || phase === "crashed" || phase === "failed";
}

function group(title: string, ...fields: HTMLElement[]): HTMLElement {
  const id = uniqueId("group");
  return h("div", { class: "sv-group", role: "group", "aria-labelledby": id }, h("h3", { id }, title), ...fields);
}

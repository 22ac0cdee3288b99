import { draftOptions, isUrl, mainOptions, NO_DRAFT, serverOption, SERVERS_OWN, type Option } from "./choices.js";
import { Combobox, warnings } from "./combobox.js";
import { h, icon, setText, uniqueId } from "./dom.js";
import { downloads } from "./downloads.js";
import type { PickerStore } from "./picker_store.js";
import type { LibraryProgress, ModelColumns, OfferColumns } from "./protocol.js";
import type { SettingsModel } from "./settings.js";
import { count } from "./words.js";

type Role = "main" | "draft";

/** Choosing a main model, then its draft. */
export class ModelPicker {
  readonly element: HTMLElement;
  readonly #store: PickerStore;
  readonly #settings: SettingsModel;
  readonly #boxes: Record<Role, Combobox>;
  readonly #about: Record<Role, HTMLElement>;
  readonly #state = h("p", { class: "sv-caption", role: "status", "data-testid": "library-state" });
  readonly #problems = h("div", { "data-testid": "library-problems" });
  readonly #refresh: HTMLButtonElement;
  readonly #default: HTMLButtonElement;
  readonly #foot: HTMLElement;

  #options: Record<Role, Option[]> = { main: [], draft: [] };
  #seen: { models?: ModelColumns | undefined; offers?: OfferColumns | null | undefined } = {};

  constructor(store: PickerStore, settings: SettingsModel, signal: AbortSignal) {
    this.#store = store;
    this.#settings = settings;
    const about = (role: Role) => h("div", { class: "sv-about", id: uniqueId(`${role}-about`), "data-testid": `${role}-about` });
    this.#about = { main: about("main"), draft: about("draft") };
    this.#boxes = {
      main: this.#box("main", "Main model", (n, open) => `${open ? "Hide" : "Show"} ${count(n, "model")} that cannot be used`, signal),
      draft: this.#box("draft", "Draft model", (n, open) => `${open ? "Hide" : "Show"} ${n.toLocaleString("en")} that do not fit`, signal),
    };
    this.#refresh = h("button", { type: "button", class: "sv-quiet sv-icon-button", title: "Search for models again", "data-testid": "refresh" }, icon("refresh"));
    this.#refresh.setAttribute("aria-label", this.#refresh.title);
    this.#refresh.addEventListener("click", () => settings.send({ type: "refresh" }));
    this.#default = h("button", { type: "button", class: "sv-quiet sv-default", "data-testid": "set-default" }, icon("star"), h("span", {}));
    this.#default.addEventListener("click", () => this.#toggleDefault());
    this.#foot = h(
      "div",
      { class: "sv-picker-foot" },
      this.#default,
      h("div", { class: "sv-row sv-library" }, this.#state, this.#refresh),
      this.#problems,
      downloads(store, settings, signal),
    );
    this.element = h(
      "div",
      { class: "sv-picker", "data-testid": "model-picker" },
      field(this.#boxes.main, this.#about.main),
      field(this.#boxes.draft, this.#about.draft),
      this.#foot,
    );
    store.subscribe(() => this.draw(), signal);
    settings.follow(["main", "draft", "chosen"], () => this.draw());
    if (!store.asked) settings.send({ type: "models" });
    store.asked = true;
  }

  draw(): void {
    const { models, offers, progress, problems } = this.#store.content;
    const settings = this.#settings;
    const main = settings.get("main");
    const fresh = offers?.main === main ? offers : null;
    if (models && (models !== this.#seen.models || fresh !== this.#seen.offers)) {
      if (models !== this.#seen.models) this.#options.main = mainOptions(models);
      this.#options.draft = draftOptions(models, fresh);
      this.#seen = { models, offers: fresh };
    }
    for (const role of ["main", "draft"] as const) this.#show(role, fresh);
    this.#foot.hidden = !this.#store.alive;
    setText(this.#state, stateLine(progress, fresh));
    this.#state.hidden = !this.#state.textContent;
    this.#refresh.classList.toggle("sv-turning", searching(progress));
    this.#problems.replaceChildren(...warnings({ warnings: problems ?? [] }));
    this.#showDefault(fresh);
  }

  #box(role: Role, label: string, refused: (n: number, open: boolean) => string, signal: AbortSignal): Combobox {
    const choose = (key: string) => {
      this.#settings.set(role, key);
      this.#settings.flush();
    };
    const typed = (text: string) => (role === "main" && isUrl(text) ? serverOption(text) : null);
    return new Combobox({ label, testid: role, refused, choose, typed }, signal, this.#about[role].id);
  }

  #show(role: Role, offers: OfferColumns | null): void {
    const key = this.#settings.get(role);
    const options = role === "draft" && isUrl(this.#settings.get("main")) ? SERVERS_OWN : this.#options[role];
    const option = options.find((one) => one.key === key);
    const none = role === "draft" && key === NO_DRAFT && offers?.why;
    const name = option?.name ?? this.#settings.get("chosen")?.[role] ?? key;
    this.#boxes[role].show(options, key, none ? "No compatible draft" : name, !this.#store.alive);
    const facts = none || !option ? "" : [this.#boxes[role].cut ? name : "", option.facts].filter(Boolean).join(" · ");
    const notes = option ? [...(option.reason ? [option.reason] : []), ...option.warnings] : [];
    this.#about[role].replaceChildren(
      ...(facts ? [h("p", { class: "sv-caption" }, facts)] : []),
      ...(none ? [h("p", { class: "sv-caption", "data-testid": "why" }, `Because ${offers.why}`)] : []),
      ...warnings({ warnings: notes }),
    );
  }

  #showDefault(offers: OfferColumns | null): void {
    const isDefault = offers?.default === this.#settings.get("draft");
    this.#default.hidden = !offers;
    this.#default.setAttribute("aria-pressed", String(isDefault));
    this.#default.title = isDefault ? "Forget it" : "Choose this draft whenever this main model is chosen";
    const label = this.#default.querySelector("span");
    if (label) setText(label, isDefault ? "Default for this main model" : "Make default for this main model");
  }

  #toggleDefault(): void {
    const draft = this.#settings.get("draft");
    this.#settings.send({ type: "set_default", draft: this.#store.content.offers?.default === draft ? "" : draft });
  }
}

function field(box: Combobox, about: HTMLElement): HTMLElement {
  box.element.append(about);
  return box.element;
}

function searching(progress: LibraryProgress | undefined): boolean {
  return progress !== undefined && progress.state !== "ready" && progress.state !== "failed";
}

/** How far the search is and, once it has ended, how many drafts it found. */
function stateLine(progress: LibraryProgress | undefined, offers: OfferColumns | null): string {
  if (!progress) return "";
  const { state, k, n, detail } = progress;
  const far = `(${k.toLocaleString("en")} of ${n.toLocaleString("en")})`;
  switch (state) {
    case "new":
    case "searching":
      return "Searching for models";
    case "indexing":
      return `Indexing ${far}`;
    case "comparing":
      return `Comparing vocabularies ${far}`;
    case "failed":
      return `The search failed: ${detail}`;
    case "ready": {
      const fitting = offers?.fits.filter(Boolean).length ?? 0;
      if (!offers) return count(n, "model");
      return fitting ? `${count(fitting, "draft")} of ${count(n, "model")}` : count(n, "model");
    }
  }
}

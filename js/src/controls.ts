import { h, setText, uniqueId } from "./dom.js";
import type { Choice, Colour, Settings } from "./protocol.js";
import type { SettingsModel } from "./settings.js";
import { COLOURS } from "./words.js";

type NumberSetting = "num_draft_tokens" | "p_min" | "temperature" | "max_tokens";
type BooleanSetting = "auto_length" | "ignore_eos" | "measure_baseline" | "show_provenance" | "show_rejected";

export interface NumberOptions {
  name: NumberSetting;
  label: string;
  help?: string;
  min: number;
  max: number;
  step: number;
  slider: boolean;
  testid: string;
  /** Chosen automatically, and so not here, while this is on. */
  auto?: BooleanSetting;
}

/** A number box, with a slider before it where the range is short. */
export function numberControl(settings: SettingsModel, options: NumberOptions): HTMLElement {
  const { name, min, max, step, auto } = options;
  const id = uniqueId(options.testid);
  const help = options.help ? h("p", { class: "sv-caption", id: `${id}-help` }, options.help) : null;
  const shared = { min, max, step, ...(help ? { "aria-describedby": help.id } : {}) };
  const box = h("input", { type: "number", id, class: "sv-box", "data-testid": options.testid, inputmode: "decimal", ...shared });
  const slider = options.slider
    ? h("input", { type: "range", class: "sv-slider", "data-testid": `${options.testid}-slider`, "aria-label": options.label, ...shared })
    : null;

  const label = h("label", { for: id }, options.label);
  const field = h(
    "div",
    { class: slider ? "sv-field" : "sv-field sv-inline" },
    slider ? h("div", { class: "sv-row" }, label, box) : label,
    slider ?? box,
    help,
  );

  const take = (text: string) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) return;
    const whole = Number.isInteger(step) ? Math.round(value) : Number(value.toFixed(4));
    settings.set(name, Math.min(max, Math.max(min, whole)));
  };
  const show = () => {
    const value = settings.get(name);
    const off = auto !== undefined && settings.get(auto);
    field.classList.toggle("sv-off", off);
    box.disabled = off;
    box.placeholder = off ? "auto" : "";
    if (off) box.value = "";
    else if (Number(box.value) !== value || box.value === "") box.value = String(value);
    if (slider) {
      slider.disabled = off;
      slider.value = String(value);
      slider.style.setProperty("--sv-filled", `${(100 * (Math.min(max, Math.max(min, value)) - min)) / (max - min)}%`);
    }
  };
  slider?.addEventListener("input", () => take(slider.value));
  box.addEventListener("input", () => {
    if (box.validity.valid || box.validity.stepMismatch) take(box.value);
  });
  box.addEventListener("change", () => {
    take(box.value);
    box.value = String(settings.get(name));
  });
  settings.follow(auto ? [name, auto] : [name], show);
  return field;
}

/** The seed: empty means a new one for every run. */
export function seedControl(settings: SettingsModel): HTMLElement {
  const id = uniqueId("seed");
  const box = h("input", { type: "number", id, class: "sv-box", min: 0, step: 1, placeholder: "random", "data-testid": "seed" });
  box.addEventListener("input", () => {
    const value = Number(box.value);
    if (box.value === "") {
      if (!box.validity.badInput) settings.set("seed", null);
    } else if (Number.isSafeInteger(value) && value >= 0) settings.set("seed", value);
  });
  settings.follow(["seed"], () => {
    const seed = settings.get("seed");
    const text = seed === null || seed === undefined ? "" : String(seed);
    if (box.value !== text) box.value = text;
  });
  return h("div", { class: "sv-field sv-inline" }, h("label", { for: id }, "Seed"), box);
}

export function switchControl(
  settings: SettingsModel,
  name: BooleanSetting,
  label: string,
  testid: string,
  help?: string,
): HTMLElement {
  const id = uniqueId(testid);
  const caption = help ? h("p", { class: "sv-caption", id: `${id}-help` }, help) : null;
  const input = h("input", {
    type: "checkbox",
    role: "switch",
    id,
    class: "sv-switch",
    "data-testid": testid,
    "aria-describedby": caption?.id,
  });
  input.addEventListener("change", () => settings.set(name, input.checked));
  settings.follow([name], () => {
    input.checked = settings.get(name);
  });
  const row = [h("label", { for: id }, label), input];
  return caption
    ? h("div", { class: "sv-field" }, h("div", { class: "sv-row" }, ...row), caption)
    : h("div", { class: "sv-field sv-inline" }, ...row);
}

export interface ChoiceOptions {
  name: "rule";
  choices: Choice[];
  label: string;
}

/** A short list to choose from, with what is known of the choice below it. */
export function choiceControl(settings: SettingsModel, { name, choices, label }: ChoiceOptions): HTMLElement {
  const id = uniqueId(name);
  const detail = h("p", { class: "sv-caption", id: `${id}-detail` });
  const select = h(
    "select",
    { id, class: "sv-select", "data-testid": name, "aria-describedby": detail.id },
    ...choices.map((choice) => h("option", { value: choice.key }, choice.label)),
  );
  select.addEventListener("change", () => settings.set(name, select.value as Settings[typeof name]));
  settings.follow([name], () => {
    select.value = settings.get(name);
    setText(detail, choices.find(({ key }) => key === select.value)?.detail ?? "");
  });
  return h("div", { class: "sv-field" }, h("label", { for: id }, label), select, detail);
}

/** What tokens are coloured by; "nothing" turns the colours off. */
export function colourControl(settings: SettingsModel): HTMLElement {
  const id = uniqueId("colour");
  const choices = { ...COLOURS, nothing: "nothing" };
  const select = h(
    "select",
    { id, class: "sv-select sv-small", "data-testid": "colour" },
    ...Object.entries(choices).map(([value, label]) => h("option", { value }, label)),
  );
  select.addEventListener("change", () => {
    const { value } = select;
    if (value !== "nothing") settings.set("colour", value as Colour);
    settings.set("show_provenance", value !== "nothing");
  });
  settings.follow(["show_provenance", "colour"], () => {
    select.value = settings.get("show_provenance") ? settings.get("colour") : "nothing";
  });
  return h("div", { class: "sv-field sv-inline sv-tool" }, h("label", { for: id }, "Colour by"), select);
}

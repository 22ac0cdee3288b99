import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ROWS } from "../src/combobox.js";
import { ModelPicker } from "../src/model_picker.js";
import { PickerStore } from "../src/picker_store.js";
import type { ExplorerTraits, PickerContent } from "../src/protocol.js";
import { SettingsModel } from "../src/settings.js";
import { byId, FakeModel, models, offers } from "./fakes.js";

let model: FakeModel;
let store: PickerStore;
let root: HTMLElement;
let controller: AbortController;

const READY = { state: "ready", k: 4, n: 4, detail: "" } as const;
const LISTED = models(["big", { source: "demo" }], ["bigger"], ["small"], ["other"], ["cut", { reason: "ends early" }]);
const OFFERS = offers("big", [
  ["small", { recommended: "same family", warnings: ["it is large"] }],
  ["other", { fits: false, reason: "token 7 is 'a' in the main model and 'b' in the draft" }],
]);

afterEach(() => controller.abort());

beforeEach(() => {
  model = new FakeModel({ view: "picker", main: "big", draft: "small", chosen: { main: "BIG", draft: "SMALL" } });
  store = new PickerStore();
  controller = new AbortController();
  root = new ModelPicker(store, new SettingsModel(model.as<ExplorerTraits>(), controller.signal), controller.signal).element;
  document.body.append(root);
});

function tell(content: PickerContent = {}): void {
  store.receive({ type: "picker", models: LISTED, offers: OFFERS, progress: READY, ...content });
}

const field = (role: string) => byId(root, role) as HTMLInputElement;
const rows = (role: string) => [...byId(root, `${role}-list`).querySelectorAll<HTMLElement>("[role=option]")];
const keys = (role: string) => rows(role).map((row) => row.dataset["key"] ?? "+");
const active = (role: string) => document.getElementById(field(role).getAttribute("aria-activedescendant") ?? "");

function press(role: string, ...pressed: string[]): KeyboardEvent[] {
  return pressed.map((key) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    field(role).dispatchEvent(event);
    return event;
  });
}

function type(role: string, text: string): void {
  field(role).value = text;
  field(role).dispatchEvent(new Event("input", { bubbles: true }));
}

describe("without a kernel", () => {
  it("the picker names what is chosen, and offers nothing", () => {
    expect([field("main").value, field("draft").value]).toEqual(["BIG", "SMALL"]);
    press("main", "Enter");
    field("main").click();
    expect(field("main").getAttribute("aria-expanded")).toBe("false");
    expect(root.querySelector<HTMLElement>(".sv-picker-foot")?.hidden).toBe(true);
    expect(model.sent()).toEqual([{ type: "models" }]);
  });
});

describe("the list", () => {
  beforeEach(() => tell());

  it("is asked for once, by whichever view comes first", () => {
    new ModelPicker(store, new SettingsModel(model.as<ExplorerTraits>(), controller.signal), controller.signal);
    expect(model.sent()).toEqual([{ type: "models" }]);
  });

  it.each(["Enter", "ArrowDown", "ArrowUp"])("opens with %s, at what is chosen", (key) => {
    const [event] = press("draft", key);
    expect(event?.defaultPrevented).toBe(true);
    expect(field("draft").getAttribute("aria-expanded")).toBe("true");
    expect(keys("draft")).toEqual(["none", "ngram", "small", "+"]);
    expect(active("draft")?.dataset["key"]).toBe("small");
    expect(active("draft")?.getAttribute("aria-selected")).toBe("true");
  });

  it("is walked with the arrows, Home, End and the page keys", () => {
    press("main", "Enter");
    const at = (key: string) => (press("main", key), active("main")?.dataset["key"] ?? "+");
    const pressed = ["ArrowDown", "ArrowDown", "ArrowUp", "End", "Home", "PageDown", "PageUp"];
    expect(pressed.map(at)).toEqual(["bigger", "small", "bigger", "+", "big", "+", "big"]);
  });

  it("chooses with Enter, and saves at once", () => {
    press("draft", "Enter", "ArrowUp", "Enter");
    expect(model.calls.slice(1)).toEqual([["set", "draft", "ngram"], ["save"]]);
    expect(field("draft").value).toBe("N-gram lookup (no model)");
    expect(field("draft").getAttribute("aria-expanded")).toBe("false");
  });

  it("filters by what is typed; Escape gives the old value back", () => {
    type("main", "BIG");
    expect(keys("main")).toEqual(["big", "bigger"]);
    type("main", "nothing like it");
    expect(rows("main")).toEqual([]);
    expect(byId(root, "main-list").textContent).toContain("Nothing has all these words");
    const [event] = press("main", "Escape");
    expect(event?.defaultPrevented).toBe(true);
    expect([field("main").value, model.traits["main"]]).toEqual(["big", "big"]);
  });

  it("is left with Tab or a click elsewhere, choosing nothing", () => {
    press("main", "Enter", "ArrowDown");
    const [event] = press("main", "Tab");
    expect(event?.defaultPrevented).toBe(false);
    field("main").dispatchEvent(new FocusEvent("blur"));
    expect(field("main").getAttribute("aria-expanded")).toBe("false");
    expect(model.traits["main"]).toBe("big");
  });

  it("is chosen from with the mouse, which does not take the focus", () => {
    field("main").click();
    const row = rows("main")[1];
    const down = new MouseEvent("mousedown", { bubbles: true, cancelable: true });
    row?.dispatchEvent(down);
    expect(down.defaultPrevented).toBe(true);
    row?.click();
    expect(model.traits["main"]).toBe("bigger");
  });

  it("keeps what is left to the notebook out of it", () => {
    let heard = 0;
    document.body.addEventListener("keydown", () => (heard += 1), { once: true });
    press("main", "Enter", "ArrowDown", "Escape");
    expect(heard).toBe(0);
  });

  it("stays open, and where one is, while models come in", () => {
    press("main", "Enter", "ArrowDown");
    tell({ models: models(["big", { source: "demo" }], ["alpha"], ["bigger"]), progress: { ...READY, state: "indexing", k: 3 } });
    expect(keys("main")).toEqual(["big", "alpha", "bigger"]);
    expect(active("main")?.dataset["key"]).toBe("bigger");
    expect(byId(root, "library-state").textContent).toBe("Indexing (3 of 4)");
  });
});

describe("what cannot be chosen", () => {
  beforeEach(() => tell());

  it("is there on demand with its reason in full, and is not chosen", () => {
    press("draft", "Enter", "End");
    expect(active("draft")?.textContent).toBe("Show 1 that do not fit");
    press("draft", "Enter");
    expect(active("draft")?.dataset["key"]).toBe("other");
    expect(active("draft")?.textContent).toContain("token 7 is 'a' in the main model and 'b' in the draft");
    expect(active("draft")?.getAttribute("aria-disabled")).toBe("true");
    press("draft", "Enter");
    active("draft")?.click();
    expect(model.traits["draft"]).toBe("small");
    expect(field("draft").getAttribute("aria-expanded")).toBe("true");
  });

  it("is told in the field where no draft fits at all", () => {
    model.change("draft", "none");
    tell({ offers: offers("big", [["other", { fits: false, reason: "no" }]], { why: "other does not fit: token 7 differs" }) });
    expect(field("draft").value).toBe("No compatible draft");
    expect(byId(root, "why").textContent).toBe("Because other does not fit: token 7 differs");
  });

  it("is said of a chosen model that is damaged", () => {
    model.change("main", "cut");
    expect(byId(root, "main-about").textContent).toContain("Ends early");
  });
});

describe("about the chosen draft", () => {
  beforeEach(() => tell());

  it("warnings stand below the field; badge and sign are in the list, with their reasons for screen readers", () => {
    expect(byId(root, "draft-about").textContent).toContain("It is large");
    press("draft", "Enter");
    expect(active("draft")?.textContent).toContain("recommended (same family)");
    expect(active("draft")?.querySelector(".sv-badge")?.getAttribute("title")).toBe("same family");
    expect(byId(root, "draft-list").textContent).toContain("Recommended: same family");
  });

  it("it can be made the default, and no longer be", () => {
    const button = byId(root, "set-default");
    button.click();
    tell({ offers: { ...OFFERS, default: "small" } });
    expect(button.getAttribute("aria-pressed")).toBe("true");
    press("draft", "Enter");
    expect(active("draft")?.textContent).toContain("default");
    button.click();
    expect(model.sent().slice(1)).toEqual([
      { type: "set_default", draft: "small" },
      { type: "set_default", draft: "" },
    ]);
  });

  it("offers for another main model are not shown", () => {
    model.change("main", "bigger");
    press("draft", "Enter");
    expect(keys("draft")).toEqual(["none", "ngram"]);
    expect(byId(root, "set-default").hidden).toBe(true);
  });
});

describe("the search", () => {
  it.each([
    [{ state: "searching", k: 0, n: 0, detail: "" }, "Searching for models"],
    [{ state: "comparing", k: 200, n: 1600, detail: "" }, "Comparing vocabularies (200 of 1,600)"],
    [{ state: "ready", k: 4, n: 4, detail: "" }, "1 draft of 4 models"],
    [{ state: "failed", k: 0, n: 0, detail: "the disk is full" }, "The search failed: the disk is full"],
  ] as const)("in state %j says %j", (progress, text) => {
    tell({ progress });
    expect(byId(root, "library-state").textContent).toBe(text);
  });

  it("can be asked for again, and says what could not be searched", () => {
    tell({ problems: ["hugging face: install the extra hub"] });
    byId(root, "refresh").click();
    expect(model.sent().slice(1)).toEqual([{ type: "refresh" }]);
    expect(byId(root, "library-problems").textContent).toContain("Hugging face: install the extra hub");
  });
});

describe("a thousand models", () => {
  beforeEach(() => tell({ models: models(...Array.from({ length: 1000 }, (_, i) => [`model-${i}`] as [string])) }));

  it("are drawn as one comes to them", () => {
    press("main", "Enter");
    expect(rows("main").length).toBeLessThanOrEqual(ROWS);
    type("main", "model 99");
    expect(rows("main").length).toBe(19);
    press("main", "Escape", "Enter", "End");
    expect(active("main")?.dataset["key"]).toBe("model-999");
  });
});

describe("downloads", () => {
  const download = { suggestion: 1, state: "downloading", file: "main model", done_bytes: 5e8, total_bytes: 2e9, error: "" } as const;
  const item = (i: number) => byId(root, "downloads").querySelectorAll("li")[i] as HTMLElement;
  const button = (i: number) => item(i).querySelector("button") as HTMLButtonElement;

  beforeEach(() => tell({ suggestions: [{ label: "A + a", size_bytes: 3e9 }, { label: "B + b", size_bytes: 0 }], download: null }));

  it("are one click each", () => {
    expect(item(0).textContent).toContain("3.0 GB");
    button(1).click();
    expect(model.sent().at(-1)).toEqual({ type: "download", suggestion: 1 });
  });

  it("show how far they are, and can be cancelled; one at a time", () => {
    store.receive({ type: "picker", download });
    expect(item(1).querySelector("progress")?.value).toBe(0.25);
    expect(item(1).textContent).toContain("Main model: 500 MB of 2.0 GB");
    expect([button(0).disabled, button(1).textContent]).toEqual([true, "Cancel"]);
    button(1).click();
    expect(model.sent().at(-1)).toEqual({ type: "cancel_download" });
  });

  it("say why they failed, and can go on", () => {
    store.receive({ type: "picker", download: { ...download, state: "failed", error: "the disk is full" } });
    expect(item(1).textContent).toContain("the disk is full");
    expect([button(0).disabled, button(1).textContent]).toEqual([false, "Go on"]);
  });
});

it("leaves no listener behind", () => {
  press("main", "Enter");
  controller.abort();
  expect(model.listeners()).toBe(0);
});

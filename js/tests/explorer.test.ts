import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Explorer } from "../src/explorer.js";
import { PickerStore } from "../src/picker_store.js";
import type { ExplorerTraits } from "../src/protocol.js";
import { SAVE_DELAY_MS } from "../src/settings.js";
import { Store } from "../src/store.js";
import { batch, byId, EXPLORER, FakeModel, FakeResizeObserver, models, offers, runState } from "./fakes.js";

let model: FakeModel;
let store: Store;
let picked: PickerStore;
let explorer: Explorer;
let controller: AbortController;
let seq: number;

afterEach(() => controller.abort());

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel({ ...EXPLORER });
  store = new Store((message) => model.send(message));
  controller = new AbortController();
  picked = new PickerStore();
  picked.asked = true;
  picked.receive({ type: "picker", models: models(["big"], ["small"], ["other"]), progress: { state: "ready", k: 3, n: 3, detail: "" } });
  explorer = new Explorer(store, picked, model.as<ExplorerTraits>(), controller.signal);
  document.body.append(explorer.element);
  seq = 0;
});

const input = (id: string) => byId(explorer.element, id) as HTMLInputElement;
const button = (id: string) => byId(explorer.element, id) as HTMLButtonElement;
const status = () => byId(explorer.element, "status").textContent;

function type(id: string, value: string): void {
  input(id).value = value;
  input(id).dispatchEvent(new Event("input", { bubbles: true }));
}

function state(...args: Parameters<typeof runState>): void {
  seq += 1;
  store.receive(batch(seq, { state: runState(...args) }));
  explorer.draw();
}

describe("settings", () => {
  it("are saved a moment after a slider moved, once for a whole drag", () => {
    for (const value of ["5", "6", "7"]) type("num-draft-tokens-slider", value);
    expect(model.traits["num_draft_tokens"]).toBe(7);
    expect(model.calls.filter(([what]) => what === "save")).toHaveLength(0);
    vi.advanceTimersByTime(SAVE_DELAY_MS);
    expect(model.calls.filter(([what]) => what === "save")).toHaveLength(1);
    expect(input("num-draft-tokens").value).toBe("7");
  });

  it("are not undone by the kernel's echo of an earlier save, and follow Python once they are saved", () => {
    type("num-draft-tokens-slider", "5");
    vi.advanceTimersByTime(SAVE_DELAY_MS);
    type("num-draft-tokens-slider", "6");
    model.change("num_draft_tokens", 5);
    expect(model.traits["num_draft_tokens"]).toBe(6);
    expect(input("num-draft-tokens-slider").value).toBe("6");
    vi.advanceTimersByTime(SAVE_DELAY_MS);
    model.change("num_draft_tokens", 2);
    expect(input("num-draft-tokens-slider").value).toBe("2");
  });

  it("are saved before a message that depends on them", () => {
    type("prompt", "What now?");
    type("p-min", "0.4");
    button("generate").click();
    expect(model.calls).toEqual([
      ["set", "prompt", "What now?"],
      ["set", "p_min", 0.4],
      ["save"],
      ["send", { type: "generate" }],
    ]);
  });

  it("are not saved when nothing changed", () => {
    button("generate").click();
    vi.advanceTimersByTime(1000);
    expect(model.calls).toEqual([["send", { type: "generate" }]]);
  });

  it("stay within their limits, and ignore what is no number", () => {
    type("temperature", "9");
    input("temperature").dispatchEvent(new Event("change"));
    expect(model.traits["temperature"]).toBe(2);
    expect(input("temperature").value).toBe("2");
    type("max-tokens", "");
    input("max-tokens").dispatchEvent(new Event("change"));
    expect(model.traits["max_tokens"]).toBe(256);
    expect(input("max-tokens").value).toBe("256");
  });

  it("take an empty seed as a new one each time", () => {
    type("seed", "42");
    expect(model.traits["seed"]).toBe(42);
    type("seed", "");
    expect(model.traits["seed"]).toBeNull();
  });

  it("follow Python", () => {
    model.change("prompt", "From Python");
    model.change("p_min", 0.75);
    model.change("show_rejected", true);
    model.change("seed", 7);
    expect(input("prompt").value).toBe("From Python");
    expect(input("p-min").value).toBe("0.75");
    expect(input("toggle-rejected").checked).toBe(true);
    expect(explorer.element.querySelector(".sv-tokens")?.classList.contains("sv-rejected")).toBe(true);
    expect(input("seed").value).toBe("7");
    expect(model.calls).toEqual([]);
  });

  it("switch the colours at once", () => {
    const stream = explorer.element.querySelector<HTMLElement>(".sv-tokens");
    const colour = byId(explorer.element, "colour") as HTMLSelectElement;
    const choose = (value: string) => {
      colour.value = value;
      colour.dispatchEvent(new Event("change"));
      return [model.traits["show_provenance"], model.traits["colour"], stream?.classList.contains("sv-provenance"), stream?.dataset["colour"]];
    };
    expect(choose("surprise")).toEqual([true, "surprise", false, "surprise"]);
    expect(choose("nothing")).toEqual([false, "surprise", false, "provenance"]);
    expect(choose("provenance")).toEqual([true, "provenance", true, "provenance"]);
    vi.advanceTimersByTime(SAVE_DELAY_MS);
    model.change("show_provenance", false);
    expect(colour.value).toBe("nothing");
  });

  it("leave the draft length and the cutoff to the automatic length while it is on", () => {
    const chosen = ["num-draft-tokens", "num-draft-tokens-slider", "p-min", "p-min-slider"];
    const disabled = () => chosen.map((id) => input(id).disabled);
    input("auto-length").click();
    expect(model.traits["auto_length"]).toBe(true);
    expect(disabled()).toEqual([true, true, true, true]);
    expect(input("temperature").disabled).toBe(false);
    expect([input("num-draft-tokens").value, input("num-draft-tokens").placeholder]).toEqual(["", "auto"]);
    button("generate").click();
    expect(model.calls).toEqual([["set", "auto_length", true], ["save"], ["send", { type: "generate" }]]);
    model.change("auto_length", false);
    expect(disabled()).toEqual([false, false, false, false]);
    expect(input("num-draft-tokens").value).toBe("4");
  });

  it("say what the automatic length does", () => {
    const help = document.getElementById(input("auto-length").getAttribute("aria-describedby") ?? "");
    expect(help?.textContent).toContain("as long as it pays");
  });

  it("offer the acceptance rule only where something is drawn", () => {
    const rule = byId(explorer.element, "rule") as HTMLSelectElement;
    const field = rule.closest<HTMLElement>(".sv-field");
    expect(field?.hidden).toBe(true);
    type("temperature", "0.8");
    expect(field?.hidden).toBe(false);
    expect([...rule.options].map(({ text }) => text)).toEqual(["Match", "Rejection sampling"]);
    const caption = () => field?.querySelector(".sv-caption")?.textContent;
    expect(caption()).toContain("equals the main model’s own sample");
    rule.value = "rejection";
    rule.dispatchEvent(new Event("change"));
    expect(model.traits["rule"]).toBe("rejection");
    expect(caption()).toContain("min(1,\u00a0p/q)");
    vi.advanceTimersByTime(SAVE_DELAY_MS);
    expect(model.calls.filter(([what]) => what === "save")).toHaveLength(1);
  });

  it("offer presets as a prompt", () => {
    const [, second] = explorer.element.querySelectorAll<HTMLButtonElement>("[data-testid=preset]");
    second?.click();
    expect(model.traits["prompt"]).toBe("Second");
    expect(second?.getAttribute("aria-pressed")).toBe("true");
  });

  it("have a label each", () => {
    for (const control of explorer.element.querySelectorAll<HTMLInputElement>("input, select, textarea")) {
      const labelled = control.getAttribute("aria-label") ?? control.labels?.[0]?.textContent;
      expect(labelled, control.dataset["testid"]).toBeTruthy();
    }
  });
});

describe("models", () => {
  it("that were chosen while a run is under way are told to be the next one's", () => {
    model.change("launched", ["big", "small"]);
    state("generating", { can_generate: false, can_stop: true });
    expect(status()).toBe("Generating");
    model.change("draft", "none");
    expect(status()).toBe("Generating · the next run takes big with no draft");
    state("finished");
    expect(status()).toBe("Finished");
  });

  it("of the last run are told with where they are", () => {
    const placement = byId(explorer.element, "placement");
    expect(placement.hidden).toBe(true);
    picked.receive({ type: "picker", placement: ["BIG: on CPU, 1 thread, 98 MB"] });
    expect([placement.hidden, placement.textContent]).toEqual([false, "BIG: on CPU, 1 thread, 98 MB"]);
  });
});

describe("engines", () => {
  const fold = () => byId(explorer.element, "engines") as HTMLDetailsElement;
  const report = { name: "llama.cpp", state: "ready", version: "0.3", backends: ["CPU"], can: ["mmap"], cannot: [], reason: "", checking: false };

  it("are asked for when the fold is opened, once", () => {
    for (const open of [true, false, true]) {
      fold().open = open;
      fold().dispatchEvent(new Event("toggle"));
      if (open) picked.receive({ type: "picker", engines: [report] });
    }
    expect(model.sent()).toEqual([{ type: "probe", engine: "" }]);
    expect(fold().textContent).toContain("llama.cpp · ready");
  });

  it("can be checked again one by one, and say what they lack", () => {
    const reason = "not installed: pip install mlx-lm";
    picked.receive({ type: "picker", engines: [report, { ...report, name: "MLX", state: "not installed", reason }] });
    expect(fold().textContent).toContain(reason);
    fold().querySelectorAll<HTMLButtonElement>("[data-testid=probe]")[1]?.click();
    expect(model.sent()).toEqual([{ type: "probe", engine: "MLX" }]);
  });
});

describe("buttons", () => {
  it("follow the kernel's state", () => {
    const disabled = () => ["generate", "stop", "continue"].map((id) => button(id).disabled);
    expect(disabled()).toEqual([false, true, true]);
    state("generating", { can_generate: false, can_stop: true });
    expect(disabled()).toEqual([true, false, true]);
    state("stopped", { can_generate: true, can_continue: true });
    expect(disabled()).toEqual([false, true, false]);
  });

  it("send one message for two clicks", () => {
    button("generate").click();
    button("generate").click();
    expect(model.sent()).toEqual([{ type: "generate" }]);
  });

  it("stop visibly at once, whatever batches are still on their way", () => {
    state("generating", { can_generate: false, can_stop: true });
    button("stop").click();
    expect(status()).toBe("Stopping");
    state("generating", { can_generate: false, can_stop: true });
    expect(status()).toBe("Stopping");
    expect(button("stop").disabled).toBe(true);
    state("stopped", { can_continue: true });
    expect(status()).toBe("Stopped");
    expect(model.sent()).toEqual([{ type: "stop" }]);
  });

  it("say when the kernel does not answer, and can be pressed again later", () => {
    button("generate").click();
    expect(status()).toBe("Starting");
    vi.advanceTimersByTime(2000);
    expect(status()).toContain("Waiting for the kernel");
    vi.advanceTimersByTime(10_000);
    expect(button("generate").disabled).toBe(false);
  });

});

describe("keys", () => {
  function press(key: string, more: KeyboardEventInit = { ctrlKey: true }, at: HTMLElement = input("prompt")): boolean {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
    at.dispatchEvent(event);
    return event.defaultPrevented;
  }

  it("generate and stop, and nothing without Ctrl or ⌘ or with more than it", () => {
    for (const more of [{}, { ctrlKey: true, shiftKey: true }, { metaKey: true, altKey: true }]) expect(press("Enter", more)).toBe(false);
    expect(model.sent()).toEqual([]);
    expect(press("Enter")).toBe(true);
    state("generating", { can_stop: true, can_generate: false });
    expect(press(".", { metaKey: true })).toBe(true);
    expect(model.sent()).toEqual([{ type: "generate" }, { type: "stop" }]);
  });

  it("do nothing outside the dashboard", () => {
    const outside = document.createElement("input");
    document.body.append(outside);
    expect(["Enter", ".", "l", "d", "e"].map((key) => press(key, { ctrlKey: true }, outside))).toEqual(Array(5).fill(false));
    expect(model.calls).toEqual([]);
  });

  it("reach JupyterLab's own listener no more", () => {
    const seen = vi.fn();
    document.addEventListener("keydown", seen, { capture: true, signal: controller.signal });
    press("Enter", { ctrlKey: true }, button("generate"));
    expect(seen).not.toHaveBeenCalled();
    press("s");
    expect(seen).toHaveBeenCalledOnce();
  });

  it("still act when the button that was pressed is disabled", () => {
    button("generate").focus();
    press("Enter", { ctrlKey: true }, button("generate"));
    expect(button("generate").disabled).toBe(true);
    expect(document.activeElement).toBe(explorer.element);
  });

  it("lead to the main model, wherever it is folded away", () => {
    press("e");
    expect(explorer.element.classList.contains("sv-wide")).toBe(true);
    expect(byId(explorer.element, "wide").getAttribute("aria-pressed")).toBe("true");
    FakeResizeObserver.resize(450);
    press("l");
    expect(document.activeElement).toBe(byId(explorer.element, "main"));
    expect(explorer.element.classList.contains("sv-wide")).toBe(false);
    expect(explorer.element.querySelector<HTMLDetailsElement>(".sv-settings")?.open).toBe(true);
  });

  it("switch the draft off and the same one on again", () => {
    expect(model.traits["draft"]).toBe("small");
    press("d");
    expect(model.traits["draft"]).toBe("none");
    press("d", { ctrlKey: true, repeat: true });
    expect(model.traits["draft"]).toBe("none");
    press("d");
    expect(model.traits["draft"]).toBe("small");
  });

  it("switch on the best draft that fits where none was on before", () => {
    model.change("draft", "none");
    press("d");
    expect(model.traits["draft"]).toBe("none");
    picked.receive({ type: "picker", offers: offers("big", [["other", { fits: false }], ["small"]]) });
    press("d");
    expect(model.traits["draft"]).toBe("small");
  });

  it("are said where they act, and all in one fold", () => {
    const keys = ["generate", "stop", "main", "draft", "wide", "follow-up"].map((id) => byId(explorer.element, id).getAttribute("aria-keyshortcuts"));
    expect(keys).toEqual(["Enter", ".", "L", "D", "E", "U"].map((key) => `Control+${key} Meta+${key}`));
    expect(button("generate").title).toBe("Generate: Ctrl+Enter or ⌘+Enter");
    expect(byId(explorer.element, "keys").querySelectorAll("kbd")).toHaveLength(6);
  });
});

describe("the run", () => {
  it("is told in words, with the kernel's own", () => {
    state("loading", { message: "SmolLM2 135M" });
    expect(status()).toBe("Loading the models · SmolLM2 135M");
    expect(byId(explorer.element, "status").classList.contains("sv-working")).toBe(true);
    state("finished");
    expect(byId(explorer.element, "status").classList.contains("sv-working")).toBe(false);
  });

  it("that failed says so in a banner, with what is known folded away", () => {
    const banner = byId(explorer.element, "banner");
    expect(banner.hidden).toBe(true);
    state("crashed", { message: "The engine ended <b>badly</b>", detail: "ggml_abort" });
    expect(banner.hidden).toBe(false);
    expect(banner.textContent).toContain("The engine ended <b>badly</b>");
    expect(banner.querySelector("details")?.open).toBe(false);
    expect(banner.querySelector("pre")?.textContent).toBe("ggml_abort");
    state("loading");
    expect(banner.hidden).toBe(true);
  });
});

describe("the sidebar", () => {
  it("is folded where there is no room beside the text, and says what is set", () => {
    const side = explorer.element.querySelector<HTMLDetailsElement>(".sv-settings");
    FakeResizeObserver.resize(1000);
    expect(side?.open).toBe(true);
    FakeResizeObserver.resize(450);
    expect(side?.open).toBe(false);
    const summary = () => side?.querySelector("summary")?.textContent;
    expect(summary()).toContain("BIG · SMALL · draft length 4");
    model.change("auto_length", true);
    expect(summary()).toContain("BIG · SMALL · draft length auto");
    model.change("chosen", { main: "BIG", draft: "" });
    expect(summary()).toContain("BIG · no draft");
    if (side) side.open = true;
    FakeResizeObserver.resize(460);
    expect(side?.open).toBe(true);
  });
});

it("leaves no listener behind", async () => {
  await vi.advanceTimersByTimeAsync(10);
  expect(model.listeners()).toBeGreaterThan(10);
  controller.abort();
  expect(model.listeners()).toBe(0);
  expect(FakeResizeObserver.observing).toBe(0);
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Explorer } from "../src/explorer.js";
import { PickerStore } from "../src/picker_store.js";
import type { Batch, ExplorerTraits, TurnColumns } from "../src/protocol.js";
import { Store } from "../src/store.js";
import { batch, byId, EXPLORER, FakeModel, runState, tokens } from "./fakes.js";

let model: FakeModel;
let store: Store;
let explorer: Explorer;
let controller: AbortController;
let seq: number;

afterEach(() => controller.abort());

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel({ ...EXPLORER });
  store = new Store((message) => model.send(message));
  controller = new AbortController();
  explorer = new Explorer(store, new PickerStore(), model.as<ExplorerTraits>(), controller.signal);
  document.body.append(explorer.element);
  seq = 0;
});

const element = (id: string) => byId(explorer.element, id);
const button = (id: string) => element(id) as HTMLButtonElement;
const box = (id: string) => element(id) as HTMLTextAreaElement;
const turn = (user: string, caption = "60.0 % accepted"): TurnColumns => ({ user, text: ["Good", " day"], kind: "ab", caption });
const runMessages = () => model.sent().filter((message) => (message as { type: string }).type !== "models");

function receive(content: Partial<Batch>): void {
  seq += 1;
  store.receive(batch(seq, content));
  explorer.draw();
}

/** The kernel begins a run, with what was said before it. */
function begin(user: string, turns: TurnColumns[] = [], can_undo = false): void {
  receive({ run: seq + 1, reset: true, run_info: { prompt: user }, conversation: { turns, can_undo }, state: runState("loading", { can_generate: false, can_stop: true }) });
}

function answer(user: string, turns: TurnColumns[] = [], can_undo = false): void {
  begin(user, turns, can_undo);
  receive({ run: seq, tokens: tokens(["Fine"]), state: runState("finished", { can_continue: true }) });
}

function say(text: string, id = "follow-up"): void {
  box(id).value = text;
  box(id).dispatchEvent(new Event("input", { bubbles: true }));
}

function press(key: string, at: HTMLElement, more: KeyboardEventInit = {}): boolean {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  at.dispatchEvent(event);
  return event.defaultPrevented;
}

describe("a follow-up", () => {
  it("can be asked once there is an answer", () => {
    expect([box("follow-up").disabled, button("send").disabled, button("regenerate").disabled, button("new").disabled]).toEqual([true, true, true, true]);
    begin("Hi");
    expect([box("follow-up").disabled, button("send").disabled, button("regenerate").disabled]).toEqual([false, true, true]);
    answer("Hi");
    expect(button("send").disabled).toBe(true);
    say("And you?");
    expect([button("send").disabled, button("regenerate").disabled, button("save").disabled]).toEqual([false, false, false]);
  });

  it("is sent with Enter, and with Ctrl+Enter too; Shift+Enter is a new line", () => {
    answer("Hi");
    say("And you?");
    expect(press("Enter", box("follow-up"), { shiftKey: true })).toBe(false);
    expect(press("Enter", box("follow-up"), { isComposing: true })).toBe(false);
    expect(runMessages()).toEqual([]);
    box("follow-up").focus();
    press("Enter", box("follow-up"), { ctrlKey: true });
    press("Enter", box("follow-up"));
    expect(runMessages()).toEqual([{ type: "follow_up", text: "And you?" }]);
  });

  it("stays in its box until it is asked", () => {
    answer("Hi");
    say("And you?");
    press("Enter", box("follow-up"));
    receive({ run: store.run, state: runState("failed", { message: "The JSON schema is not JSON" }) });
    expect(box("follow-up").value).toBe("And you?");
    press("Enter", box("follow-up"));
    begin("And you?", [turn("Hi")]);
    expect(box("follow-up").value).toBe("");
  });

  it("is a key away", () => {
    answer("Hi");
    expect(press("u", explorer.element, { ctrlKey: true })).toBe(true);
    expect(document.activeElement).toBe(box("follow-up"));
  });
});

describe("earlier turns", () => {
  it("are shown with what was said and who proposed it, the live turn's question last", () => {
    expect(element("turns").hidden).toBe(true);
    answer("Hi");
    expect(element("turns").hidden).toBe(true);
    answer("And you?", [turn("Hi", "60.0 % accepted · 84.1 tok/s")]);
    const [first, live] = element("turns").querySelectorAll("li");
    expect(first?.textContent).toContain("Good day60.0 % accepted · 84.1 tok/s");
    expect([...(first?.querySelectorAll<HTMLElement>(".t") ?? [])].map(({ dataset }) => dataset["kind"])).toEqual(["a", "b"]);
    expect(live?.textContent).toContain("And you?");
    expect(explorer.element.classList.contains("sv-conversing")).toBe(true);
  });

  it("come back with a snapshot, and go with another that has none", () => {
    store.receive({ type: "snapshot", seq: 9, run: 3, run_info: { prompt: "And you?" }, conversation: { turns: [turn("Hi")], can_undo: false } });
    explorer.draw();
    expect(element("turns").querySelectorAll("li")).toHaveLength(2);
    store.receive({ type: "snapshot", seq: 10, run: 4, conversation: { turns: [], can_undo: true } });
    explorer.draw();
    expect([element("turns").hidden, button("undo").hidden]).toEqual([true, false]);
  });

  it("are text, whatever was said", () => {
    const hostile = "<img src=x onerror=alert(1)>\u202e";
    answer("Hi", [{ ...turn(hostile, hostile), text: [hostile], kind: "a" }]);
    expect(element("turns").querySelector("img")).toBeNull();
    expect(element("turns").querySelector(".sv-user")?.textContent).toBe(`You: ${hostile}`);
  });

  it("are edited where they stand, after a word on what goes", () => {
    answer("Three", [turn("One"), turn("Two")]);
    const edit = () => [...element("turns").querySelectorAll<HTMLButtonElement>("[data-testid=edit]")];
    edit()[0]?.click();
    expect(element("turns").querySelector(".sv-edit")?.textContent).toContain("Its answer and 2 later turns go; Undo brings them back.");
    expect(press("Escape", box("edit-box"))).toBe(false);
    expect(document.activeElement).toBe(edit()[0]);
    edit()[2]?.click();
    expect(element("turns").querySelector(".sv-edit")?.textContent).toContain("Its answer goes; Undo brings it back.");
    say("Drei", "edit-box");
    press("Enter", box("edit-box"));
    expect(runMessages()).toEqual([{ type: "edit", turn: 2, text: "Drei" }]);
    begin("Drei", [turn("One"), turn("Two")], true);
    expect(edit().map(({ disabled }) => disabled)).toEqual([true, true, true]);
    expect(element("turns").querySelector(".sv-edit")).toBeNull();
    expect(button("undo").disabled).toBe(true);
  });
});

describe("the conversation", () => {
  it("is named in place", () => {
    say("Greetings", "name");
    expect(model.traits["name"]).toBe("Greetings");
    model.change("name", "");
    vi.advanceTimersByTime(1000);
    model.change("name", "From Python");
    expect((element("name") as HTMLInputElement).value).toBe("From Python");
  });

  it("can be begun anew, brought back and answered again", () => {
    answer("Hi", [], true);
    for (const id of ["new", "undo", "regenerate"]) button(id).click();
    expect(runMessages()).toEqual([{ type: "new" }, { type: "undo" }, { type: "regenerate" }]);
  });

  it("is saved by the view that asked", () => {
    const url = vi.fn(() => "blob:1");
    Object.assign(URL, { createObjectURL: url, revokeObjectURL: vi.fn() });
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click").mockReturnValue();
    answer("Hi");
    button("save").click();
    const [{ id } = { id: "" }] = runMessages() as { id: string }[];
    const data = new DataView(new ArrayBuffer(2));
    model.emit("msg:custom", { type: "file", id: "another view", name: "chat.jsonl" }, [data]);
    expect(url).not.toHaveBeenCalled();
    model.emit("msg:custom", { type: "file", id, name: "chat.jsonl" }, [data]);
    expect(click.mock.contexts[0]).toMatchObject({ download: "chat.jsonl" });
  });

  it("has a system prompt and a schema among its settings", () => {
    say("Be brief.", "system");
    say("{}", "json_schema");
    expect([model.traits["system"], model.traits["json_schema"]]).toEqual(["Be brief.", "{}"]);
  });
});

import type { Experimental, Host } from "@anywidget/types";
import { describe, expect, it, vi } from "vitest";
import feed, { type Exports } from "../src/index.js";
import type { FeedTraits, Part } from "../src/protocol.js";
import { batch, byId, EXPLORER, FakeModel, nextFrame, tokens } from "./fakes.js";
// @ts-expect-error The stub is plain JavaScript, shipped as it is.
import part from "../../specviz/widgets/part.js";

const experimental = {} as Experimental;
const host = {} as Host;

async function open(traits: Record<string, unknown> = {}) {
  const model = new FakeModel(traits);
  const widget = feed();
  const controller = new AbortController();
  const { signal } = new AbortController();
  const exports = (await widget.initialize({ model: model.as<FeedTraits>(), signal: controller.signal, experimental })) as Exports;
  const view = async () => {
    const el = document.createElement("div");
    document.body.append(el);
    await widget.render({ model: model.as<FeedTraits>(), el, signal, host, experimental });
    return el;
  };
  return { model, exports, view, controller };
}

const texts = (root: ParentNode) => [...root.querySelectorAll("[data-i]")].map((span) => span.textContent);

describe("a feed", () => {
  it("shows its snapshot first, then what comes", async () => {
    const { model, view } = await open({ snapshot: { seq: 4, run: 1, tokens: tokens(["a"]) } });
    const el = await view();
    expect(texts(el)).toEqual(["a"]);
    model.emit("msg:custom", batch(4, { tokens: tokens(["a"]) }));
    model.emit("msg:custom", batch(5, { tokens: tokens(["b"]) }));
    await nextFrame();
    expect(texts(el)).toEqual(["a", "b"]);
  });

  it("shows the same in a second view, opened later", async () => {
    const { model, view } = await open();
    model.emit("msg:custom", batch(1, { reset: true, tokens: tokens(["a"]) }));
    const [one, two] = [await view(), await view()];
    expect([texts(one), texts(two)]).toEqual([["a"], ["a"]]);
  });

  it.each([{}, EXPLORER])("keeps the notebook's keys off what has the focus in it", async (traits) => {
    const el = await (await open(traits)).view();
    const stream = byId(el, "stream");
    expect(stream.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
    stream.focus();
    expect(stream.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
  });

  it("keeps its store apart from another feed's", async () => {
    const first = await open();
    const second = await open({ feed_id: "feed-2" });
    first.model.emit("msg:custom", batch(1, { reset: true, tokens: tokens(["a"]) }));
    expect(texts(await first.view())).toEqual(["a"]);
    expect(texts(await second.view())).toEqual([]);
  });

  it("has tokens, three plots and statistics without controls; an Explorer has controls", async () => {
    const el = await (await open()).view();
    for (const id of ["stream", "plot-acceptance", "plot-throughput", "plot-speedup", "stats"]) byId(el, id);
    expect(el.querySelector("[data-testid=generate]")).toBeNull();
    byId(await (await open({ ...EXPLORER })).view(), "generate");
  });

  it("follows its own traits on which tokens it shows", async () => {
    const { model, view } = await open({ show_rejected: true });
    const shown = (await view()).querySelector(".sv-tokens")?.classList;
    expect(shown?.contains("sv-rejected")).toBe(true);
    model.change("show_rejected", false);
    expect(shown?.contains("sv-rejected")).toBe(false);
  });
});

describe("the static record", () => {
  const hidden = (record: HTMLElement) => getComputedStyle(record).display === "none";

  function record(id: string): HTMLElement {
    const element = document.createElement("div");
    element.className = "specviz-static";
    element.dataset["feed"] = id;
    document.body.append(element);
    return element;
  }

  it("is hidden while a live view of its feed is there, and no other", async () => {
    const [mine, other] = [record('fe"ed\\1'), record("feed-2")];
    const { exports } = await open({ feed_id: 'fe"ed\\1' });
    const views = [new AbortController(), new AbortController()];
    for (const { signal } of views) exports.mount("stats", { el: document.createElement("div"), signal });
    expect([hidden(mine), hidden(other)]).toEqual([true, false]);
    views[0]?.abort();
    expect(hidden(mine)).toBe(true);
    views[1]?.abort();
    expect(hidden(mine)).toBe(false);
  });

  it("is found by an id that comes after the view", async () => {
    const mine = record("late");
    const { model, view } = await open({ feed_id: "" });
    await view();
    expect(hidden(mine)).toBe(false);
    model.change("feed_id", "late");
    expect(hidden(mine)).toBe(true);
  });
});

describe("a part", () => {
  const parts: [Part, string][] = [
    ["tokens", "stream"],
    ["acceptance", "plot-acceptance"],
    ["throughput", "plot-throughput"],
    ["speedup", "plot-speedup"],
    ["stats", "stats"],
  ];

  it.each(parts)("%s is drawn by the feed's exports, found through the host", async (name, id) => {
    const { exports } = await open();
    const getWidget = vi.fn(() => Promise.resolve({ exports, render: () => Promise.resolve() }));
    const model = new FakeModel({ feed: "anywidget:abc", part: name, show_rejected: true });
    const el = document.createElement("div");
    const controller = new AbortController();
    await part.render({ model, el, signal: controller.signal, host: { getWidget } });
    expect(getWidget).toHaveBeenCalledWith("anywidget:abc");
    byId(el, id);
    if (name === "tokens") expect(el.querySelector(".sv-rejected")).not.toBeNull();
    controller.abort();
    expect(el.childElementCount).toBe(0);
    expect(model.listeners()).toBe(0);
  });

  it("that was closed while its feed was looked up draws nothing", async () => {
    const mount = vi.fn();
    const controller = new AbortController();
    const host = {
      getWidget: () => {
        controller.abort();
        return Promise.resolve({ exports: { mount } });
      },
    };
    await part.render({ model: new FakeModel(), el: document.createElement("div"), signal: controller.signal, host });
    expect(mount).not.toHaveBeenCalled();
  });

  it("of an unknown name is an error", async () => {
    const { exports } = await open();
    const target = { el: document.createElement("div"), signal: new AbortController().signal };
    expect(() => exports.mount("nothing" as Part, target)).toThrow(/no part "nothing"/u);
  });
});

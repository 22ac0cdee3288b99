import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openPage, type PageData } from "../src/page.js";
import { Playback } from "../src/player_playback.js";
import { viewReplay } from "../src/player.js";
import { Playhead, type ReplayTraits } from "../src/player_timeline.js";
import { asked, scored, told, type Question } from "../src/player_workshop.js";
import type { RoundColumns, Snapshot } from "../src/protocol.js";
import { extend, noTimeline, roundAt, type Timeline } from "../src/timeline.js";
import { byId, curves, FakeModel, nextFrame, roundDetail, runState, tokenDetail } from "./fakes.js";

/**
 * Five rounds: two of three accepted; none drafted; both accepted; none of three, one more unsent; one accepted, where
 * the text ends.
 */
const ROUNDS: RoundColumns = {
  draft: [0.25, 0, 0.25, 1, 0.25],
  verify: [0.5, 1, 0.5, 0.5, 0.5],
  other: [0.25, 0, 0.25, 0.5, 0.25],
  drafted: [3, 0, 2, 4, 1],
  sent: [3, 0, 2, 3, 1],
  accepted: [2, 0, 2, 0, 1],
  agreed: [2, 0, 2, 0, 1],
  tokens: [3, 1, 3, 1, 1],
};
const TIMELINE = timelineOf(ROUNDS);

function timelineOf(rounds: RoundColumns): Timeline {
  const timeline = noTimeline();
  extend(timeline, rounds);
  return timeline;
}

function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  const text = [" A", " B", " C", "\n", " E", " F", " G", " H", " I"];
  return {
    type: "snapshot",
    seq: 1,
    run: 1,
    run_info: { prompt: "Why?", main: "BIG", draft: "SMALL", drafter: "model", num_draft_tokens: 4, temperature: 0 },
    tokens: { text, kind: "aacpaabca", round: [0, 0, 0, 1, 2, 2, 2, 3, 4], p: text.map((_, i) => i / 10), q: text.map(() => null) },
    dropped: { at: [2, 7, 7, 7, 7], text: [" x", " y", " z", " w", " u"], fate: "rrddu", round: [0, 3, 3, 3, 3], p: [0.1, 0.1, null, null, null], q: [0.2, 0.2, 0.2, 0.2, 0.2] },
    curves: { ...curves([3, 4, 7, 8, 9]), tps_cumulative: [3, 2, 2.333333, 1.6, 1.5], acceptance_cumulative: [0.666667, 0.666667, 0.8, 0.444444, 0.5] },
    rounds: ROUNDS,
    stats: [
      { key: "tokens_per_second", label: "Tokens/s", value: "1.5", help: "Speed." },
      { key: "draft_acceptance_rate", label: "Acceptance rate", value: "50.0 %" },
      { key: "output_tokens", label: "Output tokens", value: "9" },
      { key: "stop_reason", label: "Stop reason", value: "end of text" },
    ],
    baseline: { tokens_per_second: 2, n_tokens: 16, age_tokens: 9, age_s: 6, account: "A round brings 2.00 tokens in the time of 1.00 plain ones" },
    state: runState("finished", { message: "end of text" }),
    ...more,
  };
}

function open({ whole = snapshot() }: { whole?: Snapshot } = {}) {
  const sent: unknown[] = [];
  const controller = new AbortController();
  const playback = new Playback(whole, (message) => sent.push(message), controller.signal);
  return { playback, sent, controller };
}

const asks = () => false;

describe("the playhead", () => {
  it("moves by recorded time, and by tokens at constant pace", () => {
    const head = new Playhead(TIMELINE);
    expect([head.total, head.rounds, head.current]).toEqual([6, 5, -1]);
    head.advance(3.5, "recorded", asks);
    expect([head.round, head.within, head.seconds, head.current]).toEqual([3, 0.25, 3.5, 3]);
    head.place(0);
    head.advance(0.4, "constant", asks);
    expect([head.round, head.within]).toEqual([2, expect.closeTo(0)]);
    head.advance(0.15, "constant", asks);
    expect(head.round).toBe(2);
    expect(head.within).toBeCloseTo(0.5);
    head.advance(1000, "recorded", asks);
    expect([head.ended, head.round, head.seconds, head.current]).toEqual([true, 5, 6, 4]);
  });

  it("finds the round of a time, and goes there", () => {
    const head = new Playhead(TIMELINE);
    expect([0, 0.99, 1, 4.9, 5, 6, 99].map((time) => roundAt(TIMELINE, time))).toEqual([0, 0, 1, 3, 4, 5, 5]);
    for (const time of [0, 0.5, 1, 3.7, 6]) {
      head.seek(time);
      expect(head.seconds).toBeCloseTo(time);
    }
    head.seek(-1);
    expect(head.seconds).toBe(0);
  });

  it("stops before a verdict, once the draft is there", () => {
    const head = new Playhead(TIMELINE);
    expect(head.advance(10, "recorded", (round) => round === 3)).toBe(true);
    expect([head.round, head.seconds]).toEqual([3, 4]);
    expect(head.advance(10, "recorded", (round) => round === 3)).toBe(true);
    head.place(4);
    expect(head.advance(10, "recorded", (round) => round === 3)).toBe(false);
  });

  it("plays a record without times at constant pace", () => {
    const head = new Playhead({ ...TIMELINE, end: [0, 0, 0, 0, 0] });
    expect([head.timed, head.total]).toEqual([false, 0.9]);
    head.advance(0.75, "recorded", asks);
    expect(head.round).toBe(3);
    expect(head.advance(1, "constant", (round) => round === 4)).toBe(true);
    const empty = new Playhead(noTimeline());
    expect([empty.ended, empty.total, empty.advance(1, "recorded", asks)]).toEqual([true, 0, false]);
  });
});

describe("a playback", () => {
  it("holds what had come by the playhead, however it got there", () => {
    const { playback } = open();
    const whole = snapshot();
    for (const rounds of [5, 0, 1, 4, 2, 3, 5, 1, 1, 5, 3]) {
      playback.goTo(rounds);
      const { tokens, dropped, curves: shown, seq } = playback.store;
      const n = TIMELINE.tokens[rounds - 1] ?? 0;
      const gone = TIMELINE.dropped[rounds - 1] ?? 0;
      expect(tokens.text).toEqual(whole.tokens?.text.slice(0, n));
      expect(tokens.kind.join("")).toBe(whole.tokens?.kind.slice(0, n));
      expect(tokens.p).toEqual(whole.tokens?.p.slice(0, n));
      expect(dropped.text).toEqual(whole.dropped?.text.slice(0, gone));
      expect(dropped.fate.join("")).toBe(whole.dropped?.fate.slice(0, gone));
      expect(shown.tps_cumulative).toEqual(whole.curves?.tps_cumulative.slice(0, rounds));
      expect(seq).toBeGreaterThan(0);
      expect(playback.store.waiting).toBe(false);
    }
  });

  it("goes forwards without drawing anything again, backwards from nothing", () => {
    const { playback } = open();
    playback.goTo(1);
    const { epoch } = playback.store;
    playback.step(1);
    playback.goTo(5);
    expect(playback.store.epoch).toBe(epoch);
    playback.step(-1);
    expect(playback.store.epoch).toBe(epoch + 1);
  });

  it("shows Python's figures: those of the round on the way, the table at the end", () => {
    const { playback } = open();
    const values = () => Object.fromEntries(playback.store.stats.map(({ key, value }) => [key, value]));
    expect(values()).toEqual({ tokens_per_second: "1.5", draft_acceptance_rate: "50.0 %", output_tokens: "9", stop_reason: "end of text" });
    expect([playback.store.state.phase, playback.store.baseline?.n_tokens]).toEqual(["finished", 16]);
    playback.goTo(3);
    expect(values()).toEqual({ tokens_per_second: "2.3", draft_acceptance_rate: "80.0 %", output_tokens: "7" });
    expect(playback.store.stats[0]?.help).toBe("Speed.");
    expect([playback.store.state.phase, playback.store.baseline]).toEqual(["generating", null]);
    playback.goTo(0);
    expect([playback.store.stats, playback.store.state.phase, playback.store.runInfo.main]).toEqual([[], "idle", "BIG"]);
  });

  it("plays by frames to the end, and from the beginning again", async () => {
    const { playback } = open();
    playback.speed = 1000;
    playback.play();
    expect([playback.playing, playback.playhead.round]).toEqual([true, 0]);
    await vi.waitFor(() => expect(playback.playing).toBe(false));
    expect(playback.store.tokens.text).toHaveLength(9);
    expect(playback.store.state.phase).toBe("finished");
  });

  it("stands still when paused, and when its view has gone", async () => {
    const { playback, controller } = open();
    playback.play();
    playback.pause();
    const at = playback.playhead.seconds;
    await nextFrame();
    expect(playback.playhead.seconds).toBe(at);
    controller.abort();
    playback.play();
    expect(playback.playing).toBe(false);
  });

  it("steps to the ends of rounds, from within one too", () => {
    const { playback } = open();
    playback.seek(3.7);
    playback.step(1);
    expect(playback.playhead.round).toBe(4);
    playback.seek(3.7);
    playback.step(-1);
    expect([playback.playhead.round, playback.playhead.within]).toEqual([3, 0]);
    playback.step(-1);
    expect(playback.playhead.round).toBe(2);
    playback.step(-100);
    expect(playback.playhead.round).toBe(0);
  });
});

describe("the workshop", () => {
  function questions() {
    const { playback } = open();
    playback.asking = true;
    playback.restart();
    const all: Question[] = [];
    while (!playback.playhead.ended) {
      playback.advance(100);
      const { question } = playback.workshop;
      if (!question) continue;
      all.push(question);
      playback.answer(question.agreed);
    }
    return { playback, all };
  }

  it("asks for every round with a draft, with the tokens that were sent", () => {
    const { all } = questions();
    expect(all.map(({ round }) => round)).toEqual([0, 2, 3, 4]);
    expect(all.map(asked)).toEqual([
      "How many of these 3 will be accepted?",
      "How many of these 2 will be accepted?",
      "How many of these 3 will be accepted?",
      "Will this one be accepted?",
    ]);
    expect(all.map(({ drafted }) => drafted.map(({ text }) => text).join(""))).toEqual([" A B x", " E F", " y z w", " I"]);
  });

  it("says in one sentence what happened", () => {
    expect(questions().all.map(told)).toEqual([
      "2 of 3 were accepted: the main model wanted “ C” instead of “ x”.",
      "All 2 were accepted, and the main model added “ G”.",
      "None of the 3 was accepted: the main model wanted “ H” instead of “ y”.",
      "It was accepted, and the text ended there.",
    ]);
  });

  it("shows nothing of the verdict before the answer", () => {
    const { playback } = open();
    playback.asking = true;
    playback.play();
    playback.advance(100);
    expect(playback.store.tokens.text).toEqual([]);
    expect(playback.playing).toBe(false);
    playback.play();
    expect(playback.playing, "the question waits").toBe(false);
    playback.answer(1);
    expect(playback.store.tokens.text).toEqual([" A", " B", " C"]);
  });

  it("keeps score, and counts a round once", () => {
    const { playback } = questions();
    expect(scored(playback.workshop)).toBe("4 of 4 right, 4 in a row");
    playback.goTo(0);
    playback.advance(100);
    playback.answer(0);
    expect(playback.workshop.verdict?.right).toBe(false);
    expect(scored(playback.workshop)).toBe("4 of 4 right, 4 in a row");
    playback.restart();
    playback.advance(100);
    playback.answer(0);
    expect(scored(playback.workshop)).toBe("0 of 1 right");
  });

  it("counts what was taken past the end as accepted", () => {
    const rounds = { ...ROUNDS, sent: [3, 0, 2, 3, 2], agreed: [2, 0, 2, 0, 2], drafted: [3, 0, 2, 4, 2] };
    const { playback } = open({ whole: snapshot({ rounds, dropped: { at: [2, 7, 7, 7, 7, 9], text: [" x", " y", " z", " w", " u", " e"], fate: "rrddue", round: [0, 3, 3, 3, 3, 4], p: [], q: [] } }) });
    playback.asking = true;
    playback.goTo(4);
    playback.advance(100);
    expect(playback.workshop.question?.drafted.map(({ text }) => text)).toEqual([" I", " e"]);
    playback.answer(2);
    expect(playback.workshop.verdict?.right).toBe(true);
  });
});

function view(traits: Record<string, unknown> = {}, whole = snapshot()) {
  const { playback, controller } = open({ whole });
  const model = new FakeModel({ view: "replay", show_provenance: true, show_rejected: false, colour: "provenance", autoplay: false, workshop: false, ...traits });
  const el = document.createElement("div");
  document.body.append(el);
  viewReplay(playback, { el, signal: controller.signal, model: model.as<ReplayTraits>() });
  return { playback, el, player: byId(el, "player") };
}

function press(target: HTMLElement, key: string): boolean {
  return !target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

afterEach(() => vi.stubGlobal("matchMedia", undefined));

const shown = (root: ParentNode) => [...root.querySelectorAll("[data-i]")].map((span) => span.textContent).join("");

describe("the player", () => {
  it("has its views, and names for all its controls", () => {
    const { el, player } = view();
    for (const id of ["stream", "plot-acceptance", "stats", "replay-scrubber", "replay-strip", "toggle-rejected", "colour"]) byId(el, id);
    for (const control of player.querySelectorAll("button, select, input")) {
      const label = control.getAttribute("aria-label") ?? player.querySelector(`label[for="${control.id}"]`)?.textContent;
      expect(label, control.outerHTML).toBeTruthy();
    }
  });

  it("steps, goes to the ends and pauses by keys, which nobody else gets", async () => {
    const { playback, player, el } = view();
    const scrubber = byId(el, "replay-scrubber");
    expect(press(scrubber, "Home")).toBe(true);
    for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"]) press(scrubber, key);
    expect(playback.playhead.round).toBe(2);
    await nextFrame();
    await nextFrame();
    expect(byId(el, "replay-live").textContent).toBe("2 of 5 rounds · 4 tokens · 2 of 3 drafted accepted · 2.0 tokens/s when recorded");
    expect(scrubber.getAttribute("aria-valuetext")).toBe("2 of 5 rounds, 2.0 s of 6.0 s");
    press(player, " ");
    expect(playback.playing).toBe(true);
    press(player, " ");
    expect(playback.playing).toBe(false);
    press(scrubber, "End");
    expect(playback.playhead.ended).toBe(true);
    expect(press(byId(el, "replay-speed"), "ArrowLeft"), "a list keeps its keys").toBe(false);
    expect(press(byId(el, "stream"), "Home"), "the text keeps its keys").toBe(false);
  });

  it("follows the scrubber and a click on the strip", async () => {
    const { playback, el } = view();
    const scrubber = byId(el, "replay-scrubber") as HTMLInputElement;
    scrubber.value = "3.5";
    scrubber.dispatchEvent(new Event("input"));
    expect([playback.playhead.round, playback.playhead.seconds]).toEqual([3, 3.5]);
    const strip = byId(el, "replay-strip");
    strip.querySelector(".sv-brush")!.getBoundingClientRect = () => new DOMRect(100, 0, 600, 28);
    for (const type of ["pointerdown", "pointerup"]) strip.querySelector(".sv-strip")!.dispatchEvent(new MouseEvent(type, { clientX: 150, button: 0 }));
    await nextFrame();
    expect(playback.playhead.round).toBe(1);
    const current = strip.querySelector<HTMLElement>(".sv-pl-current");
    expect([current?.style.left, Number.parseFloat(current?.style.width ?? "")]).toEqual(["0%", expect.closeTo(100 / 6, 3)]);
  });

  it("says the speed as it is at each pace", async () => {
    const { playback, el } = view();
    const [speed, pace] = [byId(el, "replay-speed"), byId(el, "replay-pace")] as HTMLSelectElement[];
    const labels = () => [...(speed?.options ?? [])].map(({ textContent }) => textContent);
    expect(labels()).toEqual(["0.25×", "0.5×", "1×", "2×", "4×", "8×"]);
    pace!.value = "constant";
    pace!.dispatchEvent(new Event("change"));
    expect(labels()).toEqual(["2.5 tokens/s", "5 tokens/s", "10 tokens/s", "20 tokens/s", "40 tokens/s", "80 tokens/s"]);
    speed!.value = "4";
    speed!.dispatchEvent(new Event("change"));
    expect([playback.pace, playback.speed]).toEqual(["constant", 4]);
  });

  it("asks, takes a number key, tells and goes on", async () => {
    const { playback, el, player } = view({ workshop: true });
    playback.restart();
    byId(el, "replay-play").focus();
    playback.advance(100);
    await nextFrame();
    expect(byId(el, "workshop-words").textContent).toBe("How many of these 3 will be accepted?");
    expect(byId(el, "ghosts").textContent).toBe(" A B x");
    expect(shown(el)).toBe("");
    expect(document.activeElement).toBe(byId(el, "workshop"));
    expect(press(player, "4"), "there are only three").toBe(false);
    press(player, "2");
    await nextFrame();
    await nextFrame();
    expect(byId(el, "workshop-words").textContent).toMatch(/^Right\. 2 of 3 were accepted/u);
    expect(byId(el, "workshop-score").textContent).toBe("1 of 1 right");
    expect(el.querySelector("[data-testid=ghosts]")).toBeNull();
    expect(shown(el)).toBe(" A B C");
    expect([...byId(el, "workshop-chips").children].map((one) => (one as HTMLElement).dataset["kind"] ?? (one as HTMLElement).dataset["fate"])).toEqual(["a", "a", "r", "c"]);
    expect(document.activeElement).toBe(byId(el, "workshop-next"));
    byId(el, "workshop-next").click();
    await nextFrame();
    expect(player.contains(document.activeElement), "the focus stays").toBe(true);
    playback.advance(100);
    await nextFrame();
    expect(byId(el, "workshop-words").textContent).toBe("How many of these 2 will be accepted?");
    expect([...el.querySelectorAll(".sv-block")].at(-1)?.querySelector("[data-testid=ghosts]"), "in a line of its own").toBeNull();
  });

  it("plays by itself where that is wanted, but not for those who prefer less motion", () => {
    expect(view({ autoplay: true }).playback.playing).toBe(true);
    vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener: () => undefined }));
    const { playback } = view({ autoplay: true });
    expect([playback.playing, playback.playhead.ended]).toEqual([false, true]);
  });

  it("takes no token for markup", async () => {
    const evil = "<img src=x onerror=alert(1)></script>";
    const whole = snapshot();
    whole.tokens!.text[0] = whole.dropped!.text[0] = evil;
    const { playback, el } = view({ workshop: true }, whole);
    playback.restart();
    playback.advance(100);
    await nextFrame();
    expect(byId(el, "ghosts").textContent).toContain(evil);
    press(byId(el, "player"), "0");
    await nextFrame();
    expect(el.querySelector("img, script")).toBeNull();
  });
});

describe("a page without a kernel", () => {
  beforeEach(() => vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener: () => undefined })));

  const data = (): PageData => ({
    snapshot: snapshot(),
    details: TIMELINE.end.map((_, round) => {
      const { type: _type, run: _run, round: _round, ...rest } = roundDetail([tokenDetail("a", ` ${round}`, { index: 0, position: 1 })]);
      return rest;
    }),
    show_rejected: true,
  });

  it("shows all of it at first, with its own settings, in the system's colours", async () => {
    const root = document.createElement("main");
    document.body.append(root);
    openPage(root, data());
    await nextFrame();
    expect(root.querySelector("h1")?.textContent).toBe("BIG with SMALL");
    expect(shown(root)).toBe(" A B C E F G H I");
    expect(root.querySelector(".sv-rejected")).not.toBeNull();
    byId(root, "toggle-rejected").click();
    expect(root.querySelector(".sv-rejected")).toBeNull();
    expect(document.body.dataset["jpThemeLight"]).toBe("false");
  });

  it("answers itself what is asked about a round", async () => {
    const root = document.createElement("main");
    document.body.append(root);
    openPage(root, data());
    root.querySelector<HTMLElement>("[data-i='0']")?.click();
    await nextFrame();
    await nextFrame();
    expect(byId(root, "inspector").textContent).toMatch(/draft/iu);
    expect(root.querySelector(".sv-in-strip, .sv-in-time, [class*=sv-in-]")).not.toBeNull();
  });

  it("lets every turn of a conversation be chosen, and begins with the last", async () => {
    const turn = (run: number, user: string) => ({ ...data(), user, caption: "50 % accepted", snapshot: { ...snapshot(), run } });
    const root = document.createElement("main");
    document.body.append(root);
    openPage(root, { name: "Letters", turns: [turn(1, "First?"), turn(2, "<b>Second?")] } as unknown as PageData);
    await nextFrame();
    const choices = [...root.querySelectorAll<HTMLElement>("[data-testid=turn-choice]")];
    const current = () => choices.map((choice) => choice.getAttribute("aria-current"));
    expect(root.querySelector("h1")?.textContent).toBe("Letters");
    expect(choices.map((choice) => choice.textContent)).toEqual(["First?50 % accepted", "<b>Second?50 % accepted"]);
    expect(current()).toEqual(["false", "true"]);
    choices[0]?.click();
    await nextFrame();
    expect(current()).toEqual(["true", "false"]);
    expect(root.querySelectorAll("[data-testid=player]")).toHaveLength(1);
    expect(shown(root)).toBe(" A B C E F G H I");
    root.querySelector<HTMLElement>("[data-i='0']")?.click();
    await nextFrame();
    await nextFrame();
    expect(byId(root, "inspector").textContent).toMatch(/draft/iu);
  });
});

import { beforeEach, describe, expect, it, vi } from "vitest";
import { RESYNC_DELAY_MS, RESYNC_RETRY_MS } from "../src/in_order.js";
import type { PageMessage } from "../src/protocol.js";
import { Store } from "../src/store.js";
import { batch, curves, dropped, runState, tokens } from "./fakes.js";

let asked: PageMessage[];
let store: Store;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  store = new Store((message) => asked.push(message));
});

describe("batches", () => {
  it("append tokens, dropped tokens and curves, and replace the rest", () => {
    store.receive(batch(1, { reset: true, tokens: tokens(["a"], "a"), curves: curves([1]), stats: [{ key: "k", label: "K", value: "1" }] }));
    store.receive(
      batch(2, {
        tokens: tokens(["b", "c"], "cb"),
        dropped: dropped([[1, "x", "r"]]),
        curves: curves([3], null),
        stats: [{ key: "k", label: "K", value: "2" }],
        state: runState("generating"),
      }),
    );
    expect(store.tokens.text).toEqual(["a", "b", "c"]);
    expect(store.tokens.kind).toEqual(["a", "c", "b"]);
    expect(store.dropped.at).toEqual([1]);
    expect(store.curves.x).toEqual([1, 3]);
    expect(store.curves.speedup_rolling).toEqual([0.5, null]);
    expect(store.stats.map((row) => row.value)).toEqual(["2"]);
    expect(store.state.phase).toBe("generating");
  });

  it("are dropped when seen before", () => {
    store.receive(batch(1, { reset: true, tokens: tokens(["a"]) }));
    store.receive(batch(1, { tokens: tokens(["a"]) }));
    expect(store.tokens.text).toEqual(["a"]);
    vi.advanceTimersByTime(10_000);
    expect(asked).toEqual([]);
  });

  it("start a new epoch on reset only, so that continue appends", () => {
    store.receive(batch(1, { reset: true, run_info: { prompt: "one" }, tokens: tokens(["a"]) }));
    const { epoch } = store;
    store.receive(batch(2, { run: 2, tokens: tokens(["b"]) }));
    expect(store.epoch).toBe(epoch);
    expect(store.tokens.text).toEqual(["a", "b"]);
    expect(store.run).toBe(2);
    store.receive(batch(3, { run: 3, reset: true, tokens: tokens(["c"]) }));
    expect(store.epoch).toBe(epoch + 1);
    expect(store.tokens.text).toEqual(["c"]);
    expect(store.curves.x).toEqual([]);
    expect(store.runInfo).toEqual({});
  });

  it("can take the baseline away again, but an absent one changes nothing", () => {
    const baseline = { tokens_per_second: 60, n_tokens: 16, age_tokens: 0, age_s: 0, account: "" };
    store.receive(batch(1, { baseline }));
    store.receive(batch(2));
    expect(store.baseline).toEqual(baseline);
    store.receive(batch(3, { baseline: null }));
    expect(store.baseline).toBeNull();
  });

  it("tell listeners until their signal is aborted", () => {
    const listener = vi.fn();
    const controller = new AbortController();
    store.subscribe(listener, controller.signal);
    store.receive(batch(1));
    controller.abort();
    store.receive(batch(2));
    expect(listener).toHaveBeenCalledTimes(1);
  });
});

describe("a gap", () => {
  beforeEach(() => {
    store.receive(batch(1, { reset: true, tokens: tokens(["a"]) }));
    store.receive(batch(3, { tokens: tokens(["c"]) }));
  });

  it("asks for a snapshot once, after a moment, and shows nothing out of order", () => {
    store.receive(batch(4, { tokens: tokens(["d"]) }));
    expect(asked).toEqual([]);
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(asked).toEqual([{ type: "resync" }]);
    store.receive(batch(6));
    vi.advanceTimersByTime(RESYNC_RETRY_MS - 1);
    expect(asked).toHaveLength(1);
    expect(store.tokens.text).toEqual(["a"]);
  });

  it("asks again when nobody answers", () => {
    vi.advanceTimersByTime(RESYNC_DELAY_MS + RESYNC_RETRY_MS);
    expect(asked).toHaveLength(2);
  });

  it("is closed by a snapshot, and newer batches that came meanwhile are kept", () => {
    store.receive(batch(4, { tokens: tokens(["d"]) }));
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    store.receive({ type: "snapshot", seq: 3, run: 1, tokens: tokens(["a", "b", "c"]) });
    expect(store.tokens.text).toEqual(["a", "b", "c", "d"]);
    expect(store.seq).toBe(4);
    store.receive(batch(5, { tokens: tokens(["e"]) }));
    expect(store.tokens.text.join("")).toBe("abcde");
    vi.advanceTimersByTime(60_000);
    expect(asked).toHaveLength(1);
  });

  it("stays open when the snapshot is older than the gap", () => {
    store.receive(batch(6, { tokens: tokens(["f"]) }));
    store.receive({ type: "snapshot", seq: 2, run: 1, tokens: tokens(["a", "b"]) });
    expect(store.tokens.text.join("")).toBe("abc");
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(asked).toEqual([{ type: "resync" }]);
  });

  it("is no reason to go back to a snapshot that is older than what is shown", () => {
    store.receive({ type: "snapshot", seq: 1, run: 1, tokens: tokens(["a"]) });
    store.receive({ type: "snapshot", seq: 0, run: 0 });
    expect(store.tokens.text).toEqual(["a"]);
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(asked).toEqual([{ type: "resync" }]);
  });
});

describe("a snapshot", () => {
  it("replaces everything", () => {
    store.receive(batch(1, { reset: true, run_info: { prompt: "old" }, tokens: tokens(["a"]), dropped: dropped([[0, "x", "r"]]), state: runState("generating") }));
    store.receive({ type: "snapshot", seq: 9, run: 2, tokens: tokens(["z"]) });
    expect(store.tokens.text).toEqual(["z"]);
    expect(store.dropped.at).toEqual([]);
    expect(store.runInfo).toEqual({});
    expect(store.state.phase).toBe("idle");
    expect(store.restored).toBe(true);
    store.receive(batch(10, { tokens: tokens(["!"]) }));
    expect(store.restored).toBe(false);
  });

  it("that another page asked for changes nothing here", () => {
    store.receive(batch(1, { reset: true, tokens: tokens(["a"]) }));
    const { epoch } = store;
    store.receive({ type: "snapshot", seq: 1, run: 1, tokens: tokens(["a"]) });
    expect(store.epoch).toBe(epoch);
  });

  it("as a trait may be empty", () => {
    store.restore({});
    store.restore(undefined);
    expect(store.seq).toBeNull();
    store.receive(batch(1, { tokens: tokens(["a"]) }));
    expect(store.tokens.text).toEqual(["a"]);
  });

  it("of a run under way is asked for again once somebody listens", () => {
    store.restore({ type: "snapshot", seq: 3, run: 1, tokens: tokens(["a"]), state: runState("generating") });
    store.catchUp();
    expect(asked).toEqual([{ type: "resync" }]);
    store.receive({ type: "snapshot", seq: 9, run: 1, tokens: tokens(["a", "b"]), state: runState("finished") });
    expect(store.tokens.text).toEqual(["a", "b"]);
    store.catchUp();
    expect(asked).toHaveLength(1);
  });

  it("is asked for by a page that opens in the middle of a run without one", () => {
    store.receive(batch(40, { tokens: tokens(["x"]) }));
    vi.advanceTimersByTime(RESYNC_DELAY_MS);
    expect(asked).toEqual([{ type: "resync" }]);
    expect(store.tokens.text).toEqual([]);
  });
});

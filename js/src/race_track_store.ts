import { Listeners } from "./listeners.js";
import type { HeatColumns, LaneColumns, LaneWay, Maybe, PageMessage, RaceMessage, RaceRun, RaceState } from "./protocol.js";
import { RESYNC_DELAY_MS, RESYNC_RETRY_MS } from "./store.js";

const IDLE: RaceState = { phase: "idle", message: "", detail: "", can_start: true, can_stop: false };
const NO_RUN: RaceRun = { prompt: 0, serial: 0, way: null, number: 0, of: 0, live: false };
const NO_HEATS: HeatColumns = { pair: "", prompt: [], category: [], ratio: [], parting: [], tie: [], interval: null, done: 0, verdict: "" };

/** What the kernel has said of a race so far; the lanes are those of the prompt under way. */
export class RaceStore {
  state = IDLE;
  run = NO_RUN;
  heats = NO_HEATS;
  speedup: Maybe = null;
  lanes: Partial<Record<LaneWay, LaneColumns>> = {};

  #seq: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Listeners();
  readonly #send: (message: PageMessage) => void;

  constructor(send: (message: PageMessage) => void) {
    this.#send = send;
  }

  /** After a gap everything is asked for, and what comes before that does not count. */
  receive(message: RaceMessage): void {
    if (!message.whole) {
      if (this.#timer !== undefined || (this.#seq !== null && message.seq <= this.#seq)) return;
      if (this.#seq === null || message.seq !== this.#seq + 1) {
        this.#timer = setTimeout(() => this.#ask(), RESYNC_DELAY_MS);
        return;
      }
    }
    this.#apply(message);
    this.#listeners.notify();
  }

  /** Take the `snapshot` trait; a page that has heard more keeps what it has. */
  restore(snapshot: RaceMessage | Record<string, never>): void {
    if (typeof snapshot.seq === "number" && snapshot.seq > (this.#seq ?? -1)) this.receive(snapshot as RaceMessage);
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  #ask(): void {
    this.#send({ type: "resync" });
    this.#timer = setTimeout(() => this.#ask(), RESYNC_RETRY_MS);
  }

  #apply({ seq, whole, state, run, lanes, speedup, heats }: RaceMessage): void {
    if (whole) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    if (whole || run.prompt !== this.run.prompt) this.lanes = {};
    for (const [way, more] of Object.entries(lanes) as [LaneWay, LaneColumns][]) {
      const lane = this.lanes[way];
      this.lanes[way] = lane?.serial === more.serial ? joined(lane, more) : more;
    }
    this.#seq = seq;
    this.state = state;
    this.run = run;
    this.speedup = speedup;
    if (heats) this.heats = heats;
  }
}

function joined(lane: LaneColumns, more: LaneColumns): LaneColumns {
  return {
    serial: lane.serial,
    seconds: [...lane.seconds, ...more.seconds],
    count: [...lane.count, ...more.count],
    speed: [...lane.speed, ...more.speed],
    text: [...lane.text, ...more.text],
    kind: lane.kind + more.kind,
  };
}

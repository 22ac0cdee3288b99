import { InOrder } from "./in_order.js";
import { Listeners } from "./listeners.js";
import type { HeatColumns, LaneColumns, LaneWay, Maybe, PageMessage, RaceMessage, RaceRun, RaceState } from "./protocol.js";

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

  readonly #listeners = new Listeners();
  readonly #messages: InOrder<RaceMessage, RaceMessage>;

  constructor(send: (message: PageMessage) => void) {
    const apply = (message: RaceMessage) => this.#apply(message);
    this.#messages = new InOrder<RaceMessage, RaceMessage>({ append: apply, replace: apply, ask: () => send({ type: "resync" }) });
  }

  receive(message: RaceMessage): void {
    if (message.whole) this.#messages.replace(message);
    else this.#messages.append(message);
  }

  /** Take the `snapshot` trait. */
  restore(snapshot: RaceMessage | Record<string, never>): void {
    if (typeof snapshot.seq === "number") this.receive(snapshot as RaceMessage);
  }

  /** Of a race under way, what came between its snapshot and now is lost: ask for all of it. */
  catchUp(): void {
    if (!this.state.can_start) this.#messages.catchUp();
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }

  dispose(): void {
    this.#messages.dispose();
    this.#listeners.clear();
  }

  #apply({ whole, state, run, lanes, speedup, heats }: RaceMessage): void {
    if (whole || run.prompt !== this.run.prompt) this.lanes = {};
    for (const [way, more] of Object.entries(lanes) as [LaneWay, LaneColumns][]) {
      const lane = this.lanes[way];
      this.lanes[way] = lane?.serial === more.serial ? joined(lane, more) : more;
    }
    this.state = state;
    this.run = run;
    this.speedup = speedup;
    if (heats) this.heats = heats;
    this.#listeners.notify();
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

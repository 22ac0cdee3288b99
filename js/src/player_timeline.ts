import type { ShownTraits, Snapshot } from "./protocol.js";
import { CONSTANT_PER_SECOND, between, endOf, isTimed, roundAt, type Timeline } from "./timeline.js";

/** Where a round's verify begins, as a share of it, if its times are not known. */
const UNTIMED = 0.5;

export interface ReplayTraits extends ShownTraits {
  view: "replay";
  feed_id: string;
  snapshot: Snapshot;
  autoplay?: boolean;
  workshop?: boolean;
}

export type Pace = "recorded" | "constant";

/** Where a replay is: so many rounds are over, and a share of the next one. */
export class Playhead {
  round = 0;
  within = 0;
  readonly rounds: number;
  /** Whether times were recorded; if not, all is at constant pace. */
  readonly timed: boolean;
  readonly #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
    this.rounds = timeline.end.length;
    this.timed = isTimed(timeline);
  }

  get total(): number {
    return this.endOf(this.rounds - 1);
  }

  get seconds(): number {
    return this.endOf(this.round - 1) + this.within * this.#length(this.round);
  }

  get ended(): boolean {
    return this.round >= this.rounds;
  }

  /** The round that is under way or, between two, the one that is over; -1 at the start. */
  get current(): number {
    return this.within > 0 ? this.round : this.round - 1;
  }

  /** When a round ends, in seconds on the scrubber's axis. */
  endOf(round: number): number {
    return endOf(this.#timeline, round);
  }

  /** When a round's verify begins, as a share of the round. */
  verdictOf(round: number): number {
    const length = this.#length(round);
    return this.timed && length > 0 ? Math.min(0.95, (this.#timeline.draft[round] ?? 0) / length) : UNTIMED;
  }

  /** To the time when so many rounds were over. */
  place(rounds: number): void {
    this.round = Math.max(0, Math.min(this.rounds, rounds));
    this.within = 0;
  }

  seek(seconds: number): void {
    this.place(roundAt(this.#timeline, seconds));
    const length = this.#length(this.round);
    if (!this.ended && length > 0) this.within = Math.max(0, seconds - this.endOf(this.round - 1)) / length;
  }

  /** Move on by so much time at speed 1; true where a round at which `asks` holds stopped it before its verdict. */
  advance(seconds: number, pace: Pace, asks: (round: number) => boolean): boolean {
    for (let left = seconds; !this.ended; ) {
      const length = pace === "recorded" && this.timed ? this.#length(this.round) : this.#tokens(this.round) / CONSTANT_PER_SECOND;
      const verdict = this.verdictOf(this.round);
      const stops = this.within <= verdict && asks(this.round);
      const needed = ((stops ? verdict : 1) - this.within) * length;
      if (left < needed) {
        this.within += left / length;
        return false;
      }
      if (stops) {
        this.within = verdict;
        return true;
      }
      left -= needed;
      this.place(this.round + 1);
    }
    return false;
  }

  #length(round: number): number {
    return Math.max(0, this.endOf(round) - this.endOf(round - 1));
  }

  #tokens(round: number): number {
    return between(this.#timeline.tokens, round, round + 1);
  }
}

import type { ShownTraits, Snapshot } from "./protocol.js";

/** Output tokens a second at constant pace and speed 1. */
export const CONSTANT_PER_SECOND = 10;
/** Where a round's verify begins, as a share of it, if its times are not known. */
const UNTIMED = 0.5;

/** When each round of a recorded generation was, and what had come by its end; columns with an entry per round. */
export interface Timeline {
  /** Seconds of decoding. */
  end: number[];
  draft: number[];
  verify: number[];
  /** Counts of everything up to the round's end. */
  tokens: number[];
  dropped: number[];
  drafted: number[];
  accepted: number[];
  /** Of the round: tokens that went to the main model, and those it agreed with. */
  sent: number[];
  agreed: number[];
}

export interface ReplayTraits extends ShownTraits {
  view: "replay";
  feed_id: string;
  snapshot: Snapshot;
  timeline: Timeline;
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
  readonly #ends: number[];

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
    this.rounds = timeline.end.length;
    this.timed = (timeline.end.at(-1) ?? 0) > 0;
    this.#ends = this.timed ? timeline.end : timeline.tokens.map((n) => n / CONSTANT_PER_SECOND);
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
    return this.#ends[round] ?? 0;
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
    this.place(this.roundAt(seconds));
    const length = this.#length(this.round);
    if (!this.ended && length > 0) this.within = Math.max(0, seconds - this.endOf(this.round - 1)) / length;
  }

  /** The round under way at that time. */
  roundAt(seconds: number): number {
    let [low, high] = [0, this.rounds];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.endOf(middle) <= seconds) low = middle + 1;
      else high = middle;
    }
    return low;
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
    return (this.#timeline.tokens[round] ?? 0) - (this.#timeline.tokens[round - 1] ?? 0);
  }
}

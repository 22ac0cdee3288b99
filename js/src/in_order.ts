export const RESYNC_DELAY_MS = 250;
export const RESYNC_RETRY_MS = 2000;
/** Messages kept while everything is asked for, so that those newer than the answer are not asked for again. */
const HELD = 512;

interface Numbered {
  seq: number;
}

interface Told<Part, Whole> {
  /** What has come since the message before. */
  append(part: Part): void;
  /** Everything so far. */
  replace(whole: Whole): void;
  /** Everything is needed. */
  ask(): void;
}

/** What the kernel numbers, told in order and each message once; where one is missing, everything is asked for. */
export class InOrder<Part extends Numbered, Whole extends Numbered> {
  #seq: number | null = null;
  #held: Part[] = [];
  #waiting = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #told: Told<Part, Whole>;

  constructor(told: Told<Part, Whole>) {
    this.#told = told;
  }

  /** Number of the last message that was told; null before the first. */
  get seq(): number | null {
    return this.#seq;
  }

  get waiting(): boolean {
    return this.#waiting;
  }

  /** Take a part; one that `begins` may be the first. */
  append(part: Part, begins = false): void {
    if (this.#waiting) {
      this.#hold(part);
      return;
    }
    if (this.#seq !== null && part.seq <= this.#seq) return;
    const next = this.#seq === null ? begins || part.seq <= 1 : part.seq === this.#seq + 1;
    if (!next) {
      this.#hold(part);
      this.#waiting = true;
      this.#timer = setTimeout(() => this.#ask(), RESYNC_DELAY_MS);
      return;
    }
    this.#seq = part.seq;
    this.#told.append(part);
  }

  /** Take everything, unless it is no newer than what is known. */
  replace(whole: Whole): void {
    if (this.#seq !== null && whole.seq <= this.#seq) return;
    this.#seq = whole.seq;
    this.#waiting = false;
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = [];
    this.#told.replace(whole);
    for (const part of held) this.append(part);
  }

  /** What came between a snapshot and now is lost: ask for all of it. */
  catchUp(): void {
    this.#waiting = true;
    this.#ask();
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }

  #hold(part: Part): void {
    this.#held.push(part);
    if (this.#held.length > HELD) this.#held.shift();
  }

  #ask(): void {
    this.#told.ask();
    this.#timer = setTimeout(() => this.#ask(), RESYNC_RETRY_MS);
  }
}

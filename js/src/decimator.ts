/**
 * Keeps at most `capacity` rows of a growing series, evenly spread: every `stride`-th row is kept, and the stride
 * doubles whenever the kept rows would no longer fit. The newest row is always the last one returned.
 */
export class Decimator<Row> {
  readonly capacity: number;
  #rows: Row[] = [];
  #last: Row | undefined;
  #seen = 0;
  #stride = 1;

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 4) throw new RangeError("capacity must be an integer of at least 4");
    this.capacity = capacity;
  }

  get stride(): number {
    return this.#stride;
  }

  get seen(): number {
    return this.#seen;
  }

  push(row: Row): void {
    this.#last = row;
    if (this.#seen % this.#stride === 0) {
      // One place stays free for the newest row.
      if (this.#rows.length === this.capacity - 1) {
        this.#rows = this.#rows.filter((_, i) => i % 2 === 0);
        this.#stride *= 2;
      }
      if (this.#seen % this.#stride === 0) this.#rows.push(row);
    }
    this.#seen += 1;
  }

  rows(): Row[] {
    if (this.#last === undefined || this.#rows.at(-1) === this.#last) return [...this.#rows];
    return [...this.#rows, this.#last];
  }

  clear(): void {
    this.#rows = [];
    this.#last = undefined;
    this.#seen = 0;
    this.#stride = 1;
  }
}

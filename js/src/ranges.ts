/** Ranges that move seldom and in steps, so that a live axis holds still between them. */

export const FIRST_X = 64;

export function doubled(range: number, last: number): number {
  let x = Math.max(range, FIRST_X);
  while (x < last) x *= 2;
  return x;
}

/** The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that holds `value`. */
export function step(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const scaled = value / power;
  // The slack keeps 0.3 / 0.1 = 2.9999999999999996 and its kin on their own step.
  const factor = [1, 1.5, 2, 3, 4, 5, 6, 8].find((candidate) => scaled <= candidate * (1 + 1e-9)) ?? 10;
  return Number((factor * power).toPrecision(12));
}

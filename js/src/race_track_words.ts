import type { HeatColumns, RacePhase, RaceRun, RaceState, Way } from "./protocol.js";
import { count } from "./words.js";

export const WAY: Record<Way, string> = {
  plain: "without draft",
  speculative: "with draft",
  "length 0": "with the draft loaded but never asked",
};

export const RACE_PHASE: Record<RacePhase, string> = {
  idle: "Ready",
  loading: "Loading the models",
  warming: "Warming up",
  racing: "Racing",
  stopping: "Stopping",
  finished: "Finished",
  stopped: "Stopped",
  crashed: "The engine crashed",
  failed: "Something went wrong",
};

/** Where the race is, as a line. */
export function progress({ phase }: RaceState, run: RaceRun, { prompt, done }: HeatColumns): string {
  const of = `Prompt ${run.prompt + 1} of ${prompt.length}`;
  if (phase === "warming") return `${of}, warming up`;
  if (phase === "racing" && run.way !== null) return `${of}, ${WAY[run.way]}, run ${run.number} of ${run.of}`;
  if (phase === "stopped") return `Stopped after ${done} of ${count(prompt.length, "prompt")}`;
  if (phase === "finished") return `Finished: ${count(done, "prompt")}`;
  return RACE_PHASE[phase];
}

/** How sure the speedup is, below it. */
export function sureness({ interval, done, prompt }: HeatColumns, racing: boolean): string {
  if (interval) return `95 % interval ${times(interval[1])} to ${times(interval[2])}, over ${done === 1 ? "the runs of one prompt" : `${done} prompts`}`;
  if (!racing) return "";
  return prompt.length === 1 ? "an interval comes at the end" : "an interval comes with the second prompt";
}

export function times(value: number): string {
  return `${value.toFixed(2)}×`;
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

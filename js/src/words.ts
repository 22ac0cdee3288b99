import type { Choice, Colour, Fate, Kind, Maybe, Metrics, Phase } from "./protocol.js";

export const PROVENANCE: Record<Lowercase<Kind>, string> = {
  a: "Accepted",
  c: "Correction",
  b: "Bonus",
  p: "Plain",
};

export const PROVENANCE_MEANING: Record<Lowercase<Kind>, string> = {
  a: "The draft proposed it and the main model agreed.",
  c: "The main model’s own token, in place of the one it refused.",
  b: "The main model’s own token, after a whole draft was accepted.",
  p: "The main model’s token; no draft was sent here.",
};

export const FATE: Record<Fate, string> = {
  r: "Refused",
  d: "Discarded",
  u: "Unsent",
  e: "Past the end",
};

export const FATE_MEANING: Record<Fate, string> = {
  r: "The main model chose another token here.",
  d: "It stood after the refused token and was never compared.",
  u: "It was drafted but dropped before the main model saw it.",
  e: "The main model agreed, but the text had already ended.",
};

/** What tokens can be coloured by. */
export const COLOURS: Record<Colour, string> = {
  provenance: "who proposed them",
  round: "round",
  p: "main model’s p",
  q: "draft’s q",
  surprise: "surprise",
};

/** In whose names statistics are told. */
export const METRICS: Record<Metrics, string> = {
  specviz: "specviz",
  lmstudio: "LM Studio",
  vllm: "vLLM",
  llamacpp: "llama.cpp",
  textbook: "the textbook",
};

export const RULES: Choice[] = [
  { key: "match", label: "Match", detail: "Keeps a drafted token that equals the main model’s own sample." },
  {
    key: "rejection",
    label: "Rejection sampling",
    detail: "Keeps a token with chance min(1,\u00a0p/q), else draws from max(0,\u00a0p\u00a0−\u00a0q).",
  },
];

/** Drafters that are no model, by key, within a sentence. */
export const WITHOUT_MODEL: Record<string, string> = { none: "no draft", ngram: "n-gram lookup" };

export const AUTO_LENGTH = "Drafts as long as it pays on this machine, down to not at all.";

export const PHASE: Record<Phase, string> = {
  idle: "Ready",
  loading: "Loading the models",
  prefill: "Reading the prompt",
  baseline: "Measuring plain decoding",
  generating: "Generating",
  stopping: "Stopping",
  finished: "Finished",
  stopped: "Stopped",
  crashed: "The engine crashed",
  failed: "Something went wrong",
};

export function percent(value: Maybe | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const hundred = value * 100;
  if (hundred > 0 && hundred < 0.1) return "<0.1 %";
  return `${hundred.toFixed(hundred < 99.95 && hundred > 0 ? 1 : 0)} %`;
}

/** A share within a sentence: no digit more than it takes to picture it. */
export function roughly(value: number): string {
  const hundred = value * 100;
  if (hundred > 0 && hundred < 0.1) return "under\u00a00.1\u00a0%";
  return `${hundred.toFixed(hundred >= 9.95 && (hundred < 99 || hundred >= 99.95) ? 0 : hundred > 0 ? 1 : 0)}\u00a0%`;
}

/** A short time, in milliseconds. */
export function milliseconds(seconds: number): string {
  const ms = seconds * 1000;
  return `${ms.toFixed(ms < 9.95 ? 1 : 0)}\u00a0ms`;
}

const LINE_BREAKS = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/gu;
/** Characters that cannot be seen, or that turn their neighbours round. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu;

/** Characters that turn what follows round: no element holds in those that it does not close. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/gu;

/** A token as it is drawn among others. */
export function upright(text: string): string {
  return text.replace(TURNING, code);
}

function code(one: string): string {
  return `⟨${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** What a token shows that ends inside a character: the text comes with the one that completes it. */
const PARTIAL = "(part of a character)";

/** A line break does not break the line that a token is shown in. */
export function inOneLine(text: string): string {
  return upright(text).replace(LINE_BREAKS, "↵");
}

/** A token as it can be seen: white space as signs, other unseen characters by their code, long ones cut. */
export function visible(text: string, longest = 40): string {
  return text === "" ? PARTIAL : quotable(text, longest).replace(/ /gu, "␣");
}

/** The same within a sentence, where spaces stay what they are beside something that can be seen. */
export function quotable(text: string, longest = 40): string {
  if (text === "") return PARTIAL;
  const shown = inOneLine(text)
    .replace(/\t/gu, "⇥")
    .replace(UNSEEN, code);
  const characters = [...(shown.trim() === "" ? shown.replace(/ /gu, "␣") : shown)];
  return characters.length > longest ? `${characters.slice(0, longest).join("")}…` : characters.join("");
}

export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  return `${Math.round(value / 60)} min`;
}

/** A file's size, in powers of 1,000. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3 + 1e-9));
  const value = n / 1000 ** power;
  return `${value.toFixed(power > 2 && value < 100 ? 1 : 0)} ${units[power]}`;
}

/** A number of parameters: 135 M, 1.5 B. */
export function parameters(n: number): string {
  const billions = n / 1e9;
  if (billions >= 0.9995) return `${billions.toFixed(billions < 100 ? 1 : 0)} B`;
  if (n < 1e6) return `${Math.ceil(n / 1000)} k`;
  const millions = n / 1e6;
  return `${millions.toFixed(millions < 10 ? 1 : 0)} M`;
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

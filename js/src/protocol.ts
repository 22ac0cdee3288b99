/** What kernel and page say to each other; `docs/protocol.md` is the contract. */

export type Phase =
  | "idle"
  | "loading"
  | "prefill"
  | "baseline"
  | "generating"
  | "stopping"
  | "finished"
  | "stopped"
  | "crashed"
  | "failed";

/** Accepted, correction, bonus, plain; upper case marks a control token. */
export type Kind = "a" | "c" | "b" | "p" | "A" | "C" | "B" | "P";

/** Refused, discarded, unsent, past the end. */
export type Fate = "r" | "d" | "u" | "e";

export type Maybe = number | null;

export type DraftLength = number | "auto";

export interface RunInfo {
  prompt?: string;
  main?: string;
  /** In words: a model's name, "n-gram lookup", or empty where nothing drafted. */
  draft?: string;
  drafter?: "model" | "ngram" | "none";
  num_draft_tokens?: DraftLength;
  p_min?: number;
  temperature?: number;
  rule?: string;
  max_tokens?: number;
}

export interface TokenColumns {
  text: string[];
  kind: string;
  round: number[];
  p: Maybe[];
  q: Maybe[];
}

export interface DroppedColumns {
  at: number[];
  text: string[];
  fate: string;
  round: number[];
  q: Maybe[];
  p: Maybe[];
}

export const CURVES = [
  "acceptance_rolling",
  "acceptance_cumulative",
  "tps_rolling",
  "tps_cumulative",
  "baseline_tps",
  "speedup_rolling",
  "speedup_cumulative",
] as const;

export type Curve = (typeof CURVES)[number];

export type CurveColumns = { x: number[] } & Record<Curve, Maybe[]>;

export interface StatRow {
  key: string;
  label: string;
  value: string;
  help?: string;
}

export interface Baseline {
  tokens_per_second: number;
  n_tokens: number;
  age_tokens: number;
  age_s: number;
}

export interface RunState {
  phase: Phase;
  message: string;
  detail: string;
  can_generate: boolean;
  can_stop: boolean;
  can_continue: boolean;
}

export interface Content {
  run_info?: RunInfo;
  tokens?: TokenColumns;
  dropped?: DroppedColumns;
  curves?: CurveColumns;
  stats?: StatRow[];
  baseline?: Baseline | null;
  state?: RunState;
}

export interface Batch extends Content {
  type: "batch";
  seq: number;
  run: number;
  reset: boolean;
}

export interface Snapshot extends Content {
  type: "snapshot";
  seq: number;
  run: number;
}

export type KernelMessage = Batch | Snapshot;

export interface PageMessage {
  type: "generate" | "continue" | "stop" | "resync";
}

export interface Choice {
  key: string;
  label: string;
  detail: string;
  reason: string;
}

/** Which tokens a view shows, and how. */
export interface ShownTraits {
  show_provenance?: boolean;
  show_rejected?: boolean;
}

export interface FeedTraits extends ShownTraits {
  view: "feed" | "explorer";
  feed_id: string;
  snapshot: Snapshot | Record<string, never>;
}

export interface Settings {
  prompt: string;
  main: string;
  draft: string;
  auto_length: boolean;
  num_draft_tokens: number;
  p_min: number;
  temperature: number;
  rule: "match" | "rejection";
  max_tokens: number;
  seed: number | null;
  ignore_eos: boolean;
  measure_baseline: boolean;
  show_provenance: boolean;
  show_rejected: boolean;
}

export interface ExplorerTraits extends Omit<FeedTraits, keyof ShownTraits>, Settings {
  presets: string[];
  main_choices: Choice[];
  draft_choices: Choice[];
}

export type Part = "tokens" | "acceptance" | "throughput" | "speedup" | "stats";

export interface PartTraits extends ShownTraits {
  feed: string;
  part: Part;
}

/** Phases in which something is under way. */
export function busy(phase: Phase): boolean {
  return ["loading", "prefill", "baseline", "generating", "stopping"].includes(phase);
}

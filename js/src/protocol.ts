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

/** What is on this machine: one entry per model in every column, numbers that are not known 0. */
export interface ModelColumns {
  key: string[];
  name: string[];
  path: string[];
  source: string[];
  architecture: string[];
  n_params: number[];
  quantization: string[];
  bits_per_weight: number[];
  size_bytes: number[];
  n_ctx: number[];
  n_vocab: number[];
  tokenizer: string[];
  has_chat_template: boolean[];
  /** Half a line more; mostly empty. */
  note: string[];
  /** Why it cannot be chosen as a main model; empty: it can. */
  reason: string[];
}

/** What there is to choose as a draft for one main model, the best first. */
export interface OfferColumns {
  main: string;
  key: string[];
  fits: boolean[];
  /** Why it does not fit; of one that fits, what differs all the same. */
  reason: string[];
  /** Why it wears the badge; empty: it does not. */
  recommended: string[];
  warnings: string[][];
  /** Key of the remembered draft; empty: none is remembered. */
  default: string;
  /** Why none fits; empty where one does. */
  why: string;
}

export interface LibraryProgress {
  state: "new" | "searching" | "indexing" | "comparing" | "ready" | "failed";
  k: number;
  n: number;
  detail: string;
}

export interface DownloadState {
  suggestion: number;
  state: "waiting" | "downloading" | "done" | "cancelled" | "failed";
  /** Which of the two is on its way. */
  file: "main model" | "draft";
  done_bytes: number;
  total_bytes: number;
  error: string;
}

export interface Suggestion {
  label: string;
  size_bytes: number;
}

export interface EngineReport {
  name: string;
  state: string;
  version: string;
  backends: string[];
  can: string[];
  cannot: string[];
  reason: string;
  checking: boolean;
}

export interface PickerContent {
  models?: ModelColumns;
  offers?: OfferColumns | null;
  progress?: LibraryProgress;
  /** What could not be searched, in sentences. */
  problems?: string[];
  suggestions?: Suggestion[];
  download?: DownloadState | null;
  engines?: EngineReport[];
  /** Where the models of the last run are, in words. */
  placement?: string[];
}

export interface PickerMessage extends PickerContent {
  type: "picker";
}

export type KernelMessage = Batch | Snapshot;

export type PageMessage =
  | { type: "generate" | "continue" | "stop" | "resync" }
  | { type: "models" | "refresh" | "cancel_download" }
  | { type: "set_default"; draft: string }
  | { type: "download"; suggestion: number }
  | { type: "probe"; engine: string };

export interface Choice {
  key: string;
  label: string;
  detail: string;
}

/** Which tokens a view shows, and how. */
export interface ShownTraits {
  show_provenance?: boolean;
  show_rejected?: boolean;
}

export interface FeedTraits extends ShownTraits {
  view: "feed" | "explorer" | "picker";
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
  /** Names of the chosen models, for a page that no kernel tells more. */
  chosen: { main?: string; draft?: string };
  /** Keys of the models that the last run was started with. */
  launched: string[];
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

/** What kernel and page say to each other; `docs/protocol.md` is the contract. */

import type { Curves } from "./replay.js";

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

/** Stretches of an answer that reasons, from number `from` on; they replace what was told of those. */
export interface ReasoningColumns {
  from: number;
  /** Index of the first token of each. */
  start: number[];
  /** One letter each: reasoning, reasoning that goes on (`o`), answer. */
  kind: string;
  caption: string[];
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

export const ROUNDS = ["draft", "verify", "other", "drafted", "sent", "accepted", "agreed", "tokens"] as const;

/** Of each round: seconds of its parts, then counts; `agreed` is accepted + past the end, `tokens` those of the output. */
export type RoundColumns = Record<(typeof ROUNDS)[number], number[]>;

export interface StatRow {
  key: string;
  label: string;
  value: string;
  help?: string;
}

/** In whose names statistics are told; `specviz` stands for all there is. */
export type Metrics = "specviz" | Dialect;
export type Dialect = "lmstudio" | "vllm" | "llamacpp" | "textbook";

/** What is said of a dialect's figure. */
export interface MetricWords {
  key: string;
  label: string;
  help: string;
  /** Key of the headline figure in whose place it stands; empty: none. */
  tile: string;
}

export interface Baseline {
  tokens_per_second: number;
  n_tokens: number;
  age_tokens: number;
  age_s: number;
  /** Where the speedup comes from, as a sentence; empty where nothing was drafted. */
  account: string;
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
  rounds?: RoundColumns;
  reasoning?: ReasoningColumns;
  stats?: StatRow[];
  /** Figures of each dialect as it writes them; null: not measured. */
  metrics?: Partial<Record<Dialect, (string | null)[]>>;
  /** What they are, in the same order. */
  metric_words?: Partial<Record<Dialect, MetricWords[]>>;
  baseline?: Baseline | null;
  state?: RunState;
  conversation?: Conversation;
}

/** What was said before the turn that the rest of the content is about. */
export interface Conversation {
  turns: TurnColumns[];
  /** Whether there is something that was replaced, and can be brought back. */
  can_undo: boolean;
}

/** An earlier turn: its answer in runs of tokens of one kind. */
export interface TurnColumns {
  user: string;
  text: string[];
  kind: string;
  caption: string;
}

/** The most probable tokens of a position; `mark` holds `t` for the token itself, `c` for the main model's choice. */
export interface CandidateColumns {
  text: string[];
  p: number[];
  mark: string[];
}

/** What is recorded of one drafted token, or of the main model's own that closes a round. */
export interface TokenDetail {
  kind: Lowercase<Kind> | Fate;
  /** In all output tokens since the last reset; null: it was dropped. */
  index: number | null;
  /** In the draft, from 1; null: it closes the round. */
  position: number | null;
  text: string;
  p: Maybe;
  q: Maybe;
  /** -log2 p, in bits. */
  surprise: Maybe;
  /** That the rule takes it, after the samplers; null where it was not compared. */
  chance: Maybe;
  /** Of the main model's choice in the draft's list. */
  rank: Maybe;
  /** What the main model chose here; null where it chose nothing. */
  choice: string | null;
  choice_p: Maybe;
  choice_q: Maybe;
  /** Whether that is this very token. */
  same: boolean | null;
  /** Of the main model's first candidate over its second. */
  margin: Maybe;
  margin_logits: Maybe;
  /** Why it was not sent: p_min, entropy, auto, probe, n_min, stop. */
  unsent_by: string | null;
  confidence: Maybe;
  entropy: Maybe;
  main_top: CandidateColumns;
  draft_top: CandidateColumns;
}

/** What is recorded of one round; sent when it is asked for. */
export interface RoundDetail {
  type: "detail";
  run: number;
  round: number;
  rule: string;
  /** Whether tokens are drawn: the temperature is above 0. */
  drawn: boolean;
  drafter: string;
  p_min: number;
  entropy_max: Maybe;
  n_min: number;
  drafted: number;
  sent: number;
  accepted: number;
  stop_reason: string | null;
  draft_seconds: number;
  verify_seconds: number;
  other_seconds: number;
  /** As drafted, then the closing one. */
  tokens: TokenDetail[];
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
  /** What the server of the last run tells: in words, and whether it does; empty where models run here. */
  told?: [what: string, told: boolean][];
}

/** A file for the view that asked with this id; its bytes are the message's buffer, unless an error says why there are none. */
export interface FileMessage {
  type: "file";
  id: string;
  name: string;
  error?: string;
}

export interface PickerMessage extends PickerContent {
  type: "picker";
}

export type KernelMessage = Batch | Snapshot | RoundDetail;

export type PageMessage =
  | { type: "generate" | "continue" | "start" | "stop" | "resync" }
  | { type: "regenerate" | "new" | "undo" }
  | { type: "follow_up"; text: string }
  | { type: "edit"; turn: number; text: string }
  | { type: "save" | "save_page"; id: string }
  | { type: "inspect"; run: number; round: number }
  | { type: "models" | "refresh" | "cancel_download" }
  | { type: "set_default"; draft: string }
  | { type: "download"; suggestion: number }
  | { type: "probe"; engine: string };

export interface Choice {
  key: string;
  label: string;
  detail: string;
}

/** What tokens are coloured by. */
export type Colour = "provenance" | "round" | "p" | "q" | "surprise";

/** Which tokens a view shows, and how. */
export interface ShownTraits {
  show_provenance?: boolean;
  show_rejected?: boolean;
  colour?: Colour;
  metrics?: Metrics;
}

export interface FeedTraits extends ShownTraits {
  view: "feed" | "explorer" | "picker" | "what_if" | "race" | "replay" | "compare";
  feed_id: string;
  snapshot: Snapshot | RaceMessage | Record<string, never>;
}

export interface Settings {
  /** Of the conversation. */
  name: string;
  system: string;
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
  json_schema: string;
  measure_baseline: boolean;
  show_provenance: boolean;
  show_rejected: boolean;
  colour: Colour;
  metrics: Metrics;
}

export interface ExplorerTraits extends Omit<FeedTraits, keyof ShownTraits>, Settings {
  presets: string[];
  /** Names of the chosen models, for a page that no kernel tells more. */
  chosen: { main?: string; draft?: string };
  /** Keys of the models that the last run was started with. */
  launched: string[];
}

export type Part = "tokens" | "acceptance" | "throughput" | "speedup" | "timeline" | "accepted" | "positions" | "stats";

/** Phases in which something is under way. */
export function busy(phase: Phase): boolean {
  return ["loading", "prefill", "baseline", "generating", "stopping"].includes(phase);
}

/** What drafts say along answers that are there (`WhatIf`). */
export interface AuditColumns {
  main: string;
  drafts: string[];
  /** Whether it is known what drafts say after a miss. */
  thorough: boolean;
  answers: AnswerColumns[];
}

export interface AnswerColumns {
  prompt: string;
  category: string;
  n_prompt: number;
  /** Output tokens that it could have had. */
  limit: number | null;
  text: string[];
  /** Indices of the control tokens. */
  control: number[];
  /** By draft. */
  drafts: DraftColumns[];
}

export interface DraftColumns {
  /** `1` where its favourite is what stands there, else `0`. */
  matches: string;
  /** Its probability of its favourite, in whole hundredths, rounded down. */
  confidence: number[];
  /** Its favourites where they miss, in order. */
  favourite: string[];
  /** For each miss the confidences of what it says next; null: not known. */
  after: number[][] | null;
}

/** What rounds cost with a draft, in milliseconds; `resampled` says how sure that is. */
export interface CostColumns extends Curves {
  /** The part of `pass` that is not the main model's. */
  other: number[];
  resampled: Curves[];
}

/** Speedups that were measured, an entry per setting in every column. */
export interface MeasuredColumns {
  draft: string[];
  num_draft_tokens: number[];
  p_min: number[];
  speedup: number[];
}

export interface WhatIfTraits extends Pick<Settings, "draft" | "num_draft_tokens" | "p_min" | "show_rejected"> {
  audit: AuditColumns;
  costs: Record<string, CostColumns>;
  measured: MeasuredColumns | Record<string, never>;
  /** Number of the answer that is shown; -1: all. */
  answer: number;
}

/** How a race decodes (`RaceTrack`). */
export type Way = "plain" | "speculative" | "length 0";
/** The ways that have a lane, from the top. */
export const LANES = ["plain", "speculative"] as const;
export type LaneWay = (typeof LANES)[number];

export type RacePhase = "idle" | "loading" | "warming" | "racing" | "stopping" | "finished" | "stopped" | "crashed" | "failed";

export interface RaceState {
  phase: RacePhase;
  message: string;
  detail: string;
  can_start: boolean;
  can_stop: boolean;
}

/** One run: rounds by the clock of its decoding, tokens by what proposed them. */
export interface LaneColumns {
  /** Which of the prompt's runs it is, from 1. */
  serial: number;
  /** When each round ended. */
  seconds: number[];
  /** Output tokens by then, and per second. */
  count: number[];
  speed: number[];
  text: string[];
  kind: string;
}

/** The run under way, or the last. */
export interface RaceRun {
  /** From 0. */
  prompt: number;
  serial: number;
  way: Way | null;
  /** Which of its way's runs on this prompt, from 1, of how many. */
  number: number;
  of: number;
  live: boolean;
}

/** What is known of the prompts; an entry per prompt in every column. */
export interface HeatColumns {
  pair: string;
  prompt: string[];
  category: string[];
  ratio: Maybe[];
  /** Where the texts part, as a sentence. */
  parting: (string | null)[];
  tie: (boolean | null)[];
  interval: [ratio: number, low: number, high: number] | null;
  done: number;
  verdict: string;
}

export interface RaceMessage {
  type: "race";
  seq: number;
  /** Whether this replaces all that was told before. */
  whole: boolean;
  state: RaceState;
  run: RaceRun;
  lanes: Partial<Record<LaneWay, LaneColumns>>;
  speedup: Maybe;
  heats?: HeatColumns;
}

/** What one answer says where two part (`Compare`), and how sure its main model was. */
export interface PartingChoice {
  at: number;
  /** null: the answer has ended. */
  text: string | null;
  p: Maybe;
  /** Of the other answer's token, under this answer's main model. */
  other_p: Maybe;
  margin: Maybe;
  margin_logits: Maybe;
}

/** A setting or a figure of two answers, in words. */
export interface ComparedRow {
  label: string;
  a: string;
  b: string;
  help: string;
}

export interface ComparisonColumns {
  names: [string, string];
  verdict: string;
  /** Of each passage: output tokens of either answer up to its end. */
  a: number[];
  b: number[];
  /** Of each: `1` where both say the same, else `0`. */
  equal: string;
  parting: [PartingChoice, PartingChoice] | null;
  settings: ComparedRow[];
  figures: ComparedRow[];
}

export interface CompareTraits extends Pick<ShownTraits, "show_rejected"> {
  view: "compare";
  feed_id: string;
  /** Numbered as runs 1 and 2. */
  answers: [Snapshot, Snapshot];
  comparison: ComparisonColumns;
}

import type { ModelColumns, OfferColumns } from "./protocol.js";
import { bytes, count, parameters } from "./words.js";

export const NO_DRAFT = "none";
export const NGRAM = "ngram";

/** Whether a main model is the URL of a server. */
export const isUrl = (key: string): boolean => /^https?:\/\/./iu.test(key);

/** One line of a selector. */
export interface Option {
  key: string;
  name: string;
  /** Half a line: parameters, quantisation, size. */
  facts: string;
  group: string;
  /** What typing is matched with, folded. */
  words: string;
  /** Why it is recommended; empty: it is not. */
  recommended: string;
  isDefault: boolean;
  warnings: string[];
  /** Why it cannot be chosen; empty: it can. */
  reason: string;
  details: [term: string, text: string][];
}

export type Entry =
  | { kind: "group"; text: string }
  | { kind: "option"; option: Option }
  | { kind: "refused"; count: number; open: boolean };

const SOURCES: Record<string, string> = {
  demo: "Demo",
  given: "Given by path",
  folder: "Folders",
  "lm studio": "LM Studio",
  "hugging face": "Hugging Face",
  ollama: "Ollama",
  "llama.cpp": "llama.cpp",
};

/** Without accents and in lower case: what is typed and what it is matched with are both folded. */
export function fold(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The main models, by source. */
export function mainOptions(models: ModelColumns): Option[] {
  const order = [...Object.keys(SOURCES), ...models.source];
  return models.key
    .map((_, i) => ({ ...option(models, i), group: sourceName(models.source[i] ?? ""), reason: models.reason[i] ?? "" }))
    .map((one, i) => ({ one, place: order.indexOf(models.source[i] ?? "") }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one);
}

/** A server that is typed. */
export function serverOption(url: string): Option {
  return plain(url, url, "A running llama-server, LM Studio, vLLM or specviz serve", "");
}

/** What is offered where a server drafts. */
export const SERVERS_OWN: Option[] = [plain(NO_DRAFT, "The server’s own draft", "What it was started with", "")];

/** What can draft, in the order of the offers, after the drafters without a model. */
export function draftOptions(models: ModelColumns, offers: OfferColumns | null): Option[] {
  const rows = new Map(models.key.map((key, i) => [key, i]));
  const remembered = offers?.default ?? "";
  const offered = (offers?.key ?? []).flatMap((key, i): Option[] => {
    const row = rows.get(key);
    if (row === undefined || !offers) return [];
    const fits = offers.fits[i] === true;
    const remark = offers.reason[i] ?? "";
    const base = option(models, row);
    return [
      {
        ...base,
        facts: [base.facts, sourceName(models.source[row] ?? "")].filter(Boolean).join(" · "),
        group: fits ? "Drafts that fit, the best first" : "",
        recommended: offers.recommended[i] ?? "",
        isDefault: key === remembered,
        warnings: offers.warnings[i] ?? [],
        reason: fits ? "" : remark || "does not fit",
        details: fits && remark ? [["Differs", remark], ...base.details] : base.details,
      },
    ];
  });
  return [
    plain(NO_DRAFT, "No draft", "Plain decoding", remembered),
    plain(NGRAM, "N-gram lookup (no model)", "Repeats what followed the same words", remembered),
    ...offered,
  ];
}

/** What the list shows: the options with all typed words, under their groups; what cannot be chosen at the end, folded. */
export function listed(options: Option[], typed: string, showRefused: boolean): Entry[] {
  const words = fold(typed).split(/\s+/u).filter(Boolean);
  const found = options.filter((one) => words.every((word) => one.words.includes(word)));
  const entries: Entry[] = [];
  let group = "";
  for (const one of found) {
    if (one.reason) continue;
    if (one.group !== group) {
      group = one.group;
      if (group) entries.push({ kind: "group", text: group });
    }
    entries.push({ kind: "option", option: one });
  }
  const refused = found.filter((one) => one.reason);
  if (refused.length) entries.push({ kind: "refused", count: refused.length, open: showRefused });
  if (showRefused) entries.push(...refused.map((one): Entry => ({ kind: "option", option: one })));
  return entries;
}

/** The next entry that can be reached, `by` places on (or back), which stays within the list; -1: there is none. */
export function reachable(entries: Entry[], from: number, by: number): number {
  const places = entries.flatMap(({ kind }, i) => (kind === "group" ? [] : [i]));
  if (!places.length) return -1;
  const at = places.indexOf(from);
  if (at < 0) return (by < 0 ? places.at(-1) : places[0]) ?? -1;
  return places[Math.min(places.length - 1, Math.max(0, at + by))] ?? -1;
}

function option(models: ModelColumns, i: number): Option {
  const name = models.name[i] ?? "";
  const source = models.source[i] ?? "";
  const size = models.size_bytes[i] ?? 0;
  const n = models.n_params[i] ?? 0;
  const quantization = models.quantization[i] ?? "";
  const architecture = models.architecture[i] ?? "";
  const facts = [n ? parameters(n) : "", quantization, size ? bytes(size) : "", models.note[i] ?? ""].filter(Boolean);
  const context = models.n_ctx[i] ?? 0;
  const vocabulary = models.n_vocab[i] ?? 0;
  const bits = models.bits_per_weight[i] ?? 0;
  const details: [string, string][] = [
    ["Path", models.path[i] ?? ""],
    ["Architecture", [architecture, bits ? `${bits.toFixed(1)} bits per weight` : ""].filter(Boolean).join(", ")],
    ["Context", context ? count(context, "token") : ""],
    ["Vocabulary", vocabulary ? `${count(vocabulary, "token")}, ${models.tokenizer[i] ?? ""}` : ""],
    ["Chat template", architecture ? (models.has_chat_template[i] ? "yes" : "no") : ""],
  ];
  return {
    key: models.key[i] ?? "",
    name,
    facts: facts.join(" · "),
    group: "",
    words: fold([name, architecture, quantization, sourceName(source), source].join(" ")),
    recommended: "",
    isDefault: false,
    warnings: [],
    reason: "",
    details: details.filter(([, text]) => text),
  };
}

function plain(key: string, name: string, facts: string, remembered: string): Option {
  const words = fold(`${name} ${facts}`);
  const none = { group: "", recommended: "", warnings: [], reason: "", details: [] };
  return { key, name, facts, words, isDefault: key === remembered, ...none };
}

function sourceName(source: string): string {
  return SOURCES[source] ?? source;
}

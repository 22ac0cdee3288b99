import type { Fate, Kind, Maybe, RoundDetail, TokenDetail } from "./protocol.js";
import { count, FATE, FATE_MEANING, PROVENANCE, PROVENANCE_MEANING, quotable, roughly } from "./words.js";

/** A sentence: words, and tokens quoted in it. */
export type Phrase = (string | { token: string })[];

type Code = Lowercase<Kind> | Fate;

/** What cut a text off, in LM Studio's words and ours. */
const STOPS: Record<string, string> = {
  userStopped: "a stop",
  eosFound: "an end token",
  stopStringFound: "a stop string",
  maxPredictedTokensReached: "the token limit",
  contextLengthReached: "the end of the context",
};

/** Whose distribution the main model's candidates are. */
export function mainTitle({ kind, choice }: TokenDetail): string {
  return choice === null && (kind === "d" || kind === "u") ? "Main model, had the draft stood" : "Main model";
}

/** Why there are no candidates of the main model. */
export function noMain({ position }: TokenDetail, { sent }: RoundDetail): string {
  return position !== null && position > sent + 1 ? "It was not asked here." : "Not recorded.";
}

/** Why there are no candidates of the draft. */
export function noDraft({ position }: TokenDetail, { drafter, drafted, sent, accepted }: RoundDetail): string {
  if (drafter === "ngram") return "N-gram lookup has no probabilities.";
  if (drafter === "none") return "There was none.";
  return position === null && accepted === sent && drafted === sent ? "The draft did not come this far." : "Not recorded.";
}

export function nameOf(code: Code): string {
  return isFate(code) ? FATE[code] : PROVENANCE[code];
}

export function isFate(code: Code): code is Fate {
  return code in FATE;
}

/** A phrase as plain text, for those who listen. */
export function spoken(phrase: Phrase): string {
  return phrase.map((part) => (typeof part === "string" ? part : `“${quotable(part.token)}”`)).join("");
}

/** Where a token stands in its round. */
export function placeOf(token: TokenDetail, detail: RoundDetail): string {
  const round = `Round ${detail.round}`;
  return token.position === null ? `${round} · closes it` : `${round} · draft token ${token.position} of ${detail.drafted}`;
}

/** What a kind of token is, where nothing more is known of the one at hand. */
export function meaningOf(code: Code): string {
  return isFate(code) ? FATE_MEANING[code] : PROVENANCE_MEANING[code];
}

/** Why a token stands where it stands, from what is recorded of its round. */
export function whyOf(token: TokenDetail, detail: RoundDetail): Phrase {
  switch (token.kind) {
    case "a":
      return accepted(token, detail);
    case "r":
      return refused(token, detail);
    case "c":
      return correction(token, detail);
    case "d":
      return discarded(detail);
    case "u":
      return [...unsent(token, detail), ...whatCame(token)];
    case "e":
      return [`The main model agreed, but ${STOPS[detail.stop_reason ?? ""] ?? "a stop"} had already ended the text.`];
    case "b":
      return bonus(token, detail);
    case "p":
      return ["The main model’s own token", ...share("p", token.p), `; ${detail.drafted ? "none of the draft was sent" : "nothing was drafted"} in this round.`];
  }
}

/** What the rule is, under which a drafted token was compared; empty where it was not. */
export function ruleOf(token: TokenDetail, detail: RoundDetail): string {
  if (token.chance === null) return "";
  const chance = `${roughly(token.chance)} chance to be kept`;
  if (detail.rule === "rejection" && detail.drawn) return `${chance}: min(1, p/q), after the samplers.`;
  return detail.drawn ? `${chance}: the main model’s own sample had to be the same token.` : "";
}

function accepted(token: TokenDetail, detail: RoundDetail): Phrase {
  const same = { token: token.text };
  if (isRejection(detail)) {
    return ["The draft drew ", same, ...share("q", token.q), "; the main model allows it", ...share("p", token.p), ", and it was kept."];
  }
  const agreed = detail.drawn ? ", and the main model drew the same" : ", and so did the main model";
  return ["The draft said ", same, ...share("q", token.q), agreed, ...share("p", token.p), "."];
}

function refused(token: TokenDetail, detail: RoundDetail): Phrase {
  const drafted: Phrase = [isRejection(detail) ? "The draft drew " : "The draft said ", { token: token.text }, ...share("q", token.q)];
  if (isRejection(detail)) {
    const lost: Phrase = [...drafted, "; the main model allows it", ...share("p", token.p), ", and it lost the draw."];
    return token.choice === null ? lost : [...lost, " ", { token: token.choice }, " was drawn in its place."];
  }
  if (token.choice === null) return [...drafted, ", the main model wanted another token; the text ended before it."];
  const wanted = detail.drawn ? ", the main model drew " : ", the main model wanted ";
  return [...drafted, wanted, { token: token.choice }, ...share("p", token.choice_p), ...ranked(token), "."];
}

function correction(token: TokenDetail, detail: RoundDetail): Phrase {
  const lost = detail.tokens.find(({ kind }) => kind === "r");
  if (!lost) return [PROVENANCE_MEANING.c];
  if (!isRejection(detail)) return refused(lost, detail);
  return [
    "Drawn in place of ",
    { token: lost.text },
    ", from what the main model gives more than the draft does: max(0, p − q)",
    ...ranked(token),
    ".",
  ];
}

function discarded(detail: RoundDetail): Phrase {
  const lost = detail.tokens.find(({ kind }) => kind === "r");
  return lost
    ? ["It stood after ", { token: lost.text }, ", which was refused, so it was never compared."]
    : ["It stood after a refused token and was never compared."];
}

function bonus(token: TokenDetail, detail: RoundDetail): Phrase {
  const all = detail.sent === 1 ? "The drafted token was kept" : `All ${detail.sent} drafted tokens were kept`;
  return [`${all}, so the main model’s pass gave one token more`, ...share("p", token.p), "."];
}

function unsent(token: TokenDetail, detail: RoundDetail): Phrase {
  const { confidence, entropy } = token;
  const trust = detail.drafter === "ngram" ? "its trust was" : "its favourite had q";
  switch (token.unsent_by) {
    case "p_min":
      return [`The probability cutoff stopped the draft here${confidence === null ? "" : `: ${trust} ${roughly(confidence)}, below ${roughly(detail.p_min)}`}.`];
    case "entropy":
      return [`The entropy cutoff stopped the draft here${compared(entropy, detail.entropy_max)}.`];
    case "auto":
      return [`The automatic length ended before it: sending it did not promise to pay${confidence === null ? "" : `, ${trust} ${roughly(confidence)}`}.`];
    case "probe":
      return [`A probe: drafted only to see whether drafting would pay${confidence === null ? "" : `; ${trust} ${roughly(confidence)}`}.`];
    case "n_min":
      return [`The draft was shorter than the ${count(detail.n_min, "token")} it takes to be sent.`];
    case "stop":
      return ["The generation was stopped before the draft was sent."];
    default:
      return [FATE_MEANING.u];
  }
}

/** Whether a token that was not sent would have been right, where that is known. */
function whatCame(token: TokenDetail): Phrase {
  if (token.choice === null) return [];
  if (token.same) return [" The main model then chose the very same token."];
  return [" The main model then chose ", { token: token.choice }, ...share("p", token.choice_p), "."];
}

function ranked({ rank }: TokenDetail): Phrase {
  return rank === null ? [] : [`; the draft had it at rank ${rank.toLocaleString("en")}`];
}

function compared(value: Maybe, limit: Maybe): string {
  return value === null || limit === null ? "" : `: its entropy was ${value.toFixed(2)} nats, above ${limit.toFixed(2)}`;
}

function share(letter: "p" | "q", value: Maybe): string[] {
  return value === null ? [] : [` (${letter}\u00a0${roughly(value)})`];
}

/** At temperature 0 both rules are the same: the most probable token or none. */
function isRejection({ rule, drawn }: RoundDetail): boolean {
  return rule === "rejection" && drawn;
}

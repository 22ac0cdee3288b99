/**
 * Greedy speculative decoding of a known text, without a model: a port of `specviz/lab/replay.py`, and of what its rounds
 * cost (`Work`, `Curves` in `specviz/lab/costs.py`). `tests/fixtures/replay.json` holds both to what Python gives.
 */

/** What one setting does to a text. */
export interface Replay {
  /** Accepted tokens of each round, in order. */
  accepted: number[];
  /** Tokens that went to the main model in each round. */
  sent: number[];
  /** Tokens drafted in each round, those that a cutoff stopped included. */
  drafted: number[];
  /** Tokens of the text. */
  nTokens: number;
  /** Whether `sent` and `drafted` are exact, too. If not, they are at most so many. */
  exact: boolean;
}

/** What a draft says along a text. */
export interface Scored {
  /** 1 where its favourite is the token that stands there, else 0. */
  matches: ArrayLike<number>;
  /** Its probability of its favourite. */
  confidence: ArrayLike<number>;
  /** For each position the probabilities of what it goes on to say after a miss; null where that is not known. */
  after: ArrayLike<ArrayLike<number>> | null;
  /** Output tokens that the generation could have had; null: far more than it has. */
  limit: number | null;
}

export interface Setting {
  length: number;
  pMin?: number;
  nMin?: number;
}

/** Decode a text again with another draft length and cutoff. */
export function replay({ matches, confidence, after, limit }: Scored, { length, pMin = 0, nMin = 0 }: Setting): Replay {
  if (nMin > 1 && after === null) throw new Error("n_min needs the continuations after each miss");
  const nTokens = matches.length;
  const trusts = (i: number) => (confidence[i] ?? 0) >= pMin;
  const reach = reaches(nTokens, (i) => matches[i] === 1);
  const keptReach = reaches(nTokens, (i) => matches[i] === 1 && trusts(i));
  const found: Replay = { accepted: [], sent: [], drafted: [], nTokens, exact: after !== null || length === 0 };
  for (let at = 0; at < nTokens; ) {
    const room = limit === null ? Infinity : limit - 1 - at;
    const most = Math.max(0, Math.min(length, room));
    let kept = Math.min(keptReach[at] ?? 0, most);
    let tried = kept;
    const stop = at + kept;
    if (kept < most && stop < nTokens) {
      tried += 1;
      if (trusts(stop)) {
        kept += 1;
        if (matches[stop] !== 1) {
          const more = continued(after?.[stop] ?? null, most - kept, pMin);
          kept += more.kept;
          tried += more.tried;
        }
      }
    }
    if (kept < nMin) kept = 0;
    const taken = Math.min(kept, reach[at] ?? 0);
    found.accepted.push(taken);
    found.sent.push(kept);
    found.drafted.push(tried);
    at += taken + 1;
  }
  return found;
}

/** How many tokens are kept, and how many are drafted, after a miss. */
function continued(confidences: ArrayLike<number> | null, room: number, pMin: number): { kept: number; tried: number } {
  if (confidences === null) return { kept: room, tried: room };
  const n = Math.min(room, confidences.length);
  for (let i = 0; i < n; i++) {
    if ((confidences[i] ?? 0) < pMin) return { kept: i, tried: i + 1 };
  }
  return { kept: n, tried: n };
}

/** For each position, how many positions from it on are kept without a gap. */
function reaches(n: number, kept: (i: number) => boolean): Int32Array {
  const reach = new Int32Array(n);
  let run = 0;
  for (let i = n - 1; i >= 0; i--) {
    run = kept(i) ? run + 1 : 0;
    reach[i] = run;
  }
  return reach;
}

/** What the parts of a round take at depth 0, and what a token in the cache adds; all in the same unit of time. */
export interface Curves {
  /** By drafted tokens. */
  draft: number[];
  /** The pass of the main model and all the rest, by sent tokens. */
  pass: number[];
  /** Per drafted token and token in the cache. */
  draft_slope: number;
  /** Per pass and token in the cache. */
  pass_slope: number;
  /** Per evaluated token and token in the cache. */
  token_slope: number;
  /** That a pass takes longer where it is not as wide as the one before. */
  switch: number;
}

/** What the rounds of replayed texts have to do, as far as their time depends on it. */
export interface Work {
  /** How many rounds draft 0, 1, 2, ... tokens. */
  drafted: number[];
  /** How many send that many. */
  sent: number[];
  /** Sum over drafted tokens of the tokens in the cache. */
  draftedDepth: number;
  /** The same over passes of the main model. */
  passDepth: number;
  /** The same over tokens evaluated by the main model. */
  evaluatedDepth: number;
  /** How many passes of the main model are not as wide as the one before. */
  switches: number;
}

/** Add up replays of texts whose prompts have so many tokens. */
export function workOf(replays: Replay[], nPrompts: number[]): Work {
  const longest = replays.reduce((most, one) => one.drafted.reduce((a, b) => Math.max(a, b), most), 0);
  const none = () => new Array<number>(longest + 1).fill(0);
  const work: Work = { drafted: none(), sent: none(), draftedDepth: 0, passDepth: 0, evaluatedDepth: 0, switches: 0 };
  replays.forEach(({ accepted, sent, drafted }, text) => {
    let depth = nPrompts[text] ?? 0;
    for (let i = 0; i < accepted.length; i++) {
      const [d, s] = [drafted[i] ?? 0, sent[i] ?? 0];
      work.drafted[d] = (work.drafted[d] ?? 0) + 1;
      work.sent[s] = (work.sent[s] ?? 0) + 1;
      work.draftedDepth += d * depth;
      work.passDepth += depth;
      work.evaluatedDepth += (s + 1) * depth;
      work.switches += Number(i > 0 && s !== sent[i - 1]);
      depth += (accepted[i] ?? 0) + 1;
    }
  });
  return work;
}

/** How long the rounds take, prompt processing apart; null where a round drafts more than was measured. */
export function time(curves: Curves, work: Work): { draft: number; pass: number } | null {
  if (work.drafted.length > curves.draft.length) return null;
  return {
    draft: dot(work.drafted, curves.draft) + curves.draft_slope * work.draftedDepth,
    pass:
      dot(work.sent, curves.pass) +
      curves.pass_slope * work.passDepth +
      curves.token_slope * work.evaluatedDepth +
      curves.switch * work.switches,
  };
}

/** Sum of how often times how much. */
export function dot(counts: number[], curve: number[]): number {
  return counts.reduce((sum, n, i) => sum + n * (curve[i] ?? 0), 0);
}

/** One more drafted token over a plain round: the c of the textbook formula. */
export function costRatio({ draft, pass }: Curves): number {
  const last = draft.length - 1;
  const perDrafted = last > 1 ? ((draft[last] ?? 0) - (draft[1] ?? 0)) / (last - 1) : (draft[last] ?? 0);
  return perDrafted / (pass[0] ?? 1);
}

/** The speedup of Leviathan et al. (2211.17192), Theorem 3.8. */
export function textbook(alpha: number, length: number, c: number): number {
  const tokens = alpha === 1 ? length + 1 : (1 - alpha ** (length + 1)) / (1 - alpha);
  return tokens / (length * c + 1);
}

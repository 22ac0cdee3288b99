/** A model as anywidget would hand it over, and a kernel that makes up rounds. For development only. */

export class FakeModel {
  constructor(traits) {
    this.traits = { ...traits };
    this.saved = { ...traits };
    this.sent = [];
    this.handlers = new Map();
  }
  get(name) {
    return this.traits[name];
  }
  set(name, value) {
    if (this.traits[name] === value) return;
    this.traits[name] = value;
    this.emit(`change:${name}`);
  }
  save_changes() {
    this.saved = { ...this.traits };
  }
  send(message) {
    this.sent.push(message);
    this.onsend?.(message);
  }
  on(name, callback) {
    if (!this.handlers.has(name)) this.handlers.set(name, new Set());
    this.handlers.get(name).add(callback);
  }
  off(name, callback) {
    this.handlers.get(name)?.delete(callback);
  }
  emit(name, ...values) {
    for (const callback of [...(this.handlers.get(name) ?? [])]) callback(...values);
  }
}

/** Small, seeded, good enough. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const TEXT = `The ocean covers more than seventy percent of the Earth’s surface, and it has always been a mirror for human curiosity. In the old harbour town of Lisbon, sailors once told stories about currents that could carry a ship for weeks without a breath of wind.

Three things make the sea hard to predict:

1. The water is never at rest; tides, winds and the rotation of the Earth all pull at it.
2. Salt and temperature change its density, so that layers slide over one another.
3. What happens at the surface says little about the deep.

A small program makes the point:

def drift(speed, hours):
    """Distance in kilometres."""
    return 1.852 * speed * hours

for knots in (0.5, 1.5, 3.0):
    print(f"{knots} kn: {drift(knots, 24):.0f} km a day")

So a current of three knots, which feels like nothing on deck, carries a ship more than a hundred and thirty kilometres in a single day. That is why the pilots of the sixteenth century kept their notebooks secret, and why oceanographers still release thousands of floats every year. 海は広い。 Čeština, ελληνικά и русский тоже работают 🌊.
`;
const WRONG = [" sea", " the", " water", ",", " of", " deep", "\n", " a", " and", " blue", " many", " over", ".", " would"];

export function* pieces(random) {
  const words = TEXT.match(/\n+|[ ]{2,}(?=\S)|[^\S\n]?[\p{L}\p{N}’]{1,7}|[^\S\n]?[^\p{L}\p{N}\s]|\s/gu);
  for (;;) for (const word of words) yield word;
}

/** Makes batches in the kernel's format; `length` drafted tokens a round, each accepted with `alpha`. */
export class FakeKernel {
  constructor({ seed = 7, length = 4, alpha = 0.72, speed = 84, plain = 61.2 } = {}) {
    this.random = randomFrom(seed);
    this.piece = pieces(this.random);
    Object.assign(this, { length, alpha, speed, plain });
    this.seq = 0;
    this.run = 0;
    this.tokens = 0;
    this.rounds = 0;
    this.drafted = 0;
    this.accepted = 0;
    this.seconds = 0;
    this.recent = [];
  }
  message(content, reset = false) {
    this.seq += 1;
    return { type: "batch", seq: this.seq, run: this.run, reset, ...content };
  }
  start(runInfo) {
    this.run += 1;
    return this.message({ run_info: runInfo, state: state("loading") }, true);
  }
  rounds_(n, curves = true) {
    const tokens = { text: [], kind: "", round: [], p: [], q: [] };
    const dropped = { at: [], text: [], fate: "", round: [], q: [], p: [] };
    const rows = {
      x: [],
      acceptance_rolling: [],
      acceptance_cumulative: [],
      tps_rolling: [],
      tps_cumulative: [],
      baseline_tps: [],
      speedup_rolling: [],
      speedup_cumulative: [],
    };
    const rounds = { draft: [], verify: [], other: [], drafted: [], sent: [], accepted: [], agreed: [], tokens: [] };
    for (let r = 0; r < n; r++) {
      let taken = 0;
      while (taken < this.length && this.random() < this.alpha) taken += 1;
      for (let i = 0; i < taken; i++) this.#token(tokens, "a");
      for (let i = taken; i < this.length; i++) {
        dropped.at.push(this.tokens);
        dropped.text.push(WRONG[Math.floor(this.random() * WRONG.length)]);
        dropped.fate += i === taken ? "r" : i === this.length - 1 && this.random() < 0.3 ? "u" : "d";
        dropped.round.push(this.rounds);
        dropped.q.push(0.2 + 0.6 * this.random());
        dropped.p.push(i === taken ? 0.1 * this.random() : null);
      }
      this.#token(tokens, this.length === 0 ? "p" : taken === this.length ? "b" : "c");
      this.drafted += this.length;
      this.accepted += taken;
      const seconds = ((1 + 0.25 * this.length) / this.speed) * (1.6 + 0.3 * this.random()) * (1 + 0.2 * Math.sin(this.rounds / 30));
      this.seconds += seconds;
      this.recent.push([taken + 1, this.length, taken, seconds]);
      if (this.recent.length > 16) this.recent.shift();
      const sum = (k) => this.recent.reduce((a, row) => a + row[k], 0);
      const speed = sum(0) / sum(3);
      rows.x.push(this.tokens);
      rows.acceptance_rolling.push(sum(1) ? sum(2) / sum(1) : null);
      rows.acceptance_cumulative.push(this.drafted ? this.accepted / this.drafted : null);
      rows.tps_rolling.push(speed);
      rows.tps_cumulative.push(this.tokens / this.seconds);
      const plain = this.plain ? this.plain * (1 + 0.03 * Math.sin(Math.floor(this.tokens / 120))) : null;
      rows.baseline_tps.push(plain);
      rows.speedup_rolling.push(plain && speed / plain);
      rows.speedup_cumulative.push(plain && this.tokens / this.seconds / plain);
      const row = [0.22 * seconds, 0.75 * seconds, 0.03 * seconds, this.length, this.length, taken, taken, taken + 1];
      Object.values(rounds).forEach((column, i) => column.push(row[i]));
      this.rounds += 1;
    }
    return { tokens, dropped, ...(curves ? { curves: rows, rounds } : {}) };
  }
  #token(tokens, kind) {
    const text = this.piece.next().value;
    tokens.text.push(text);
    tokens.kind += kind;
    tokens.round.push(this.rounds);
    tokens.p.push(0.4 + 0.6 * this.random());
    tokens.q.push(kind === "a" ? 0.3 + 0.7 * this.random() : this.random() * 0.4);
    this.tokens += 1;
  }
  end() {
    this.tokens += 1;
    return { text: ["<|im_end|>"], kind: "A", round: [this.rounds], p: [0.93], q: [0.88] };
  }
  stats() {
    const { drafted, accepted, rounds, tokens, seconds, plain } = this;
    const rate = (value, digits = 1, unit = "") => (Number.isFinite(value) ? value.toFixed(digits) + unit : "—");
    const refused = rounds - Math.round(rounds * 0.3);
    return [
      ["tokens_per_second", "Tokens/s", rate(tokens / seconds, 1), "Output tokens divided by decoding time."],
      ["draft_acceptance_rate", "Acceptance rate", rate((100 * accepted) / drafted, 1, " %"), "Accepted tokens divided by drafted tokens (LM Studio’s and vLLM’s rate)."],
      ["mean_acceptance_length", "Acceptance length", rate(1 + accepted / rounds, 2), "1 + accepted / drafting rounds (vLLM). The closing token counts as one."],
      ["speedup", "Speedup", plain ? rate(tokens / seconds / plain, 2, "×") : "—", "Tokens per second with drafting divided by plain tokens per second, both measured in this run."],
      ["time_to_first_token", "Time to first token", "0.31 s", "From the click to the first token."],
      ["generation_time", "Generation time", rate(seconds, 2, " s"), "Decoding time of all rounds, without prompt processing and baseline."],
      ["stop_reason", "Stop reason", "end of text", "Why the generation ended, in LM Studio’s words."],
      ["total_draft_tokens_count", "Drafted", String(drafted), "Everything drafted: accepted + rejected + ignored."],
      ["accepted_draft_tokens_count", "Accepted", String(accepted), ""],
      ["rejected_draft_tokens_count", "Rejected", String(drafted - accepted), "Refused + discarded."],
      ["ignored_draft_tokens_count", "Ignored", "0", "Unsent + past the end."],
      ["alpha", "Alpha", rate(accepted / (accepted + refused), 3), "accepted / (accepted + rounds that ended in a rejection)."],
      ["tokens_per_round", "Tokens per round", rate(tokens / rounds, 2), ""],
      ["draft_seconds", "… drafting", rate(seconds * 0.22, 2, " s"), ""],
      ["verify_seconds", "… verifying", rate(seconds * 0.75, 2, " s"), ""],
    ].map(([key, label, value, help]) => ({ key, label, value, help }));
  }
  #account() {
    const brings = this.tokens / this.rounds;
    const takes = (this.plain * this.seconds) / this.rounds;
    const words = `round brings ${brings.toFixed(2)} tokens in the time of ${takes.toFixed(2)} plain ones`;
    return brings < 0.95 * takes ? `Slower than without a draft: a ${words}, 75 % of it verifying` : `A ${words}`;
  }
  baseline() {
    return this.plain ? { tokens_per_second: this.plain, n_tokens: 16, age_tokens: 120, age_s: 3.1, account: this.#account() } : null;
  }
}

export function state(phase, message = "", detail = "") {
  const working = ["loading", "prefill", "baseline", "generating", "stopping"].includes(phase);
  return {
    phase,
    message,
    detail,
    can_generate: !working,
    can_stop: working && phase !== "stopping",
    can_continue: phase === "stopped" || phase === "finished",
  };
}

export const TRAITS = {
  view: "explorer",
  feed_id: "feed-1",
  snapshot: {},
  name: "",
  system: "",
  prompt: "Explain in a few sentences why the sea is hard to predict, with a small example in Python.",
  presets: ["Why is the sky blue?", "Write a short story about a lighthouse keeper", "Sort a list of dictionaries in Python", "List the planets"],
  chosen: { main: "SmolLM2 135M Instruct F16", draft: "SmolLM2 draft 22M Q8_0" },
  launched: [],
  main: "smol-f16",
  draft: "smol-22m",
  auto_length: false,
  num_draft_tokens: 4,
  p_min: 0,
  temperature: 0,
  rule: "match",
  max_tokens: 256,
  seed: null,
  ignore_eos: false,
  json_schema: "",
  measure_baseline: true,
  show_provenance: true,
  show_rejected: false,
  colour: "provenance",
  metrics: "specviz",
};

export const MODELS = {
  type: "picker",
  progress: { state: "ready", k: 3, n: 3, detail: "" },
  models: {
    key: ["smol-f16", "smol-22m", "qwen"],
    name: ["SmolLM2 135M Instruct F16", "SmolLM2 draft 22M Q8_0", "Qwen3 0.6B"],
    path: ["/models/smol-f16.gguf", "/models/smol-22m.gguf", "/models/qwen.gguf"],
    source: ["demo", "demo", "hugging face"],
    architecture: ["llama", "llama", "qwen3"],
    n_params: [135e6, 22e6, 600e6],
    quantization: ["F16", "Q8_0", "Q4_K_M"],
    bits_per_weight: [16, 8.5, 4.9],
    size_bytes: [271e6, 24e6, 400e6],
    n_ctx: [8192, 2048, 40960],
    n_vocab: [49152, 49152, 151936],
    tokenizer: ["bpe (smollm)", "bpe (smollm)", "bpe (qwen2)"],
    has_chat_template: [true, true, true],
    note: ["", "", ""],
    reason: ["", "", ""],
  },
  offers: {
    main: "smol-f16",
    key: ["smol-22m", "qwen"],
    fits: [true, false],
    reason: ["", "their vocabularies have 49,152 and 151,936 tokens"],
    recommended: ["", ""],
    warnings: [["it has 16% of the main model's parameters, which is large for a draft"], []],
    default: "",
    why: "",
  },
};

export const RUN_INFO = {
  prompt: TRAITS.prompt,
  main: "SmolLM2 135M Instruct F16",
  draft: "SmolLM2 draft 22M Q8_0",
  drafter: "model",
  num_draft_tokens: 4,
  p_min: 0,
  temperature: 0,
  rule: "match",
  max_tokens: 256,
};

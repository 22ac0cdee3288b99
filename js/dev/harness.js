import { FakeKernel, FakeModel, MODELS, pieces, randomFrom, RUN_INFO, state, TRAITS } from "./fake.js";
import feed from "/specviz/static/widgets.js";

const sans = 'system-ui, -apple-system, "Segoe UI", helvetica, arial, sans-serif';
const THEMES = {
  light: {
    "ui-font-color0": "#000", "ui-font-color1": "rgba(0,0,0,.87)", "ui-font-color2": "rgba(0,0,0,.54)", "ui-font-color3": "rgba(0,0,0,.38)",
    "layout-color0": "white", "layout-color1": "white", "layout-color2": "#eee", "brand-color0": "#0d47a1", "brand-color1": "#1976d2",
    "accept-color-normal": "#1976d2", "accept-color-hover": "#1565c0", "error-color1": "#d32f2f",
  },
  dark: {
    "ui-font-color0": "#fff", "ui-font-color1": "rgba(255,255,255,.87)", "ui-font-color2": "rgba(255,255,255,.54)", "ui-font-color3": "rgba(255,255,255,.38)",
    "layout-color0": "#111", "layout-color1": "#212121", "layout-color2": "#424242", "brand-color0": "#1976d2", "brand-color1": "#2196f3",
    "accept-color-normal": "#1976d2", "accept-color-hover": "#1565c0", "error-color1": "#f44336",
  },
  contrast: {
    "ui-font-color0": "#fff", "ui-font-color1": "#fff", "ui-font-color2": "#fff", "ui-font-color3": "#fff",
    "layout-color0": "#111", "layout-color1": "#111", "layout-color2": "#424242", "brand-color0": "#1976d2", "brand-color1": "#319bf2",
    "accept-color-normal": "#1976d2", "accept-color-hover": "#1565c0", "error-color1": "#f44336",
  },
  none: {},
};

const page = document.getElementById("page");
let open;

function theme(name) {
  const variables = Object.entries(THEMES[name]).map(([key, value]) => `--jp-${key}: ${value};`);
  if (name !== "none") {
    variables.push(`--jp-ui-font-family: ${sans};`, `--jp-content-font-family: ${sans};`);
    variables.push(`--jp-code-font-family: menlo, consolas, "DejaVu Sans Mono", monospace;`);
  }
  document.getElementById("theme").textContent = `body { ${variables.join(" ")} }`;
  if (name === "none") delete document.body.dataset.jpThemeLight;
  else document.body.dataset.jpThemeLight = String(name === "light");
}

async function start({ width = 1000, kernel = {}, traits = {} } = {}) {
  open?.controller.abort();
  page.replaceChildren();
  page.style.width = `${width}px`;
  const el = document.createElement("div");
  page.append(el);
  const controller = new AbortController();
  const { signal } = controller;
  const model = new FakeModel({ ...TRAITS, ...traits });
  model.onsend = ({ type, run, round }) => {
    if (type === "models") model.emit("msg:custom", MODELS, []);
    if (type === "inspect") queueMicrotask(() => model.emit("msg:custom", { type: "detail", run, round, ...DETAIL }, []));
  };
  const definition = feed();
  await definition.initialize({ model, signal });
  await definition.render({ model, el, signal });
  open = { controller, model, el, kernel: new FakeKernel(kernel) };
  return open;
}

const say = (message) => open.model.emit("msg:custom", message, []);
const settled = () => new Promise((resolve) => setTimeout(resolve, 350));
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An audit of two answers by three drafts that hit in clusters, with costs as on a CPU. */
function whatIf({ tokens = 700, thorough = true, costs = true, ...choices } = {}) {
  const random = randomFrom(3);
  const piece = pieces(randomFrom(7));
  const names = ["17m", "22m", "12m"].map((size) => `SmolLM2-135M-Instruct-draft-${size}.Q4_0`);
  const whole = (n) => Math.floor(n * random());
  const drafted = (skill) => {
    const columns = { matches: "", confidence: [], favourite: [], after: thorough ? [] : null };
    let easy = true;
    for (let i = 0; i < tokens; i++) {
      if (random() < 0.12) easy = !easy;
      const hit = random() < (easy ? skill : 0.5 * skill);
      columns.matches += hit ? "1" : "0";
      columns.confidence.push(hit ? 30 + whole(70) : 5 + whole(60));
      if (hit) continue;
      columns.favourite.push([" the", " of", ",", " deep", "\n", " sea", "<img src=x onerror=alert(1)>"][whole(7)]);
      columns.after?.push(Array.from({ length: 15 }, () => 10 + whole(85)));
    }
    return columns;
  };
  const answers = ["Why is the sea hard to predict?", "Write a program about drift."].map((prompt, i) => ({
    prompt,
    category: ["question", "code"][i],
    n_prompt: 40,
    limit: tokens,
    text: Array.from({ length: tokens }, (_, j) => (j === tokens - 1 ? "<|im_end|>" : piece.next().value)),
    control: [tokens - 1],
    drafts: [0.85, 0.92, 0.75].map(drafted),
  }));
  const curves = (draft, off = 0) => ({
    draft: Array.from({ length: 17 }, (_, k) => draft * k * (1 + off)),
    pass: Array.from({ length: 17 }, (_, k) => (8.2 + 1.6 * k + (k > 7 ? 4 : 0)) * (1 - off)),
    draft_slope: 0.0001,
    pass_slope: 0.0004,
    token_slope: 0.00002,
    switch: 0.3,
  });
  const cost = (draft) => ({
    ...curves(draft),
    other: Array.from({ length: 17 }, () => 0.3),
    resampled: Array.from({ length: 200 }, () => curves(draft, 0.08 * (random() - 0.5))),
  });
  return {
    view: "what_if",
    audit: { main: "SmolLM2-135M-Instruct.Q4_1", drafts: names, thorough, answers },
    costs: costs ? Object.fromEntries(names.map((name, i) => [name, cost([0.8, 1.3, 0.6][i])])) : {},
    measured: costs ? { draft: [names[0], names[0]], num_draft_tokens: [4, 8], p_min: [0, 0], speedup: [1.18, 0.97] } : {},
    draft: names[0],
    num_draft_tokens: 4,
    p_min: 0,
    answer: -1,
    show_rejected: false,
    ...choices,
  };
}

const RACE_PROMPTS = ["Write a quicksort algorithm in Python. Write code only.", "Explain the Pythagorean theorem", "Plan a 1 day trip to DC"];

/** The first round of the fake kernel, as a kernel tells of it. */
const top = (...candidates) => ({ text: candidates.map(([text]) => text), p: candidates.map(([, p]) => p), mark: candidates.map(([, , mark = ""]) => mark) });
const token = (kind, text, index, position, more) => ({
  kind, text, index, position, p: null, q: null, surprise: null, chance: null, rank: null, choice: null, choice_p: null, choice_q: null, same: null, margin: null,
  margin_logits: null, unsent_by: null, confidence: null, entropy: null, main_top: top(), draft_top: top(), ...more,
});
const taken = (text, index, position, p, q) =>
  token("a", text, index, position, { p, q, surprise: -Math.log2(p), rank: 1, choice: text, choice_p: p, choice_q: q, same: true, margin: 0.4, margin_logits: 1.13,
    main_top: top([text, p, "tc"], [" a", 0.12], [" one", 0.04]), draft_top: top([text, q, "tc"], [" an", 0.09], [" a", 0.05]) });
const DETAIL = {
  rule: "match", drawn: false, drafter: "model", p_min: 0, entropy_max: null, n_min: 0, drafted: 4, sent: 4, accepted: 2, stop_reason: null,
  draft_seconds: 0.011, verify_seconds: 0.031, other_seconds: 0.0008,
  tokens: [
    taken("The", 0, 1, 0.62, 0.71),
    taken(" ocean", 1, 2, 0.48, 0.55),
    token("r", ",", null, 3, { p: 0.06, q: 0.41, surprise: 4.06, rank: 4, choice: " covers", choice_p: 0.57, choice_q: 0.08, same: false, margin: 0.43, margin_logits: 1.43,
      main_top: top([" covers", 0.57, "c"], [" is", 0.14], [" has", 0.09], [" was", 0.07], [",", 0.06, "t"]), draft_top: top([",", 0.41, "t"], [" is", 0.22], [" and", 0.1], [" covers", 0.08, "c"], [" of", 0.03]) }),
    token("d", " sea", null, 4, { q: 0.33, draft_top: top([" sea", 0.33], [" which", 0.2], [" the", 0.1]) }),
    token("c", " covers", 2, null, { p: 0.57, surprise: 0.81, choice: " covers", choice_p: 0.57, same: true, main_top: top([" covers", 0.57, "c"], [" is", 0.14], [" has", 0.09]) }),
  ],
};

const scenes = {
  async idle() {},
  async loading() {
    say(open.kernel.start(RUN_INFO));
  },
  async generating(n = 60, runInfo = RUN_INFO) {
    const { kernel } = open;
    say(kernel.start(runInfo));
    say(kernel.message({ state: state("generating") }));
    for (let i = 0; i < n; i++) {
      say(kernel.message({ ...kernel.rounds_(1), stats: kernel.stats(), baseline: kernel.baseline() }));
      await later(5);
    }
  },
  async auto() {
    for (const [name, value] of Object.entries({ auto_length: true, temperature: 0.8, rule: "rejection" })) open.model.set(name, value);
    await scenes.generating(60, { ...RUN_INFO, num_draft_tokens: "auto", temperature: 0.8, rule: "rejection" });
  },
  async unfolded() {
    open.el.querySelector(".sv-settings").open = true;
    await scenes.auto();
  },
  async ngram() {
    open.model.set("draft", "ngram");
    await scenes.generating(60, { ...RUN_INFO, draft: "n-gram lookup", drafter: "ngram" });
  },
  async finished(n = 90) {
    await scenes.generating(n);
    const { kernel } = open;
    say(kernel.message({ tokens: kernel.end(), stats: kernel.stats(), state: state("finished", "end of text") }));
  },
  async rejected() {
    open.model.set("show_rejected", true);
    await scenes.finished();
    open.el.querySelector(".sv-stream").scrollTop = 0;
  },
  async stopped() {
    await scenes.generating(40);
    const { kernel } = open;
    say(kernel.message({ state: state("stopped", "142 tokens") }));
  },
  async crashed() {
    await scenes.generating(25);
    const { kernel } = open;
    say(
      kernel.message({
        state: {
          ...state("crashed", "The engine process ended (SIGABRT) while verifying round 25. Your notebook is unharmed; Generate starts a new engine.",
            "ggml.c:3021: GGML_ASSERT(a->ne[0] == b->ne[0]) failed\n  #0 ggml_abort\n  #1 ggml_mul_mat\n  #2 llama_decode\nmodel: smollm2-135m-instruct-f16.gguf"),
        },
      }),
    );
  },
  async failed() {
    say(open.kernel.message({ run_info: RUN_INFO, state: state("failed", "llama.cpp cannot be used here: llama-cpp-python is not installed. Install it with pip install \"specviz-lab[llamacpp]\".") }, true));
  },
  async indexing() {
    open.model.emit("msg:custom", { ...MODELS, progress: { state: "indexing", k: 3, n: 12, detail: "qwen.gguf" } }, []);
  },
  async slower() {
    open.kernel.plain = 110;
    await scenes.finished();
  },
  async chat() {
    const turns = [
      { user: "Why is the sea hard to predict?", text: ["The water is ", "never", " at rest; ", "tides", ", winds and the rotation of the Earth all pull at it."], kind: "acaba", caption: "71.4 % accepted · 84.0 tok/s · speedup 1.37×" },
      { user: "And at the surface?", text: ["It says ", "little", " about the deep."], kind: "aca", caption: "80.0 % accepted · 90.1 tok/s" },
    ];
    open.model.set("name", "The sea");
    say(open.kernel.message({ conversation: { turns, can_undo: true } }, true));
    await scenes.generating(20, { ...RUN_INFO, prompt: "Say it in one sentence." });
    say(open.kernel.message({ conversation: { turns, can_undo: true }, tokens: open.kernel.end(), state: state("finished", "end of text") }));
  },
  async pinned() {
    await scenes.rejected();
    await later(100);
    open.el.querySelector(".sv-stream .x[data-fate=r]").dispatchEvent(new MouseEvent("click", { bubbles: true }));
  },
  async hostile() {
    const text = ["<img src=x onerror=alert(1)>", " \u202Ereversed", " plain", " ", "\u200f\u2067", "שלום", " عربي", " a\u0300\u0301\u0302\u0303\u0304\u0305", " " + "w".repeat(400), "\ufffd", "", "\t", "x\r", "\n", "\n", "   ", "end", "<|im_end|>"];
    const kind = "acbpacbpacbpacbpaA".slice(0, text.length);
    const n = text.map(() => 0.5);
    say({ type: "batch", seq: 1, run: 1, reset: true, run_info: { prompt: "<b>bold?</b>", main: "m".repeat(200), draft: "" },
      tokens: { text, kind, round: n, p: n, q: n }, state: state("failed", "x".repeat(300), "") });
  },
  /** `until`: "racing" stops in the middle of the second prompt. */
  async race({ until = "finished", prompts = RACE_PROMPTS } = {}) {
    await start({ width: parseInt(page.style.width), traits: { view: "race" } });
    const random = randomFrom(5);
    const heats = { pair: "SmolLM2-135M-Instruct.Q4_1 with SmolLM2-135M-Instruct-draft-17m.Q4_0, llama.cpp", prompt: prompts,
      category: prompts.map(() => ""), ratio: prompts.map(() => null), parting: prompts.map(() => null), tie: prompts.map(() => null),
      interval: null, done: 0, verdict: "" };
    const ratios = [1.32, 1.12, 1.24];
    let seq = 0;
    const raceState = (phase) => ({ phase, message: "", detail: "", can_start: phase === "finished", can_stop: phase !== "finished" });
    const tell = (phase, run, lanes = {}, speedup = null, more = {}) =>
      say({ type: "race", seq: ++seq, whole: seq === 1, state: raceState(phase), run, lanes, speedup, ...more });
    let speedup = null;
    for (const [prompt, ratio] of ratios.slice(0, prompts.length).entries()) {
      tell("warming", { prompt, serial: 0, way: null, number: 0, of: 2, live: false }, {}, speedup, { heats });
      await later(100);
      const counts = {};
      for (const [i, way] of ["speculative", "plain", "length 0", "length 0", "plain", "speculative"].entries()) {
        const piece = pieces(randomFrom(7));
        counts[way] = (counts[way] ?? 0) + 1;
        const run = { prompt, serial: i + 1, way, number: counts[way], of: 2, live: true };
        for (let tokens = 0, clock = 0; tokens < 96; ) {
          const drafted = way === "speculative";
          const accepted = drafted ? Math.min(Math.floor(5 * random()), 95 - tokens) : 0;
          const kind = "a".repeat(accepted) + (drafted ? (accepted === 4 ? "b" : "c") : "p");
          const took = drafted ? (0.0095 * 3) / ratio : 0.0095;
          clock += took * (0.9 + 0.2 * random());
          tokens += kind.length;
          const lane = { serial: i + 1, seconds: [clock], count: [tokens], speed: [tokens / clock], text: [...kind].map(() => piece.next().value), kind };
          speedup = i ? ratio + 0.1 * (random() - 0.5) : speedup;
          tell("racing", run, way === "length 0" ? {} : { [way]: lane }, speedup);
          await later(100 * took);
          if (until === "racing" && prompt === 1 && i === 4 && tokens > 60) return;
        }
        tell("racing", { ...run, live: false }, {}, speedup);
      }
      heats.ratio = [...heats.ratio];
      heats.ratio[prompt] = ratio;
      if (prompt === 1) {
        heats.parting = prompts.map((_, i) => (i === 1 ? "the texts part at token 17: ' sea' without a draft, ' deep' with one; a tie, 0.0121 logits apart, which the widths of the passes decide" : null));
        heats.tie = prompts.map((_, i) => (i === 1 ? true : null));
      }
      heats.done += 1;
      if (prompt > 0) Object.assign(heats, { interval: prompt === 1 ? [1.216, 0.71, 2.08] : [1.224, 1.09, 1.38], verdict: prompt === 1 ? "inside the noise: 1.22x, 95 % CI 0.71-2.08" : "faster: 1.22x, 95 % CI 1.09-1.38" });
    }
    tell("finished", { prompt: prompts.length - 1, serial: 6, way: "speculative", number: 2, of: 2, live: false }, {}, heats.interval?.[0] ?? speedup, { heats });
  },
  async what_if(options) {
    await start({ width: parseInt(page.style.width), traits: whatIf(options) });
  },
};

window.harness = { theme, start, scenes, settled };

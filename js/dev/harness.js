import { FakeKernel, FakeModel, MODELS, RUN_INFO, state, TRAITS } from "./fake.js";
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
  model.onsend = ({ type }) => type === "models" && model.emit("msg:custom", MODELS);
  const definition = feed();
  const exports = await definition.initialize({ model, signal });
  await definition.render({ model, el, signal });
  open = { controller, model, exports, el, kernel: new FakeKernel(kernel) };
  return open;
}

const say = (message) => open.model.emit("msg:custom", message);
const settled = () => new Promise((resolve) => setTimeout(resolve, 350));
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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
      await later(15);
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
  async hover() {
    await scenes.rejected();
    await later(100);
    const over = (element) => element.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    over(open.el.querySelector(".sv-stream .x[data-fate=d]"));
    over(open.el.querySelector("[data-key=alpha] .sv-term"));
  },
  async feed() {
    await scenes.finished();
  },
  async parts() {
    for (const part of ["tokens", "acceptance", "stats"]) {
      const el = document.createElement("div");
      page.append(el);
      open.exports.mount(part, { el, signal: open.controller.signal, model: new FakeModel({ show_provenance: true, show_rejected: true }) });
    }
    open.el.remove();
    await scenes.finished(60);
  },
  async hostile() {
    const text = ["<img src=x onerror=alert(1)>", " \u202Ereversed", " plain", " ", "\u200f\u2067", "שלום", " عربي", " a\u0300\u0301\u0302\u0303\u0304\u0305", " " + "w".repeat(400), "\ufffd", "", "\t", "x\r", "\n", "\n", "   ", "end", "<|im_end|>"];
    const kind = "acbpacbpacbpacbpaA".slice(0, text.length);
    const n = text.map(() => 0.5);
    say({ type: "batch", seq: 1, run: 1, reset: true, run_info: { prompt: "<b>bold?</b>", main: "m".repeat(200), draft: "" },
      tokens: { text, kind, round: n, p: n, q: n }, state: state("failed", "x".repeat(300), "") });
  },
  async continued() {
    await scenes.stopped();
    const { kernel } = open;
    for (let i = 0; i < 80; i++) {
      say(kernel.message({ ...kernel.rounds_(2), stats: kernel.stats(), baseline: kernel.baseline(), state: state("generating") }));
      await later(15);
    }
  },
};

/** Append `total` tokens in batches of `size`; milliseconds per append (script and layout), batch by batch. */
async function measure(total = 20000, size = 66) {
  const { kernel, el } = open;
  say(kernel.start(RUN_INFO));
  say(kernel.message({ state: state("generating") }));
  const log = el.querySelector(".sv-stream");
  const times = [];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  while (kernel.tokens < total) {
    const before = kernel.tokens;
    const content = { tokens: { text: [], kind: "", round: [], p: [], q: [] }, dropped: { at: [], text: [], fate: "", round: [], q: [], p: [] } };
    let curves;
    while (kernel.tokens - before < size) {
      const more = kernel.rounds_(1);
      for (const name of ["tokens", "dropped"]) {
        for (const key of Object.keys(more[name])) content[name][key] = content[name][key].concat(more[name][key]);
      }
      curves ??= more.curves;
    }
    const message = kernel.message({ ...content, curves });
    await frame();
    // The views draw in the next frame: between a callback asked for before the message and one asked for after it,
    // the last of which forces the layout.
    let start = 0;
    let said = 0;
    const began = performance.now();
    requestAnimationFrame(() => (start = performance.now()));
    say(message);
    said = performance.now() - began;
    await new Promise((resolve) =>
      requestAnimationFrame(() => {
        void log.scrollHeight;
        times.push(said + performance.now() - start);
        resolve();
      }),
    );
  }
  return { times, tokens: kernel.tokens, spans: log.querySelectorAll("[data-i]").length, all: log.querySelectorAll("span").length };
}

/** What a run costs the page: bring `total` tokens, then stream for `seconds` at 30 batches a second. */
async function stream(seconds = 5) {
  const { kernel } = open;
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    say(kernel.message({ ...kernel.rounds_(1), stats: kernel.stats(), baseline: kernel.baseline() }));
    await later(33);
  }
}

window.harness = { stream, theme, start, scenes, settled, say, measure, state, get open() { return open; } };

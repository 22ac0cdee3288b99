import type { Layout, Trace } from "plotly.js-basic-dist-min";
import { Brush, type RoundAxis } from "./brush.js";
import { Decimator } from "./decimator.js";
import { h, perFrame, prefersReducedMotion, setText } from "./dom.js";
import { busy, type Curve, type Maybe } from "./protocol.js";
import { doubled, FIRST_X, step } from "./ranges.js";
import { selectWithKeys } from "./selection.js";
import type { Store } from "./store.js";
import { onThemeChange, readTheme, type Theme } from "./theme.js";
import { firstAbove } from "./timeline.js";
import { percent } from "./words.js";

export const MAX_POINTS = 1000;
export const FRAME_MS = 100;
const CALM_FRAME_MS = 500;

export type PlotName = "acceptance" | "throughput" | "speedup";

const LOOKS = ["strong", "soft", "reference"] as const;
type Look = (typeof LOOKS)[number];

interface Series {
  curve: Curve;
  label: string;
  look: Look;
}

interface PlotSpec {
  title: string;
  about: string;
  series: Series[];
  format: (value: number) => string;
  hover: string;
  tickformat: string;
  ticksuffix?: string;
  /** Fixed upper end of the y axis, or the least one of an axis that grows. */
  top: { fixed: number } | { least: number };
  /** A dashed level across the plot, with its name. */
  level?: { at: number; label: string };
  /** Said over an empty plot once a run is over. */
  missing: string;
}

const figure = (digits: number, unit: string) => (value: number) => `${value.toFixed(digits)}${unit}`;

export const PLOTS: Record<PlotName, PlotSpec> = {
  acceptance: {
    title: "Acceptance rate",
    about: "Share of the drafted tokens that were accepted, over output tokens",
    series: [
      { curve: "acceptance_rolling", label: "recent", look: "soft" },
      { curve: "acceptance_cumulative", label: "overall", look: "strong" },
    ],
    format: percent,
    hover: "%{y:.1%}",
    tickformat: ".0%",
    top: { fixed: 1 },
    missing: "Nothing was drafted",
  },
  throughput: {
    title: "Tokens/s",
    about: "Output tokens per second of decoding, over output tokens",
    series: [
      { curve: "tps_rolling", label: "recent", look: "soft" },
      { curve: "tps_cumulative", label: "overall", look: "strong" },
      { curve: "baseline_tps", label: "plain", look: "reference" },
    ],
    format: figure(1, ""),
    hover: "%{y:.1f} tok/s",
    tickformat: "~s",
    top: { least: 10 },
    missing: "No speed was measured",
  },
  speedup: {
    title: "Speedup",
    about: "Tokens per second with drafting divided by tokens per second without, over output tokens",
    series: [
      { curve: "speedup_rolling", label: "recent", look: "soft" },
      { curve: "speedup_cumulative", label: "overall", look: "strong" },
    ],
    level: { at: 1, label: "plain" },
    format: figure(2, "×"),
    hover: "%{y:.2f}×",
    tickformat: ".3~g",
    ticksuffix: "×",
    top: { least: 2 },
    missing: "No baseline was measured",
  },
};

type Row = [x: number, ...values: Maybe[]];
type Plotly = typeof import("plotly.js-basic-dist-min").default;

/** Evaluated on first use: the bundle itself must start fast, or anywidget gives up on the model. */
const loadPlotly = (): Promise<Plotly> => import("plotly.js-basic-dist-min").then((module) => module.default);

/** One live plot: animated while a run is under way, drawn exactly when it ends. A drag selects the rounds it passes. */
export class CurvePlot implements RoundAxis {
  readonly element: HTMLElement;
  readonly #spec: PlotSpec;
  readonly #store: Store;
  readonly #signal: AbortSignal;
  readonly #area = h("div", { class: "sv-plot-area" });
  readonly #note = h("p", { class: "sv-plot-note", hidden: true });
  readonly #value = h("span", { class: "sv-number", title: "Overall, up to now" });
  readonly #brush: Brush;
  readonly #decimator = new Decimator<Row>(MAX_POINTS);
  readonly #interval = prefersReducedMotion() ? CALM_FRAME_MS : FRAME_MS;

  #plotly: Plotly | null = null;
  #theme: Theme | null = null;
  #epoch = -1;
  #taken = 0;
  #range = FIRST_X;
  #top = 0;
  /** Something is not on the screen yet. */
  #stale = true;
  /** The next drawing must set everything, not only move what moved. */
  #whole = false;
  /** The axes fit what is there: so it is once a run is over. */
  #settled = true;
  #drawing = false;
  #lastFrame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: PlotName, store: Store, signal: AbortSignal) {
    const spec = PLOTS[name];
    this.#spec = spec;
    this.#store = store;
    this.#signal = signal;
    this.#brush = new Brush(this.#area, this, store.selection, signal);
    this.#brush.onPick = () => store.selection.clear();
    const key = h("ul", { class: "sv-plot-key" });
    for (const look of LOOKS) for (const series of spec.series) if (series.look === look) key.append(keyItem(look, series.label));
    if (spec.level) key.append(keyItem("reference", spec.level.label));
    this.element = h(
      "figure",
      { class: "sv-plot", tabindex: -1, "data-testid": `plot-${name}`, "data-points": 0 },
      h(
        "figcaption",
        {},
        h("div", { class: "sv-row" }, h("span", { class: "sv-plot-title", title: spec.about }, spec.title), this.#value),
        key,
      ),
      h("div", { class: "sv-plot-frame", role: "img", "aria-label": spec.about }, this.#area, this.#brush.element, this.#note),
    );
    selectWithKeys(this.element, store.selection, () => this.rounds, signal);
    store.selection.subscribe(
      perFrame(() => this.#brush.draw(), signal),
      signal,
    );
    signal.addEventListener("abort", () => this.#dispose(), { once: true });
    store.subscribe(() => this.#update(), signal);
    onThemeChange(() => this.#retheme(), signal);
    this.#take();
    this.#drawValues();
    void this.#open();
  }

  get rounds(): number {
    return this.#store.curves.x.length;
  }

  roundAt(share: number): number {
    const { x } = this.#store.curves;
    return firstAbove((round) => x[round] ?? 0, x.length, share * this.#range);
  }

  startOf(round: number): number {
    return Math.min(1, (this.#store.curves.x[round - 1] ?? 0) / this.#range);
  }

  async #open(): Promise<void> {
    const [plotly] = await Promise.all([loadPlotly(), laidOut(this.#area, this.#signal)]);
    if (this.#signal.aborted) return;
    this.#theme = readTheme(this.element);
    this.#settle();
    await plotly.newPlot(this.#area, this.#traces(), this.#layout(), { displayModeBar: false, doubleClick: false, responsive: false });
    if (this.#signal.aborted) {
      plotly.purge(this.#area);
      return;
    }
    this.#plotly = plotly;
    this.#stale = this.#whole = false;
    this.#settled = !this.#live;
    this.#marked();
    this.#watchSize();
    this.#update();
  }

  #dispose(): void {
    clearTimeout(this.#timer);
    this.#plotly?.purge(this.#area);
    this.#plotly = null;
  }

  #watchSize(): void {
    let width = this.#area.clientWidth;
    const observer = new ResizeObserver(() => {
      const now = this.#area.clientWidth;
      if (now === 0 || now === width || !this.#plotly) return;
      width = now;
      void this.#plotly.Plots.resize(this.#area);
    });
    observer.observe(this.#area);
    this.#signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  #retheme(): void {
    this.#theme = readTheme(this.element);
    this.#whole = true;
    this.#update();
  }

  get #live(): boolean {
    return busy(this.#store.state.phase);
  }

  #update(): void {
    this.#take();
    const needed = this.#stale || this.#whole || (!this.#live && !this.#settled);
    if (!this.#plotly || !needed || this.#drawing || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#lastFrame + this.#interval - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#draw();
    }, wait);
  }

  async #draw(): Promise<void> {
    const plotly = this.#plotly;
    if (!plotly) return;
    const live = this.#live;
    const animated = live && !this.#whole;
    this.#drawValues();
    this.#drawing = true;
    this.#lastFrame = performance.now();
    this.#stale = this.#whole = false;
    this.#settled = !live;
    if (!live) this.#settle();
    try {
      await (animated ? this.#animate(plotly) : plotly.react(this.#area, this.#traces(), this.#layout()));
    } catch {
      // Plotly rejects a frame that a newer one overtook, and any drawing into a view that has gone.
    }
    this.#drawing = false;
    if (this.#signal.aborted) return;
    this.#marked();
    this.#update();
  }

  #animate(plotly: Plotly): Promise<unknown> {
    const columns = this.#columns();
    const frame = {
      data: columns.ys.map((y) => ({ x: columns.x, y })),
      traces: columns.ys.map((_, i) => i),
      layout: { xaxis: { range: [0, this.#range] }, yaxis: { range: [0, this.#top] } },
    };
    return plotly.animate(this.#area, frame, {
      mode: "immediate",
      transition: { duration: 0 },
      frame: { duration: 0, redraw: false },
    });
  }

  /** Move what is new in the store into the decimator. */
  #take(): void {
    const { curves, epoch } = this.#store;
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#taken = 0;
      this.#range = FIRST_X;
      this.#top = 0;
      this.#decimator.clear();
      this.#stale = this.#whole = true;
    }
    const { series } = this.#spec;
    for (; this.#taken < curves.x.length; this.#taken++) {
      const i = this.#taken;
      const values = series.map(({ curve }) => curves[curve][i] ?? null);
      this.#decimator.push([curves.x[i] ?? 0, ...values]);
      this.#grow(values);
      this.#stale = true;
    }
    const last = curves.x.at(-1) ?? 0;
    if (last > this.#range) this.#range = doubled(this.#range, last);
    if (!this.#top) this.#grow([]);
  }

  #grow(values: Maybe[]): void {
    const { top } = this.#spec;
    if ("fixed" in top) {
      this.#top = top.fixed;
      return;
    }
    const highest = Math.max(top.least, ...values.map((value) => (value ?? 0) * 1.02));
    if (highest > this.#top) this.#top = step(highest);
  }

  /** Fit the axes to what is there, once nothing moves any more. */
  #settle(): void {
    const rows = this.#decimator.rows();
    const last = rows.at(-1)?.[0] ?? 0;
    if (last > 0 && !busy(this.#store.state.phase)) this.#range = last;
  }

  #drawValues(): void {
    const { curves, state } = this.#store;
    const { series, format, missing } = this.#spec;
    const overall = series.find(({ look }) => look === "strong")?.curve;
    const value = overall ? (curves[overall].at(-1) ?? null) : null;
    setText(this.#value, value === null ? "" : format(value));
    const over = ["finished", "stopped", "crashed", "failed"].includes(state.phase);
    setText(this.#note, missing);
    this.#note.hidden = value !== null || !over;
  }

  #marked(): void {
    this.#brush.draw();
    this.element.dataset["points"] = String(this.#decimator.rows().length);
  }

  #columns(): { x: number[]; ys: Maybe[][] } {
    const rows = this.#decimator.rows();
    const x = rows.map((row) => row[0]);
    return { x, ys: this.#spec.series.map((_, i) => rows.map((row) => row[i + 1] ?? null)) };
  }

  #traces(): Trace[] {
    const { x, ys } = this.#columns();
    const theme = this.#theme;
    return this.#spec.series.map(({ curve, label, look }, i) => ({
      type: "scatter",
      mode: "lines",
      name: label,
      x,
      y: ys[i] ?? [],
      line: {
        ...(look === "reference"
          ? reference(theme)
          : { color: look === "strong" ? theme?.accent : theme?.accentSoft, width: look === "strong" ? 2.25 : 1.25 }),
        shape: curve === "baseline_tps" ? "hv" : "linear",
        simplify: false,
      },
      hovertemplate: `${label} ${this.#spec.hover}<extra></extra>`,
    }));
  }

  #layout(): Layout {
    const theme = this.#theme;
    const axis = {
      fixedrange: true,
      showline: false,
      zeroline: false,
      ticks: "",
      gridwidth: 1,
      gridcolor: theme?.grid,
      tickfont: { size: 11, color: theme?.faint },
      automargin: false,
    };
    const { tickformat, ticksuffix = "", level } = this.#spec;
    return {
      autosize: true,
      margin: { l: 40, r: 8, t: 8, b: 38, pad: 4 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: theme?.font, size: 11, color: theme?.ink },
      showlegend: false,
      dragmode: false,
      hovermode: "x unified",
      hoverlabel: {
        bgcolor: theme?.surface,
        bordercolor: theme?.grid,
        font: { family: theme?.font, size: 12, color: theme?.ink },
      },
      xaxis: {
        ...axis,
        range: [0, this.#range],
        nticks: 4,
        showgrid: false,
        tickformat: "~s",
        hoverformat: ",d",
        title: { text: "output tokens", standoff: 6, font: { size: 11, color: theme?.faint } },
      },
      shapes: level
        ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: level.at, y1: level.at, layer: "below", line: reference(theme) }]
        : [],
      yaxis: { ...axis, range: [0, this.#top], nticks: 4, rangemode: "tozero", tickformat, ticksuffix },
    };
  }
}

function reference(theme: Theme | null): Record<string, unknown> {
  return { color: theme?.faint, width: 1.25, dash: "5px,4px" };
}

function keyItem(look: Look, label: string): HTMLElement {
  return h("li", { "data-look": look }, h("i", { "aria-hidden": "true" }), label);
}

/** Wait until the element has a width: plotly measures it once. */
function laidOut(element: HTMLElement, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const observer = new ResizeObserver(() => {
      if (element.clientWidth === 0) return;
      observer.disconnect();
      resolve();
    });
    observer.observe(element);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        resolve();
      },
      { once: true },
    );
  });
}

declare module "plotly.js-basic-dist-min" {
  export interface Trace {
    x: number[];
    y: (number | null)[];
    [option: string]: unknown;
  }
  export type Layout = Record<string, unknown>;
  export interface Frame {
    data: Partial<Trace>[];
    traces: number[];
    layout?: Layout;
  }
  interface Plotly {
    newPlot(element: HTMLElement, data: Trace[], layout: Layout, config: Record<string, unknown>): Promise<unknown>;
    react(element: HTMLElement, data: Trace[], layout: Layout, config?: Record<string, unknown>): Promise<unknown>;
    animate(element: HTMLElement, frame: Frame, options: Record<string, unknown>): Promise<unknown>;
    purge(element: HTMLElement): void;
    Plots: { resize(element: HTMLElement): Promise<unknown> };
  }
  const plotly: Plotly;
  export default plotly;
}

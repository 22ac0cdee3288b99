// @ts-expect-error Node's own types are no part of the page's.
import { setMaxListeners } from "node:events";
import { afterEach, vi } from "vitest";
import { FakeResizeObserver } from "./fakes.js";

// Canvas and SVG measuring are not jsdom's business; what is asked of plotly is.
vi.mock("plotly.js-basic-dist-min", () => ({
  default: {
    newPlot: vi.fn(() => Promise.resolve()),
    react: vi.fn(() => Promise.resolve()),
    animate: vi.fn(() => Promise.resolve()),
    purge: vi.fn(),
    Plots: { resize: vi.fn(() => Promise.resolve()) },
  },
}));

// One signal ends a whole view: many listeners on it are meant.
setMaxListeners(0);

vi.stubGlobal("ResizeObserver", FakeResizeObserver);
// jsdom has neither pointer capture nor scrolling.
HTMLElement.prototype.setPointerCapture = () => undefined;
HTMLElement.prototype.scrollIntoView = () => undefined;
Object.defineProperty(HTMLElement.prototype, "clientWidth", { get: () => FakeResizeObserver.width });

afterEach(() => {
  document.body.replaceChildren();
  document.head.replaceChildren();
  delete document.body.dataset["jpThemeLight"];
  FakeResizeObserver.resize(1000);
  vi.useRealTimers();
  vi.clearAllMocks();
});

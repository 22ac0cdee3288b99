/** The colours that a canvas or an SVG needs as values; CSS takes them straight from the theme's variables. */
export interface Theme {
  ink: string;
  faint: string;
  grid: string;
  surface: string;
  accent: string;
  accentSoft: string;
  font: string;
}

const VARIABLES = {
  ink: "--sv-ink",
  faint: "--sv-ink-2",
  grid: "--sv-grid",
  surface: "--sv-surface",
  accent: "--sv-curve",
  accentSoft: "--sv-curve-soft",
} as const;

/** Resolve the theme at `element`: a probe element turns any CSS colour into one that plotly reads. */
export function readTheme(element: HTMLElement): Theme {
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const style = getComputedStyle(probe);
  const colours = Object.fromEntries(
    Object.entries(VARIABLES).map(([name, variable]) => {
      probe.style.color = `var(${variable})`;
      return [name, plain(style.color)];
    }),
  ) as Omit<Theme, "font">;
  const font = style.fontFamily || "sans-serif";
  probe.remove();
  return { ...colours, font };
}

/** `color(srgb r g b / a)`, as `color-mix` computes to, in the older notation. */
function plain(colour: string): string {
  const match = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)(?: \/ ([\d.e-]+))?\)$/u.exec(colour);
  if (!match) return colour || "#777";
  const [r, g, b] = match.slice(1, 4).map((part) => Math.round(Number(part) * 255));
  return `rgba(${r}, ${g}, ${b}, ${match[4] ?? 1})`;
}

/** Call back when JupyterLab (or the system) changes its theme. */
export function onThemeChange(callback: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(() => setTimeout(callback, 50));
  observer.observe(document.body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind"],
  });
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  if (typeof matchMedia === "function") {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback, { signal });
  }
}

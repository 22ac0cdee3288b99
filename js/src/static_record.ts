/** Hide a saved notebook's static record of a feed for as long as a live view of that feed is on the page. */
export function hideStaticRecord(feed: string | undefined, signal: AbortSignal): void {
  if (!feed || signal.aborted) return;
  const style = document.createElement("style");
  style.textContent = `.specviz-static[data-feed="${quoted(feed)}"] { display: none !important; }`;
  document.head.append(style);
  signal.addEventListener("abort", () => style.remove(), { once: true });
}

/** As a CSS string: every character outside the plain ones as an escape. */
function quoted(text: string): string {
  return [...text].map((c) => (/[\w-]/u.test(c) ? c : `\\${c.codePointAt(0)?.toString(16)} `)).join("");
}

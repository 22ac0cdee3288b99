import type { AnyModel } from "@anywidget/types";
import type { FeedTraits } from "./protocol.js";

/** Hide a saved notebook's static record of a feed for as long as a live view of that feed is on the page. */
export function hideStaticRecord(model: AnyModel<FeedTraits>, signal: AbortSignal): void {
  if (signal.aborted) return;
  const style = document.createElement("style");
  // A model learns its own id only after it was made, so the trait may come later than the view.
  const follow = () => {
    const feed = model.get("feed_id");
    style.textContent = feed ? `.specviz-static[data-feed="${quoted(feed)}"] { display: none !important; }` : "";
  };
  follow();
  document.head.append(style);
  model.on("change:feed_id", follow);
  signal.addEventListener(
    "abort",
    () => {
      model.off("change:feed_id", follow);
      style.remove();
    },
    { once: true },
  );
}

/** As a CSS string: every character outside the plain ones as an escape. */
function quoted(text: string): string {
  return [...text].map((c) => (/[\w-]/u.test(c) ? c : `\\${c.codePointAt(0)?.toString(16)} `)).join("");
}

import { h, setText } from "./dom.js";
import type { PickerStore } from "./picker_store.js";
import type { DownloadState } from "./protocol.js";
import type { SettingsModel } from "./settings.js";
import { bytes } from "./words.js";

/** Pairs that one click downloads, folded away; one at a time. */
export function downloads(store: PickerStore, settings: SettingsModel, signal: AbortSignal): HTMLElement {
  const list = h("ul", { class: "sv-downloads" });
  const fold = h("details", { class: "sv-fold", "data-testid": "downloads" }, h("summary", {}, "Download a pair…"), list);
  let suggestions: unknown;

  const draw = () => {
    const { content } = store;
    fold.hidden = !content.suggestions?.length;
    if (content.suggestions !== suggestions) {
      suggestions = content.suggestions;
      list.replaceChildren(...(content.suggestions ?? []).map(({ label, size_bytes }, i) => row(label, size_bytes, i, settings)));
    }
    const download = content.download ?? null;
    for (const [i, item] of [...list.children].entries()) show(item as HTMLElement, download, i);
  };
  store.subscribe(draw, signal);
  draw();
  return fold;
}

function row(label: string, size: number, suggestion: number, settings: SettingsModel): HTMLElement {
  const button = h("button", { type: "button", class: "sv-quiet", "data-testid": "download" });
  button.addEventListener("click", () => {
    settings.send(button.dataset["does"] === "cancel" ? { type: "cancel_download" } : { type: "download", suggestion });
  });
  return h(
    "li",
    {},
    h("div", { class: "sv-row" }, h("span", {}, label), button),
    h("progress", { max: 1, "aria-label": `Download of ${label}`, hidden: true }),
    h("p", { class: "sv-caption" }, size ? bytes(size) : ""),
  );
}

function show(item: HTMLElement, download: DownloadState | null, i: number): void {
  const mine = download?.suggestion === i ? download : null;
  const running = mine?.state === "waiting" || mine?.state === "downloading";
  const button = item.querySelector("button");
  const bar = item.querySelector("progress");
  const note = item.querySelector("p");
  if (!button || !bar || !note) return;
  button.dataset["does"] = running ? "cancel" : "download";
  button.disabled = !running && (download?.state === "waiting" || download?.state === "downloading");
  setText(button, running ? "Cancel" : mine?.state === "cancelled" || mine?.state === "failed" ? "Go on" : "Download");
  bar.hidden = !running;
  if (mine?.total_bytes) bar.value = mine.done_bytes / mine.total_bytes;
  else bar.removeAttribute("value");
  note.dataset["size"] ??= note.textContent ?? "";
  note.classList.toggle("sv-error", mine?.state === "failed");
  setText(note, mine ? downloadLine(mine) : note.dataset["size"]);
}

function downloadLine({ state, file, done_bytes, total_bytes, error }: DownloadState): string {
  const far = total_bytes ? `${bytes(done_bytes)} of ${bytes(total_bytes)}` : bytes(done_bytes);
  switch (state) {
    case "waiting":
      return "Asking for the files";
    case "downloading":
      return `${file === "draft" ? "Draft" : "Main model"}: ${far}`;
    case "cancelled":
      return `Cancelled at ${far}`;
    case "failed":
      return error;
    case "done":
      return "Downloaded";
  }
}

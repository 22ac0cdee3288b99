import { h } from "./dom.js";
import type { PickerStore } from "./picker_store.js";
import type { EngineReport } from "./protocol.js";
import type { SettingsModel } from "./settings.js";

/** The engines on this machine: found out when the fold is opened, and again when asked. */
export function enginesView(store: PickerStore, settings: SettingsModel, signal: AbortSignal): HTMLElement {
  const list = h("ul", { class: "sv-engines" });
  const fold = h("details", { class: "sv-fold sv-group", "data-testid": "engines" }, h("summary", {}, "Engines"), list);
  fold.addEventListener("toggle", () => {
    if (fold.open && !store.content.engines) settings.send({ type: "probe", engine: "" });
  });
  const draw = () => {
    const { engines } = store.content;
    list.replaceChildren(
      ...(engines ? engines.map((report) => row(report, settings)) : [h("li", { class: "sv-caption" }, "Looking")]),
    );
  };
  store.subscribe(draw, signal);
  draw();
  return fold;
}

function row(report: EngineReport, settings: SettingsModel): HTMLElement {
  const { name, version, state, backends, can, cannot, reason, checking } = report;
  const again = h("button", { type: "button", class: "sv-quiet", disabled: checking, "data-testid": "probe" }, checking ? "Checking" : "Check again");
  again.setAttribute("aria-label", `Check ${name} again`);
  again.addEventListener("click", () => settings.send({ type: "probe", engine: name }));
  const lines = [
    version,
    backends.length ? `On ${backends.join(", ")}` : "",
    can.length ? `Can: ${can.join(", ")}` : "",
    cannot.length ? `Cannot: ${cannot.join(", ")}` : "",
    reason,
  ];
  return h(
    "li",
    { "data-testid": "engine", "data-state": state },
    h("div", { class: "sv-row" }, h("span", {}, h("strong", {}, name), state ? ` · ${state}` : ""), again),
    ...lines.filter(Boolean).map((line) => h("p", { class: "sv-caption" }, line)),
  );
}

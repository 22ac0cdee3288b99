import type { AnyModel, Initialize, Render } from "@anywidget/types";
import { Compared, viewCompare } from "./compare.js";
import { Explorer } from "./explorer.js";
import { ModelPicker } from "./model_picker.js";
import { mountPart, mountRoot, viewFeed, type MountTarget } from "./parts.js";
import { PickerStore } from "./picker_store.js";
import { viewReplay } from "./player.js";
import { Playback } from "./player_playback.js";
import type { ReplayTraits } from "./player_timeline.js";
import type { CompareTraits, ExplorerTraits, FeedTraits, KernelMessage, Part, PickerMessage, RaceMessage, Snapshot, WhatIfTraits } from "./protocol.js";
import { RaceTrack } from "./race_track.js";
import { RaceStore } from "./race_track_store.js";
import { savePageButton } from "./save_page.js";
import { SettingsModel } from "./settings.js";
import { hideStaticRecord } from "./static_record.js";
import { Store } from "./store.js";
import { WhatIf } from "./what_if.js";

export { openPage } from "./page.js";

export interface Exports {
  mount(part: Part, target: MountTarget): void;
}

/** anywidget calls this once per model, so `initialize` and `render` of a model share one store. */
export default function feed(): { initialize: Initialize<FeedTraits>; render: Render<FeedTraits> } {
  let store: Store | undefined;
  let race: RaceStore | undefined;
  let played: Playback | undefined;
  let compared: Compared | undefined;
  const models = new PickerStore();

  return {
    initialize({ model, signal }): Exports {
      if (model.get("view") === "replay") {
        const recorded = model as unknown as AnyModel<ReplayTraits>;
        played = new Playback(recorded.get("snapshot"), (message) => model.send(message), signal);
      }
      if (model.get("view") === "compare") {
        const both = model as unknown as AnyModel<CompareTraits>;
        compared = new Compared(both.get("comparison"), both.get("answers"), (message) => model.send(message));
      }
      const opened = played?.store ?? new Store((message) => model.send(message));
      store = opened;
      const raced = new RaceStore((message) => model.send(message));
      race = raced;
      const restore = () => {
        if (played) return;
        const snapshot = model.get("snapshot") ?? {}; // not every view has one
        if ("type" in snapshot && snapshot.type === "race") raced.restore(snapshot);
        else opened.restore(snapshot as Snapshot);
      };
      restore();
      model.on("msg:custom", (message: KernelMessage | PickerMessage | RaceMessage) => {
        if (message.type === "picker") models.receive(message);
        else if (message.type === "race") raced.receive(message);
        else if (compared && message.type === "detail") compared.receive(message);
        else opened.receive(message);
      });
      model.on("change:snapshot", restore);
      if (!played) opened.catchUp();
      raced.catchUp();
      signal.addEventListener("abort", () => [opened, raced, compared].forEach((one) => one?.dispose()), { once: true });
      return {
        mount(part, target) {
          hideStaticRecord(model, target.signal);
          mountPart(part, opened, target);
        },
      };
    },

    render({ model, el, signal }) {
      if (!store || !race) throw new Error("specviz: a view before its model was initialised");
      hideStaticRecord(model, signal);
      const settings = () => new SettingsModel(model as unknown as AnyModel<ExplorerTraits>, signal);
      switch (model.get("view")) {
        case "explorer": {
          const explorer = new Explorer(store, models, model as unknown as AnyModel<ExplorerTraits>, signal);
          el.append(explorer.element);
          signal.addEventListener("abort", () => explorer.element.remove(), { once: true });
          break;
        }
        case "picker":
          mountRoot({ el, signal }, "sv-part-models", new ModelPicker(models, settings(), signal).element);
          break;
        case "what_if":
          mountRoot({ el, signal }, "sv-part-what-if", new WhatIf(model as unknown as AnyModel<WhatIfTraits>, signal).element);
          break;
        case "race":
          mountRoot({ el, signal }, "sv-part-race", new RaceTrack(race, (message) => model.send(message), signal).element);
          break;
        case "replay":
          if (played) viewReplay(played, { el, signal, model: model as unknown as AnyModel<ReplayTraits> }, savePageButton(model as AnyModel, signal));
          break;
        case "compare":
          if (compared) viewCompare(compared, { el, signal, model: model as unknown as AnyModel<CompareTraits> }, savePageButton(model as AnyModel, signal));
          break;
        default:
          viewFeed(store, { el, signal, model });
      }
    },
  };
}

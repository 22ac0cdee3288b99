import type { AnyModel, Initialize, Render } from "@anywidget/types";
import { Explorer } from "./explorer.js";
import { ModelPicker } from "./model_picker.js";
import { mountPart, mountRoot, viewFeed, type MountTarget } from "./parts.js";
import { PickerStore } from "./picker_store.js";
import type { ExplorerTraits, FeedTraits, KernelMessage, Part, PickerMessage } from "./protocol.js";
import { SettingsModel } from "./settings.js";
import { hideStaticRecord } from "./static_record.js";
import { Store } from "./store.js";

export interface Exports {
  mount(part: Part, target: MountTarget): void;
}

/** anywidget calls this once per model, so `initialize` and `render` of a model share one store. */
export default function feed(): { initialize: Initialize<FeedTraits>; render: Render<FeedTraits> } {
  let store: Store | undefined;
  const models = new PickerStore();

  return {
    initialize({ model, signal }): Exports {
      const opened = new Store((message) => model.send(message));
      store = opened;
      opened.restore(model.get("snapshot"));
      model.on("msg:custom", (message: KernelMessage | PickerMessage) => {
        if (message.type === "picker") models.receive(message);
        else opened.receive(message);
      });
      model.on("change:snapshot", () => opened.restore(model.get("snapshot")));
      signal.addEventListener("abort", () => opened.dispose(), { once: true });
      return {
        mount(part, target) {
          hideStaticRecord(model, target.signal);
          mountPart(part, opened, target);
        },
      };
    },

    render({ model, el, signal }) {
      if (!store) throw new Error("specviz: a view before its model was initialised");
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
        default:
          viewFeed(store, { el, signal, model });
      }
    },
  };
}

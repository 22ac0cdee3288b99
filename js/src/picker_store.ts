import { Listeners } from "./listeners.js";
import type { PickerContent, PickerMessage } from "./protocol.js";

/** What the kernel has said of the models, the downloads and the engines; each part as it said it last. */
export class PickerStore {
  readonly content: PickerContent = {};
  /** Whether a view has asked for the list. */
  asked = false;
  readonly #listeners = new Listeners();

  /** Whether a kernel has answered at all. */
  get alive(): boolean {
    return this.content.models !== undefined;
  }

  /** Name of a model that the kernel has listed. */
  nameOf(key: string): string | undefined {
    const { models } = this.content;
    return models?.name[models.key.indexOf(key)];
  }

  receive({ type: _, ...content }: PickerMessage): void {
    Object.assign(this.content, content);
    this.#listeners.notify();
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal);
  }
}

import type { PickerContent, PickerMessage } from "./protocol.js";

type Listener = () => void;

/** What the kernel has said of the models, the downloads and the engines; each part as it said it last. */
export class PickerStore {
  readonly content: PickerContent = {};
  /** Whether a view has asked for the list. */
  asked = false;
  readonly #listeners = new Set<Listener>();

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
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: Listener, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }
}

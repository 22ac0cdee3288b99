import type { AnyModel } from "@anywidget/types";
import { download, h, icon, perFrame, setText, uniqueId } from "./dom.js";
import type { FileMessage } from "./protocol.js";
import type { Store } from "./store.js";

const LABEL = "Save as page";
/** How long the button says how it went, and how long the kernel may take to answer. */
const SAID_MS = 1600;
const GIVE_UP_MS = 60_000;

/**
 * Asks the kernel for the self-contained page and downloads it; only its icon is seen, but for how it went. With a store
 * it waits until there is something in it.
 */
export function savePageButton(model: AnyModel, signal: AbortSignal, store?: Store): HTMLButtonElement {
  const label = h("span", { class: "sv-hidden" }, LABEL);
  const button = h("button", { type: "button", class: "sv-quiet sv-save", title: LABEL, "data-testid": "save-page" }, icon("down"), label);
  /** What was asked for and has not come. */
  let asked = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = (text: string, why = text) => {
    setText(label, text);
    label.classList.toggle("sv-hidden", text === LABEL);
    button.title = why;
  };
  const say = (text: string, why?: string, after = SAID_MS, then: () => void = () => show(LABEL)) => {
    show(text, why);
    clearTimeout(timer);
    timer = setTimeout(then, after);
  };
  const giveUp = () => {
    asked = "";
    say("The kernel does not answer");
  };
  const receive = (message: FileMessage, buffers: DataView[]) => {
    if (message.type !== "file" || message.id !== asked) return;
    asked = "";
    const [bytes] = buffers;
    if (bytes) download(message.name, bytes, "text/html");
    say(bytes ? "Saved" : "Could not be saved", message.error);
  };
  button.addEventListener("click", () => {
    if (asked) return;
    asked = `${uniqueId("save")}-${Math.random()}`;
    model.send({ type: "save_page", id: asked });
    say("Saving", undefined, GIVE_UP_MS, giveUp);
  });
  model.on("msg:custom", receive);
  signal.addEventListener(
    "abort",
    () => {
      clearTimeout(timer);
      model.off("msg:custom", receive);
    },
    { once: true },
  );
  if (store) {
    const draw = () => (button.disabled = store.tokens.text.length === 0);
    store.subscribe(perFrame(draw, signal), signal);
    draw();
  }
  return button;
}

/** A light part: the feed's bundle draws it, here. See docs/protocol.md. */
export default {
  async render({ model, el, signal, host }) {
    const feed = await host.getWidget(model.get("feed"));
    if (signal.aborted) return;
    return feed.exports.mount(model.get("part"), { el, signal, model });
  },
};

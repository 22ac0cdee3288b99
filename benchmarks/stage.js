// Evaluated in a page that shows one feed: notes when what is on the screen.
(() => {
  const log = document.querySelector("[data-testid=stream]");
  const stage = (window.stage = { shown: [], appends: [], redraws: {} });
  const added = new MutationObserver(() => undefined);
  added.observe(log, { childList: true, subtree: true });

  const painted = () =>
    new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done(performance.timeOrigin + performance.now());
      port2.postMessage(null);
    });

  // A message posted in a frame arrives after its painting.
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) =>
    request((now) => {
      const start = performance.now();
      draw(now);
      const ms = performance.now() - start;
      const tokens = added.takeRecords().flatMap(({ addedNodes }) => [...addedNodes].filter((node) => node.dataset?.i));
      if (tokens.length === 0) return;
      const last = Number(tokens.at(-1).dataset.i);
      stage.appends.push([last + 1, ms]);
      const from = Number(tokens[0].dataset.i);
      if (from < stage.shown.length) stage.shown.length = from;
      void painted().then((at) => {
        while (stage.shown.length <= last) stage.shown.push(at);
      });
    });

  for (const plot of document.querySelectorAll(".sv-plot[data-points]")) {
    const times = (stage.redraws[plot.dataset.testid] = []);
    new MutationObserver(() => times.push(performance.now())).observe(plot, { attributeFilter: ["data-points"] });
  }

  const frame = () => new Promise((done) => request(() => void painted().then(done)));

  stage.scroll = async (top) => {
    const start = performance.now();
    log.scrollTop = top;
    await frame();
    return performance.now() - start;
  };

  /** Bring a token into view; resolves to where it is. `card` then resolves to the times after the pointer has come to it. */
  stage.aim = async () => {
    const token = [...log.querySelectorAll("[data-i]")].at(-40);
    token.scrollIntoView({ block: "center" });
    await frame();
    stage.card = new Promise((done) => {
      const pointed = async () => {
        const start = performance.now();
        await frame();
        const card = performance.now() - start;
        const inspector = document.querySelector("[data-testid=inspector]");
        while (!inspector.querySelector(".sv-in-round")) await frame();
        done([card, performance.now() - start]);
      };
      token.addEventListener("pointerover", pointed, { once: true });
    });
    const { left, top, width, height } = token.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
})();

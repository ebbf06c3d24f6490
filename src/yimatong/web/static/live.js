// The live picture: server-sent events, by asking every five seconds where they fail, and said aloud when data stop.
"use strict";
(() => {
  const root = document.getElementById("live");
  const said = document.getElementById("live-state");
  const STALE_MS = 9000, ASK_MS = 5000, AGAIN_MS = 30000;
  let last = Date.now(), source = null, asking = 0, ended = false;

  const say = (state) => {
    if (said.dataset.state !== state) {
      said.dataset.state = state;
      said.textContent = said.dataset[state];
    }
  };
  const show = (part) => {
    const focused = root.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...root.querySelectorAll("details[open]")].map((each) => each.id);
    root.innerHTML = part;
    open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    if (focused) document.getElementById(focused)?.focus();
    last = Date.now();
    root.removeAttribute("data-stale");
    say(asking ? "polling" : "connected");
  };
  const end = () => {
    ended = true;
    source?.close();
    clearInterval(asking);
    root.setAttribute("data-stale", "");
    say("ended");
    document.getElementById("live-go-on").hidden = false;
  };
  const ask = async () => {
    try {
      const answer = await fetch(root.dataset.part, { headers: { "hx-request": "true" } });
      if (answer.status === 401 || answer.status === 403) end();
      else if (answer.ok) show(await answer.text());
    } catch { /* the network is away: the state says so when the data are stale */ }
  };
  const listen = () => {
    if (ended) return;
    source = new EventSource(root.dataset.stream);
    source.addEventListener("pulse", (event) => {
      clearInterval(asking);
      asking = 0;
      show(event.data);
    });
    source.addEventListener("ended", end);
    source.onerror = () => {
      source.close();
      if (ended) return;
      if (!asking) {
        asking = setInterval(ask, ASK_MS);
        ask();
      }
      setTimeout(listen, AGAIN_MS);
    };
  };
  setInterval(() => {
    if (!ended && Date.now() - last > STALE_MS) {
      root.setAttribute("data-stale", "");
      say("stale");
    }
  }, 1000);
  listen();
})();

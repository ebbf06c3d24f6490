// The resident's dynamic code. It asks for a new code before the old one ends, and covers a code whose time is over:
// whatever happens to network, clock or session, an ended code is never left looking valid.
// Seconds come from the server as what is left, so a wrong clock in the phone does no harm.
"use strict";
(() => {
  const AHEAD_S = 8;
  const RETRY_S = 3;
  const POLL_S = 5;

  const find = (id) => document.getElementById(id);
  let begun = { steady: 0, wall: 0 };
  let lives = 0;
  let asking = false;
  let askedAt = -Infinity;
  let failedAt = null;
  let seen = null;
  let ended = false;
  let pausedUntil = 0;
  let polledAt = 0;

  // The larger of two clocks: one of them stands still while a phone sleeps, the other may be set by hand.
  const elapsed = () => Math.max(performance.now() - begun.steady, Date.now() - begun.wall) / 1000;
  const remaining = () => (lives ? lives - elapsed() : 0);
  const now = () => performance.now() / 1000;

  const cover = (name) => {
    for (const part of document.querySelectorAll("[data-cover]")) {
      part.hidden = part.dataset.cover !== name;
    }
    find("cover").hidden = name === "";
    find("code").hidden = name !== "";
    find("countdown").hidden = name !== "";
  };

  const say = (key) => {
    const words = find("words");
    words.textContent = "";
    window.setTimeout(() => { words.textContent = find("code-panel").dataset[key]; }, 50);
  };

  const ask = () => {
    if (asking || ended) return;
    asking = true;
    askedAt = now();
    htmx.trigger("#code-form", "ymt:ask");
  };

  const forget = () => {
    lives = 0;
    find("code").replaceChildren();
  };

  const take = () => {
    const code = find("code").querySelector("[data-lives-s]");
    if (!code) return;
    lives = Number(code.dataset.livesS);
    begun = { steady: performance.now(), wall: Date.now() };
    failedAt = null;
    cover("");
    draw();
  };

  const draw = () => {
    const left = remaining();
    const full = Number(find("code").firstElementChild?.dataset.fullS || lives || 1);
    find("seconds").textContent = String(Math.max(0, Math.ceil(left)));
    find("ring-front").setAttribute("stroke-dashoffset", String(100 - Math.max(0, Math.min(100, (left / full) * 100))));
    find("ring").classList.toggle("late", left < AHEAD_S);
  };

  const tick = () => {
    if (ended || document.visibilityState === "hidden") return;
    if (now() < pausedUntil) return;
    if (lives && remaining() <= 0) {
      forget();
      cover(failedAt === null ? "loading" : "lost");
      if (failedAt !== null) say("saidLost");
    } else if (lives) {
      draw();
    }
    const due = remaining() <= AHEAD_S && now() - askedAt >= (failedAt === null ? 1 : RETRY_S);
    if (due) ask();
    if (now() - polledAt >= POLL_S) {
      polledAt = now();
      htmx.trigger("#uses", "ymt:poll");
    }
  };

  const failed = () => {
    failedAt = now();
    if (remaining() <= 0) {
      forget();
      cover("lost");
      say("saidLost");
    }
  };

  const end = () => {
    ended = true;
    forget();
    cover("ended");
    say("saidEnded");
  };

  document.addEventListener("DOMContentLoaded", () => {
    const form = find("code-form");
    const uses = find("uses");
    if (!form) return;
    seen = uses.firstElementChild?.dataset.latest ?? "";

    form.addEventListener("change", () => {
      forget();
      cover("loading");
      asking = false;
      pausedUntil = 0;
      ask();
    });
    for (const button of document.querySelectorAll("[data-again]")) {
      button.addEventListener("click", () => {
        pausedUntil = 0;
        if (remaining() <= 0) cover("loading");
        asking = false;
        ask();
      });
    }
    form.addEventListener("htmx:afterRequest", (event) => {
      asking = false;
      if (event.detail.xhr.status === 401) return end();
      if (!event.detail.successful) failed();
      return undefined;
    });
    find("code").addEventListener("htmx:afterSwap", () => {
      const fresh = lives === 0;
      take();
      if (fresh) say("saidReady");
    });
    form.addEventListener("htmx:beforeSwap", (event) => {
      if (event.detail.xhr.status >= 400) event.detail.shouldSwap = false;
      if (event.detail.xhr.status === 409 || event.detail.xhr.status === 403) window.location.reload();
    });
    uses.addEventListener("htmx:afterRequest", (event) => {
      if (event.detail.xhr.status === 401) end();
    });
    uses.addEventListener("htmx:beforeSwap", (event) => {
      if (event.detail.xhr.status >= 400) event.detail.shouldSwap = false;
    });
    uses.addEventListener("htmx:afterSwap", () => {
      const latest = uses.firstElementChild?.dataset.latest ?? "";
      if (latest === seen || ended) return;
      seen = latest;
      if (uses.firstElementChild.dataset.good !== "yes") return;
      forget();
      find("used-where").textContent = uses.firstElementChild.dataset.where;
      cover("used");
      say("saidUsed");
      pausedUntil = now() + 4;
      window.setTimeout(() => { if (!lives) ask(); }, 4000);
    });

    const back = () => {
      if (document.visibilityState === "hidden") return;
      if (lives && remaining() <= 0) {
        forget();
        cover("loading");
      }
      tick();
    };
    document.addEventListener("visibilitychange", back);
    window.addEventListener("pageshow", back);
    window.addEventListener("online", () => { asking = false; askedAt = -Infinity; tick(); });
    window.addEventListener("offline", failed);
    window.setInterval(tick, 250);
    polledAt = now();
    ask();
  });
})();

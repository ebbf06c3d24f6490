// The cashier: one press is one payment; it leaves for a channel by itself once, and hears of the result by itself.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const once = (mark) => {
    if (window.sessionStorage.getItem(mark)) return false;
    window.sessionStorage.setItem(mark, "1");
    return true;
  };
  for (const form of document.querySelectorAll(".pay-form")) {
    form.addEventListener("submit", () => {
      window.setTimeout(() => {
        for (const button of document.querySelectorAll(".pay-form button")) button.disabled = true;
      }, 0);
    });
  }
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  const jump = document.getElementById("jump");
  if (jump?.dataset.attempt && once(`jumped.${jump.dataset.attempt}`)) window.location.assign(jump.href);
  const leave = document.getElementById("leave");
  if (leave && once(`left.${leave.dataset.attempt}`)) leave.submit();
  for (const kind of ["goOn", "askOnce"]) {
    const form = document.querySelector(kind === "goOn" ? "[data-go-on]" : "[data-ask-once]");
    if (form && once(`${kind}.${form.dataset[kind]}`)) form.requestSubmit();
  }
  document.getElementById("outcome")?.focus({ preventScroll: true });

  // The result: a stream of events; where it fails, a short question every two seconds (answered by htmx: a refresh).
  const live = document.getElementById("live");
  if (!live) return;
  let asking = 0;
  const ask = () => {
    if (!asking) asking = window.setInterval(() => window.htmx?.trigger(live, "ask"), 2000);
  };
  const ended = () => {
    window.clearInterval(asking);
    document.getElementById("live-state")?.setAttribute("hidden", "");
    for (const each of document.querySelectorAll("#live-ended")) each.hidden = false;
  };
  window.setTimeout(ended, 600000);
  if (!window.EventSource) {
    ask();
    return;
  }
  const source = new EventSource(live.dataset.events);
  source.addEventListener("changed", () => { source.close(); window.location.reload(); });
  source.addEventListener("ended", () => { source.close(); ended(); });
  source.onerror = () => { source.close(); ask(); };
  window.addEventListener("pagehide", () => source.close());
});

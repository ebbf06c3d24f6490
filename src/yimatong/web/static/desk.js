// The desks of the person index: one key a decision, and none by accident.
"use strict";
(() => {
  // A key that is still held down, or that was meant for the page before, decides nothing: keys and clicks on decisions
  // count only when the page has been on screen for a moment and the key was let go meanwhile.
  const ARMED_AFTER_MS = 700;
  const shownAt = performance.now();
  const held = new Set();
  let sent = false;
  const armed = () => performance.now() - shownAt > ARMED_AFTER_MS;
  setTimeout(() => document.documentElement.setAttribute("data-armed", ""), ARMED_AFTER_MS);

  const writing = (target) => target.matches?.("input:not([type=hidden], [type=checkbox], [type=radio]), textarea, select");
  const dialog = document.getElementById("keys");
  const press = (key) => document.querySelector(`[data-key="${key}"]`)?.click();

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-deciding]")) return;
    if (!armed() || sent) event.preventDefault();
    else sent = true;
  });
  // A page that comes back from the browser's memory may send again.
  addEventListener("pageshow", () => { sent = false; });

  const rows = () => [...document.querySelectorAll("[data-row]")];
  const step = (by) => {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    all[Math.min(Math.max(at + by, 0), all.length - 1)]?.focus();
  };
  const help = () => (dialog?.open ? dialog.close() : dialog?.showModal());

  document.addEventListener("keyup", (event) => held.delete(event.code));
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape" && writing(event.target)) { event.target.blur(); return; }
    if (writing(event.target)) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z" && !event.shiftKey) {
      event.preventDefault();
      if (!event.repeat && armed()) press("u");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?" || event.key === "？") { event.preventDefault(); help(); return; }
    if (dialog?.open) return;
    if (event.repeat || held.has(event.code)) return;
    held.add(event.code);
    if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "q") document.querySelector(".crumbs a")?.click();
    else if (key === "1" || key === "2") document.querySelectorAll("details[id^=said-]")[key - 1]?.toggleAttribute("open");
    else if (key === "y") document.querySelector("[data-toggle=y]")?.click();
    else if (document.querySelector(`[data-focus="${key}"]`)) {
      event.preventDefault();
      document.querySelector(`[data-focus="${key}"]`).focus();
    } else if (/^[a-z]$/.test(key) && armed()) press(key);
  });
  document.querySelectorAll("[data-opens]").forEach((each) => each.addEventListener("click", help));
})();

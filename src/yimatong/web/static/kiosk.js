// A kiosk's page: the reader's field keeps the focus, a line end sends it, printing begins by itself, and a page that
// nobody touches goes back to the start.
"use strict";
const field = document.querySelector("[data-wedge]");
if (field) {
  const hold = () => { if (document.activeElement === document.body) field.focus(); };
  field.focus();
  document.addEventListener("pointerup", () => setTimeout(hold, 50));
  setInterval(hold, 1000);
  const form = field.form;
  let sent = false;
  form.addEventListener("submit", (event) => {
    const off = event.submitter && event.submitter.name === "off";
    if (sent || (!off && field.value.trim() === "")) { event.preventDefault(); return; }
    sent = true;
    document.querySelector("[data-busy]").hidden = false;
  });
  // The first button of a form answers the line end; a reader must not take somebody off the list.
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); form.requestSubmit(); }
  });
}
// The keypad: the field takes so many digits as it is long, whether tapped or typed.
const tapped = document.querySelector("[data-tapped]");
if (tapped) {
  const clean = () => { tapped.value = tapped.value.replace(/[^0-9]/g, "").slice(0, tapped.maxLength); };
  tapped.addEventListener("input", clean);
  for (const button of document.querySelectorAll("[data-digit]")) {
    button.addEventListener("click", () => { tapped.value += button.dataset.digit; clean(); });
  }
  document.querySelector("[data-clear]").addEventListener("click", () => { tapped.value = ""; });
  document.querySelector("[data-back]").addEventListener("click", () => { tapped.value = tapped.value.slice(0, -1); });
}
const once = document.querySelector("[data-once]");
if (once) {
  let gone = false;
  once.addEventListener("submit", (event) => {
    if (gone) { event.preventDefault(); return; }
    gone = true;
    document.querySelector("[data-busy]").hidden = false;
  });
}
// The sum of the bills that are ticked; nothing ticked, nothing to pay.
const adds = document.querySelector("[data-adds]");
if (adds) {
  const boxes = [...adds.querySelectorAll("[data-fen]")];
  const add = () => {
    const fen = boxes.filter((box) => box.checked).reduce((sum, box) => sum + Number(box.dataset.fen), 0);
    const yuan = `${Math.floor(fen / 100)}`.replace(/\B(?=(\d{3})+$)/g, ",");
    adds.querySelector("[data-total]").textContent = `¥ ${yuan}.${String(fen % 100).padStart(2, "0")}`;
    adds.querySelector("button").disabled = fen === 0;
  };
  for (const box of boxes) box.addEventListener("change", add);
  add();
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
if (document.querySelector("[data-autoprint]")) {
  window.addEventListener("load", () => setTimeout(() => window.print(), 150));
}
const waiting = document.querySelector("[data-return-s]");
if (waiting) {
  const full = Number(waiting.dataset.returnS);
  const left = document.querySelector("[data-left]");
  let ends = Date.now() + full * 1000;
  const again = () => { ends = Date.now() + full * 1000; };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, again);
  setInterval(() => {
    const rest = Math.max(0, Math.ceil((ends - Date.now()) / 1000));
    if (left) left.textContent = String(rest);
    if (rest === 0) window.location.replace("/kiosk");
  }, 500);
}
// Nobody finds the last resident's page by going back.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.replace("/kiosk"); });

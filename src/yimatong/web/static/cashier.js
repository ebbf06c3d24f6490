// The cashier: one press is one payment, and on a phone the first visit jumps to the channel by itself.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
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
  if (jump) {
    const mark = `jumped.${jump.dataset.attempt}`;
    if (!window.sessionStorage.getItem(mark)) {
      window.sessionStorage.setItem(mark, "1");
      window.location.assign(jump.href);
    }
  }
  document.getElementById("outcome")?.focus({ preventScroll: true });
});

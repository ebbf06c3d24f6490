// Thresholds of matching: a slider beside each number, and what the weight means as a share, while one types.
"use strict";
(() => {
  const NEARLY = 1e9;
  const limits = (value, low, high) => Math.min(Math.max(value, low), high);
  const percent = (share) => {
    const all = 100 * share;
    if (all > 99.99) return "> 99.99 %";
    return all < 0.01 ? "< 0.01 %" : `${all.toFixed(2)} %`;
  };
  document.querySelectorAll("[data-threshold]").forEach((box) => {
    const number = box.querySelector("input[type=text]");
    const slider = box.querySelector("input[type=range]");
    const words = box.querySelector("output");
    const tell = () => {
      const bits = Number(number.value);
      if (!/^-?\d{1,2}(\.\d{1,3})?$/.test(number.value)) { words.textContent = "—"; return; }
      const share = 1 / (1 + 2 ** -bits);
      const wrong = share >= 0.5;
      const many = Math.round(Math.min(1 / (wrong ? 1 / (1 + 2 ** bits) : share), NEARLY));
      const odds = (wrong ? box.dataset.wrong : box.dataset.right).replace("{number}", many.toLocaleString("en"));
      words.textContent = `${percent(share)} · ${odds}`;
    };
    slider.hidden = false;
    slider.addEventListener("input", () => { number.value = slider.value; tell(); });
    number.addEventListener("input", () => {
      slider.value = String(limits(Number(number.value) || 0, Number(slider.min), Number(slider.max)));
      tell();
    });
  });
})();

// The meter in the header: how much of the device is in use. A click opens the system panel.

import { api } from "./api.js";
import { debounce, h, setText } from "./dom.js";
import { onJob, onLine } from "./store.js";
import { openSystem } from "./system.js";
import { gigabytes } from "./words.js";

const ASK_EVERY_MS = 15000;
const AFTER_A_CHANGE_MS = 1000;

export function memoryMeter() {
  const name = h("span", {});
  const fill = h("i", {});
  const words = h("span", { class: "ov-memory-words" });
  const meter = h("button", { type: "button", class: "ov-memory", hidden: true, "aria-haspopup": "dialog", onclick: openSystem }, name, h("span", { class: "ov-gauge", "aria-hidden": "true" }, fill), words);
  const draw = async () => {
    const answer = await api.device().catch(() => null);
    if (!answer) return; // the offline bar already says it; the last figures stay
    const { label, used, budget } = together(answer.devices);
    meter.hidden = !budget;
    if (!budget) return;
    setText(name, label);
    setText(words, `${gigabytes(used)}/${gigabytes(budget)}`);
    fill.style.transform = `scaleX(${Math.min(1, used / budget)})`;
    meter.title = `${gigabytes(used)} of ${gigabytes(budget)} GB are in use. What holds them?`;
    meter.setAttribute("aria-label", `${label}: ${gigabytes(used)} of ${gigabytes(budget)} GB in use. Open the system panel`);
  };
  const soon = debounce(draw, AFTER_A_CHANGE_MS);
  onJob((job, before) => (job.status !== before?.status || job.stage !== before?.stage) && soon());
  onLine((online) => online && draw());
  setInterval(() => document.hidden || draw(), ASK_EVERY_MS);
  return meter;
}

// Graphics cards count together; the computer's memory counts where there is no card.
function together(devices) {
  const cards = devices.filter((one) => one.device !== "cpu");
  const counted = cards.length ? cards : devices;
  const label = cards.length ? (cards.length > 1 ? `${cards.length} GPUs` : "GPU") : "Memory";
  const sum = (field) => counted.reduce((total, one) => total + one[field], 0);
  return { label, used: sum("used_bytes"), budget: sum("budget_bytes") };
}

// What a row of the jobs screen opens into: request, timings, receipt, the error with what to do, the pictures.

import { api } from "./api.js";
import { picture, reuse, view } from "./assets.js";
import { button, h } from "./dom.js";
import { copy } from "./overlays.js";
import { receiptRows } from "./receipt.js";
import { details as asText } from "./strip.js";
import { STAGES, advice, isFilm, length, moment, money, stageWord, took } from "./words.js";

export function details(job, trigger, act) {
  return [problem(job), h("div", { class: "ov-details-columns" }, request(job), timings(job), receipt(job)), pictures(job), deeds(job, trigger, act)].filter(Boolean);
}

function problem(job) {
  if (!job.error) return null;
  return h("div", { class: "ov-ended ov-failed" }, h("p", {}, job.error.message, " ", h("span", { class: "ov-advice" }, advice(job.error.code))), h("code", { class: "ov-code" }, job.error.code));
}

function list(title, rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("section", {}, h("h3", {}, title), h("dl", {}, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])));
}

function request(job) {
  const { config } = job;
  return list("Request", [
    ["Prompt", job.prompt],
    ["Rewritten", job.enhanced_prompt],
    ["Negative", job.negative_prompt],
    ["Size", `${config.width} × ${config.height} px`],
    ...(isFilm(config) ? [["Length", length(config)], ["Frames", `${config.frames}, ${config.fps} a second`]] : [["Pictures", config.count]]),
    ["Seed", config.seed],
    ["Steps", config.steps],
    ["Guidance", config.guidance],
    ["Scheduler", config.scheduler],
    ["Strength", config.strength],
    ["Reference", config.image ? (config.mask ? "a picture with a mask" : "yes") : null],
    ["Note", job.note],
  ]);
}

function timings(job) {
  const spent = STAGES.filter((stage) => `${stage}_s` in job.timings).map((stage) => [stageWord(stage), took(job.timings[`${stage}_s`])]);
  return list("Timings", [...spent, ["Ordered", moment(job.created_at)], ["Ended", job.finished_at ? moment(job.finished_at) : null], ["Attempts", job.attempt], ["GPU time", job.usage?.gpu_s ? took(job.usage.gpu_s) : null], ["Cost", job.usage?.gpu_s ? money(job.usage) : null], ["Job", job.id]]);
}

const receipt = (job) => (job.receipt ? list("Receipt", receiptRows(job.receipt)) : null);

function pictures(job) {
  if (!job.assets.length) return null;
  const name = (index) => (isFilm(job.config) ? "Film" : `Picture ${index + 1}`);
  const tiles = job.assets.map((assetId, index) =>
    h("div", { class: "ov-tile", style: { aspectRatio: `${job.config.width} / ${job.config.height}` } },
      h("button", { type: "button", class: "ov-tile-open", "aria-label": name(index), onclick: () => view(assetId, job.assets) }, picture(assetId, 256, name(index)))),
  );
  return h("div", { class: "ov-tiles ov-small" }, tiles);
}

function deeds(job, trigger, act) {
  const again = ["failed", "cancelled"].includes(job.status) ? button("Retry", () => act(() => api.retry(job.id))) : null;
  return h("div", { class: "ov-row" }, again, button("Reuse settings", () => reuse(trigger, { job_id: job.id })), button("Copy details", () => copy(asText(job), "The details are copied.")));
}

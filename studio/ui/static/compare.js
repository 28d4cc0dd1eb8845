// A picture or film beside the one that was made again from its receipt, and whether they are equal.

import { api, media, thumbnail } from "./api.js";
import { button, h, setText } from "./dom.js";
import { factWord, valueWords } from "./receipt.js";
import { getAsset, onJob, putAnswer } from "./store.js";
import { advice, stageWords } from "./words.js";

const HARDLY = 2;
const SMALLEST_PX = 384;
const NAMES = { first: "First", again: "Made again" };

// Draws itself into `stage` and `facts`; `leave` brings the viewer back to the one picture.
export class Comparison {
  constructor(asset, { stage, facts, leave }) {
    Object.assign(this, { asset, stage, facts, leave });
    this.left = h("div", { class: "ov-pair-place" });
    this.right = h("div", { class: "ov-pair-place" }, this.waiting());
    this.words = h("p", { class: "ov-verdict", role: "status" });
    this.about = h("div", { class: "ov-differences" });
    this.stage.replaceChildren(h("div", { class: "ov-pair" }, figure(NAMES.first, this.left), figure(NAMES.again, this.right)));
    this.facts.replaceChildren(
      h("div", { class: "ov-facts-scroll" }, h("h2", { class: "ov-compare-title" }, "Run again and compare"), this.words, this.about),
      h("div", { class: "ov-facts-actions" }, button("Back", () => this.leave(), { class: "ov-button ov-wide" })),
    );
    this.stage.firstElementChild.style.setProperty("--ov-ratio", String(asset.width / asset.height));
    this.stage.firstElementChild.style.setProperty("--ov-natural-w", `${Math.max(asset.width * 2, SMALLEST_PX)}px`);
    this.stop = onJob((job) => job.id === this.jobId && this.jobChanged(job));
  }

  close() {
    this.closed = true;
    this.stop();
  }

  // Orders it once more and shows both when it is done.
  async runAgain() {
    this.left.replaceChildren(large(this.asset, NAMES.first));
    setText(this.words, "Ordering it again…");
    try {
      const job = await putAnswer(() => api.runAgain(this.asset.id));
      this.jobId = job.id;
      this.jobChanged(job);
    } catch (error) {
      this.tell(error.message, "ov-bad");
    }
  }

  // `again` was made before; its first is looked for.
  async showAgain(firstId, again) {
    setText(this.words, "Comparing…");
    try {
      const first = await getAsset(firstId);
      if (first.gone) throw new Error("The first one was removed, so there is nothing to compare with.");
      this.left.replaceChildren(large(first, NAMES.first));
      await this.judge(first, again);
    } catch (error) {
      this.right.replaceChildren(large(again, NAMES.again));
      this.tell(error.status === 404 ? "The first one was removed, so there is nothing to compare with." : error.message, "ov-bad");
    }
  }

  jobChanged(job) {
    if (this.closed || this.ended) return;
    if (job.status === "pending") return setText(this.words, "It waits for its turn. You can close this: it goes on.");
    if (job.status === "processing") return setText(this.words, `${stageWords(job)}, ${Math.round(job.progress.fraction * 100)} %. You can close this: it goes on.`);
    this.ended = true;
    if (job.status !== "completed") return this.tell(job.error ? `${job.error.message} ${advice(job.error.code)}` : "It was cancelled.", "ov-bad");
    setText(this.words, "Comparing…");
    return getAsset(job.assets[0]).then((again) => this.judge(this.asset, again)).catch((error) => this.tell(error.message, "ov-bad"));
  }

  async judge(first, again) {
    this.right.replaceChildren(large(again, NAMES.again));
    inStep(this.stage);
    const found = await api.compare(first.id, again.id);
    if (this.closed) return;
    this.tell(verdict(found), found.equal ? "ov-good" : "");
    this.about.replaceChildren(...reasons(found));
  }

  tell(words, mood) {
    setText(this.words, words);
    this.words.className = `ov-verdict ${mood}`;
    if (mood === "ov-bad") this.right.querySelector(".ov-waiting")?.classList.remove("ov-waiting");
  }

  waiting() {
    return h("div", { class: "ov-pair-waiting ov-waiting", style: { aspectRatio: `${this.asset.width} / ${this.asset.height}` } });
  }
}

const figure = (name, place) => h("figure", {}, place, h("figcaption", {}, name));

function large(asset, name) {
  const film = asset.kind === "video";
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const node = film
    ? h("video", { src: media(asset.id), poster: thumbnail(asset.id, 768), "aria-label": name, controls: true, loop: true, autoplay: !still, muted: true, playsInline: true })
    : h("img", { src: media(asset.id), alt: name, class: "ov-large" });
  node.style.aspectRatio = `${asset.width} / ${asset.height}`;
  return node;
}

// Both films begin together, so that an eye can go from one to the other.
function inStep(stage) {
  const films = [...stage.querySelectorAll("video")];
  if (films.length === 2) films[1].addEventListener("playing", () => films.forEach((film) => (film.currentTime = 0)), { once: true });
}

export function verdict({ equal, what, largest_difference: largest, share_different: share }) {
  if (equal) return what === "frames" ? "Equal, frame for frame and pixel for pixel." : "Equal, pixel for pixel.";
  if (largest === null) return "They differ in size, so their pixels cannot be compared.";
  const amount = `${percent(share)} of the pixels differ, by at most ${largest} of 255.`;
  return largest <= HARDLY ? `The same to the eye: ${amount}` : `Different: ${amount}`;
}

const percent = (share) => (share > 0 && share < 0.001 ? "Less than 0.1 %" : `${(share * 100).toFixed(1)} %`);

function reasons({ equal, differences }) {
  if (!differences.length) return [h("p", { class: "ov-quiet" }, "Both receipts say the same: checkpoint, plan, settings, device and versions.")];
  const rows = differences.map(({ fact, before, after }) => h("tr", {}, h("th", { scope: "row" }, factWord(fact)), h("td", {}, valueWords(before)), h("td", {}, valueWords(after))));
  const lead = equal ? "Made differently, with the same outcome:" : "What was different when it was made again:";
  const head = h("thead", {}, h("tr", {}, ["", NAMES.first, NAMES.again].map((name) => h("th", { scope: "col" }, name))));
  return [h("p", { class: "ov-quiet" }, lead), h("table", { class: "ov-difference-table" }, head, h("tbody", {}, rows))];
}

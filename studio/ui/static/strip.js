// One job in the feed: a live card while it waits or runs, then its pictures or film, or what went wrong.

import { api } from "./api.js";
import { reuse, tile, view } from "./assets.js";
import { button, h, icon, iconButton, setText } from "./dom.js";
import { copy, failed, menu } from "./overlays.js";
import { assets, getAsset, putAnswer, runEstimate } from "./store.js";
import { advice, ago, ahead, isFilm, isLoading, length, loadedShare, seconds, stageWords, typeName } from "./words.js";

const act = async (call) => {
  try {
    await putAnswer(call);
  } catch (error) {
    failed(error);
  }
};

// A film has one wide tile, as high as two rows of pictures at most.
function tilesRow(config, count, props = {}, tiles = []) {
  const row = h("div", { class: `ov-tiles${isFilm(config) ? " ov-film-row" : ""}`, ...props }, tiles);
  row.style.setProperty("--ov-n", String(count));
  row.style.setProperty("--ov-ratio", String(config.width / config.height));
  return row;
}

export class Strip {
  constructor(job, trigger) {
    this.trigger = trigger;
    this.tiles = new Map();
    this.meta = h("p", { class: "ov-strip-meta" });
    this.told = h("div", { class: "ov-told" });
    this.actions = h("div", { class: "ov-strip-actions" });
    this.body = h("div", { class: "ov-strip-body" });
    this.title = h("h3", { class: "ov-strip-prompt", title: job.prompt }, job.prompt);
    this.node = h(
      "article",
      { class: "ov-strip", dataset: { job: job.id }, "aria-label": `Job: ${job.prompt}` },
      h("header", {}, h("div", { class: "ov-strip-words" }, this.title, this.meta, this.told), this.actions),
      this.body,
    );
    this.update(job);
  }

  update(job) {
    const shape = `${job.status}:${job.assets.length}:${job.cancel_requested}`;
    this.job = job;
    this.node.dataset.status = job.status;
    if (shape !== this.shape) {
      this.shape = shape;
      this.rebuild();
    }
    this.tellRewriting();
    this.patch();
    this.tick();
  }

  // The rewritten prompt, a line long until one opens it; or why there is none.
  tellRewriting() {
    const { enhanced_prompt: rewritten, note } = this.job;
    if (rewritten === this.toldPrompt && note === this.toldNote) return;
    Object.assign(this, { toldPrompt: rewritten, toldNote: note });
    const open = rewritten ? h("details", { class: "ov-rewritten" }, h("summary", { title: "The prompt as it was rewritten" }, icon("sparkle"), h("span", { class: "ov-unseen" }, "Rewritten prompt: "), rewritten)) : null;
    this.told.replaceChildren(...[open, note ? h("p", { class: "ov-note" }, note) : null].filter(Boolean));
  }

  get live() {
    return this.job.status === "pending" || this.job.status === "processing";
  }

  rebuild() {
    const { status } = this.job;
    this.tiles.clear();
    this.previews = [];
    this.progress = null;
    if (this.live) this.body.replaceChildren(this.waitingTiles(), this.progressLine());
    else if (status === "completed") this.body.replaceChildren(this.finished());
    else this.body.replaceChildren(this.ended());
    this.actions.replaceChildren(...this.buttons());
  }

  buttons() {
    const { job } = this;
    const more = iconButton("more", "More actions", () => menu(more, this.entries()), { "aria-haspopup": "menu" });
    if (!this.live) return [more];
    const cancel = iconButton("close", "Cancel this job", () => act(() => api.cancel(job.id)), { disabled: job.cancel_requested });
    return [more, cancel];
  }

  entries() {
    const { job } = this;
    const entries = [
      { label: "Reuse settings", icon: "reuse", run: () => reuse(this.trigger, { job_id: job.id }) },
      { label: "Copy prompt", icon: "copy", run: () => copy(job.prompt, "The prompt is copied.") },
    ];
    if (job.status === "failed" || job.status === "cancelled") entries.push({ label: "Retry", icon: "restore", run: () => act(() => api.retry(job.id)) });
    return entries;
  }

  waitingTiles() {
    const { config } = this.job;
    this.previews = Array.from({ length: config.count }, () => h("div", { class: "ov-tile ov-waiting", style: { aspectRatio: `${config.width} / ${config.height}` } }));
    return tilesRow(config, config.count, { "aria-hidden": "true" }, this.previews);
  }

  progressLine() {
    this.progress = {
      bar: h("div", { class: "ov-bar-fill" }),
      words: h("span", {}),
      left: h("span", { class: "ov-left" }),
    };
    const { bar, words, left } = this.progress;
    this.meter = h("div", { class: "ov-bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
    return h("div", { class: "ov-progress" }, this.meter, h("p", { class: "ov-progress-words" }, words, left));
  }

  finished() {
    const ids = this.job.assets;
    const row = tilesRow(this.job.config, ids.length);
    ids.forEach((assetId, index) => {
      const holder = h("div", { class: "ov-tile ov-waiting", style: { aspectRatio: `${this.job.config.width} / ${this.job.config.height}` } });
      row.append(holder);
      getAsset(assetId).then(
        (asset) => this.show(holder, asset, index),
        () => holder.remove(),
      );
    });
    return row;
  }

  show(holder, asset, index) {
    if (asset.trashed_at) {
      holder.remove();
      return;
    }
    const made = tile(asset, {
      trigger: this.trigger,
      label: asset.kind === "video" ? `Film: ${this.job.prompt}` : `Picture ${index + 1} of ${this.job.assets.length}: ${this.job.prompt}`,
      size: asset.kind === "video" ? 768 : 256,
      open: (assetId) => view(assetId, this.visibleIds()),
    });
    this.tiles.set(asset.id, made);
    holder.replaceWith(made.node);
  }

  visibleIds() {
    return this.job.assets.filter((assetId) => this.tiles.has(assetId));
  }

  assetChanged(asset) {
    const made = this.tiles.get(asset.id);
    if (made && asset.trashed_at) {
      made.node.remove();
      this.tiles.delete(asset.id);
    } else if (made) made.refresh();
    else if (this.job.assets.includes(asset.id) && !asset.trashed_at && this.job.status === "completed" && this.node.isConnected) this.bringBack();
  }

  bringBack() {
    if (this.job.assets.every((assetId) => assets.has(assetId))) this.rebuild();
  }

  ended() {
    const { job } = this;
    if (job.status === "cancelled") return h("p", { class: "ov-ended" }, "Cancelled. Nothing was kept of it. ", button("Retry", () => act(() => api.retry(job.id))));
    const error = job.error ?? { code: "internal", message: "The job failed." };
    return h(
      "div",
      { class: "ov-ended ov-failed", role: "alert" },
      h("p", {}, error.message, " ", h("span", { class: "ov-advice" }, advice(error.code))),
      h(
        "div",
        { class: "ov-row" },
        button("Retry", () => act(() => api.retry(job.id))),
        button("Copy details", () => copy(details(job), "The details are copied.")),
        h("code", { class: "ov-code" }, error.code),
      ),
    );
  }

  patch() {
    const { job } = this;
    const { config } = job;
    const amount = isFilm(config) ? length(config) : config.count > 1 ? `${config.count} pictures` : null;
    setText(this.meta, [typeName(job.type), `${config.width}×${config.height}`, amount, `seed ${config.seed}`, config.again_of ? "made again" : null, ago(job.created_at)].filter(Boolean).join(" · "));
    if (!this.progress) return;
    const loading = isLoading(job);
    const fraction = loading ? loadedShare(job) : job.progress.fraction;
    this.progress.bar.style.transform = `scaleX(${job.status === "processing" ? Math.max(fraction, 0.02) : 0})`;
    this.meter.classList.toggle("ov-loading", loading);
    this.meter.setAttribute("aria-label", loading ? "Loading the model" : "Progress");
    this.meter.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
    if (job.preview_url && job.preview_url !== this.shownPreview) this.showPreview(job.preview_url);
    if (job.status === "pending") runEstimate(job).then((run) => this.setRun(run));
  }

  setRun(run) {
    this.runSeconds = run;
    this.tick();
  }

  // The sprite holds a square tile a picture, side by side; it is shown once it has arrived, so that nothing flickers.
  // Of a film it is a few moving frames.
  showPreview(url) {
    this.shownPreview = url;
    const sprite = new Image();
    sprite.onload = () => {
      if (isFilm(this.job.config)) return this.showMoving(sprite);
      const last = Math.max(this.previews.length - 1, 1);
      this.previews.forEach((node, index) => {
        Object.assign(node.style, {
          backgroundImage: `url("${sprite.src}")`,
          backgroundSize: `${this.previews.length * 100}% 100%`,
          backgroundPosition: `${(index / last) * 100}% 0`,
        });
        node.classList.add("ov-preview");
      });
      return undefined;
    };
    sprite.src = url;
  }

  showMoving(preview) {
    const [tile] = this.previews;
    if (!tile) return;
    tile.classList.add("ov-preview");
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      const still = h("canvas", { class: "ov-fill" });
      still.width = preview.naturalWidth;
      still.height = preview.naturalHeight;
      still.getContext("2d").drawImage(preview, 0, 0);
      tile.replaceChildren(still);
    } else {
      preview.className = "ov-fill";
      preview.alt = "";
      tile.replaceChildren(preview);
    }
  }

  // Between two reports the time left counts down by itself.
  tick() {
    if (!this.progress) return;
    const { job } = this;
    const since = (performance.now() - job.receivedAt) / 1000;
    const left = job.progress.eta_s === null ? null : Math.max(0, job.progress.eta_s - since);
    setText(this.progress.words, job.status === "pending" ? this.waitingWords(left) : this.runningWords());
    const counts = job.status === "processing" && left !== null && !job.cancel_requested;
    setText(this.progress.left, counts ? (left < 1 ? "almost done" : `${seconds(left)} left`) : "");
  }

  waitingWords(left) {
    const { job } = this;
    const line = ahead(job.progress.queue_position);
    const ready = job.enhanced_prompt && job.lane !== "qwen" ? "Prompt rewritten. " : "";
    if (left === null) return `${ready}Waiting: ${line}`;
    const start = this.runSeconds ? left - this.runSeconds : left;
    return start < 2 ? `${ready}Starts in a moment, ${line}` : `${ready}Starts in about ${seconds(start)}, ${line}`;
  }

  runningWords() {
    const { job } = this;
    if (job.cancel_requested) return "Stopping at the next step";
    const again = job.attempt > 1 ? ` · attempt ${job.attempt}` : "";
    const steps = job.progress.steps && job.stage === "denoising" ? ` · step ${job.progress.step}/${job.progress.steps}` : "";
    return `${stageWords(job)}${steps}${again}`;
  }
}

// The whole job as the API tells it, without what this page notes beside it.
export function details(job) {
  const { revision: _revision, receivedAt: _receivedAt, ...told } = job;
  return JSON.stringify(told, null, 2);
}

// The viewer: one picture or film large, its facts beside it. Arrows move, space plays, Esc closes, `?asset=<id>` opens.

import { api, download, media, thumbnail } from "./api.js";
import { asReference, discard, favourite, purge, restore, reuse } from "./assets.js";
import { Comparison } from "./compare.js";
import { button, h, icon, iconButton } from "./dom.js";
import { copy, raiseToasts } from "./overlays.js";
import { receiptRows } from "./receipt.js";
import { assets, getAsset, jobs, onAsset, putAnswer } from "./store.js";
import { fileSize, length, moment, took, typeName } from "./words.js";

const SWIPE_PX = 48;
const SMALLEST_PX = 384;

export function mount({ element, trigger }) {
  const viewer = new Viewer(trigger);
  element.replaceChildren(viewer.dialog);
  document.addEventListener("ov:view", (event) => viewer.open(event.detail.assetId, event.detail.ids));
  window.addEventListener("popstate", () => viewer.followAddress());
  onAsset((asset) => viewer.assetChanged(asset));
  viewer.followAddress();
}

const inAddress = () => new URLSearchParams(location.search).get("asset");

class Viewer {
  constructor(trigger) {
    this.trigger = trigger;
    this.ids = [];
    this.stage = h("div", { class: "ov-stage" });
    this.facts = h("div", { class: "ov-facts" });
    this.place = h("span", { class: "ov-quiet" });
    this.before = iconButton("left", "Previous", () => this.move(-1), { class: "ov-icon-only ov-arrow ov-arrow-left" });
    this.after = iconButton("right", "Next", () => this.move(1), { class: "ov-icon-only ov-arrow ov-arrow-right" });
    const close = iconButton("close", "Close", () => this.dialog.close());
    this.dialog = h(
      "dialog",
      { class: "ov-viewer", "aria-label": "Viewer", tabindex: "-1" },
      h("div", { class: "ov-stage-side" }, this.before, this.stage, this.after),
      h("aside", { class: "ov-facts-side", "aria-label": "Facts" }, h("header", {}, this.place, close), this.facts),
    );
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("click", (event) => event.target === this.stage && this.dialog.close());
    this.swipes();
  }

  followAddress() {
    const assetId = inAddress();
    if (assetId && assetId !== this.current) this.open(assetId, [assetId]);
    else if (!assetId && this.dialog.open) this.dialog.close();
  }

  async open(assetId, ids = [assetId]) {
    this.ids = ids.includes(assetId) ? ids : [assetId];
    if (!this.dialog.open) {
      this.dialog.showModal();
      this.dialog.focus({ preventScroll: true }); // and not a button, which space would press
    }
    document.documentElement.classList.add("ov-viewing");
    await this.show(assetId);
  }

  async show(assetId) {
    this.endComparison();
    this.current = assetId;
    this.setAddress(assetId);
    const at = this.ids.indexOf(assetId);
    this.before.hidden = at <= 0;
    this.after.hidden = at >= this.ids.length - 1;
    if (!this.dialog.contains(document.activeElement)) this.dialog.focus({ preventScroll: true }); // an arrow that left
    this.place.textContent = this.ids.length > 1 ? `${at + 1} of ${this.ids.length}` : "";
    if (!assets.has(assetId)) {
      this.stage.replaceChildren(h("div", { class: "ov-stage-skeleton" }));
      this.facts.replaceChildren();
    }
    try {
      const asset = await getAsset(assetId);
      if (this.current === assetId) asset.gone ? this.missing({ status: 404 }) : this.draw(asset);
    } catch (error) {
      if (this.current === assetId) this.missing(error);
    }
  }

  missing(error) {
    const words = error.status === 404 ? "This picture is not here: it was removed, or it belongs to somebody else." : error.message;
    this.stage.replaceChildren(h("p", { class: "ov-quiet", role: "alert" }, words));
    this.facts.replaceChildren(button("Close", () => this.dialog.close()));
  }

  draw(asset) {
    if (this.drawn !== asset.id) {
      this.stage.replaceChildren(this.large(asset));
      this.preload(asset.id);
    }
    this.drawn = asset.id;
    this.drawFacts(asset, jobs.get(asset.job_id));
    if (!jobs.has(asset.job_id)) putAnswer(() => api.job(asset.job_id)).then((job) => this.jobCame(asset, job), () => {});
  }

  jobCame(asset, job) {
    if (this.current === asset.id) this.drawFacts(assets.get(asset.id) ?? asset, job);
  }

  large(asset) {
    const node = asset.kind === "video" ? this.film(asset) : h("img", { src: media(asset.id), alt: asset.prompt, class: "ov-large" });
    node.width = asset.width;
    node.height = asset.height;
    node.style.aspectRatio = `${asset.width} / ${asset.height}`;
    node.style.backgroundImage = `url("${thumbnail(asset.id, 256)}")`;
    // Small originals grow to twice their size and no further; large ones shrink to fit.
    node.style.setProperty("--ov-natural-w", `${Math.max(asset.width * 2, SMALLEST_PX)}px`);
    node.style.setProperty("--ov-ratio", String(asset.width / asset.height));
    return node;
  }

  // Muted, or browsers would not let it begin by itself; films have no sound yet anyway.
  film(asset) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const video = h("video", { src: media(asset.id), poster: thumbnail(asset.id, 768), "aria-label": asset.prompt, controls: true, loop: true, autoplay: !still, muted: true, playsInline: true });
    const trouble = h("p", { class: "ov-quiet", role: "alert" }, "This film cannot be played here. You can download it.");
    video.addEventListener("error", () => video.replaceWith(trouble));
    return video;
  }

  preload(assetId) {
    const at = this.ids.indexOf(assetId);
    for (const near of [this.ids[at + 1], this.ids[at - 1]]) if (near) new Image().src = assets.get(near)?.kind === "video" ? thumbnail(near, 768) : media(near);
  }

  drawFacts(asset, job) {
    if (this.comparison) return;
    const config = job?.config;
    const rows = [
      ["Type", typeName(asset.job_type)],
      ["Size", `${asset.width} × ${asset.height} px`],
      ["Length", asset.frames && asset.fps ? length(asset) : null],
      ["Frames", asset.frames && asset.fps ? `${asset.frames}, ${asset.fps} a second` : null],
      ["Seed", String(asset.seed)],
      ["Steps", job?.receipt?.steps ?? config?.steps],
      ["Guidance scale", config?.guidance],
      ["Scheduler", job?.receipt?.scheduler ?? config?.scheduler],
      ["Denoising strength", config?.strength],
      ["Took", job?.timings ? took(workSeconds(job.timings)) : null],
      ["Made", moment(asset.created_at)],
      ["File", `${asset.mime_type.split("/")[1].toUpperCase()}, ${fileSize(asset.bytes)}`],
    ];
    this.facts.replaceChildren(
      h("div", { class: "ov-facts-scroll" }, ...texts(asset), job?.note ? h("p", { class: "ov-note" }, job.note) : null, list(rows), receipt(job)),
      this.actionsOf(asset, config?.again_of),
    );
  }

  actionsOf(asset, firstId) {
    if (asset.trashed_at) {
      const forever = labelled("trash", "Delete forever", () => this.leaving(asset, purge), "ov-danger ov-wide");
      return h("div", { class: "ov-facts-actions" }, labelled("restore", "Restore", () => restore([asset]), "ov-primary"), forever);
    }
    const star = labelled("star", asset.favourite ? "Favourite" : "Add to favourites", () => favourite(assets.get(asset.id)), `ov-star${asset.favourite ? " ov-on" : ""}`);
    star.setAttribute("aria-pressed", String(asset.favourite));
    return h(
      "div",
      { class: "ov-facts-actions" },
      star,
      h("a", { class: "ov-button", href: download(asset.id), download: true }, icon("download"), "Download"),
      labelled("reuse", "Reuse settings", () => this.leave(() => reuse(this.trigger, { job_id: asset.job_id, seed: asset.seed }))),
      labelled("reference", "Use as reference", () => this.leave(() => asReference(asset))),
      firstId
        ? labelled("compare", "Compare with the first", () => this.compare(asset, (comparison) => comparison.showAgain(firstId, asset)), "ov-again")
        : labelled("compare", "Run again and compare", () => this.compare(asset, (comparison) => comparison.runAgain()), "ov-again"),
      labelled("trash", "Delete", () => this.leaving(asset, discard), "ov-danger"),
    );
  }

  compare(asset, begin) {
    this.endComparison();
    this.before.hidden = this.after.hidden = true;
    this.drawn = null;
    this.comparison = new Comparison(asset, { stage: this.stage, facts: this.facts, leave: () => this.show(asset.id) });
    begin(this.comparison);
    this.dialog.focus({ preventScroll: true }); // the button is gone
  }

  endComparison() {
    this.comparison?.close();
    this.comparison = null;
  }

  leave(then) {
    this.dialog.close();
    then();
  }

  // `remove` asks first; then the viewer goes on to the neighbour.
  async leaving(asset, remove) {
    if (!(await remove([asset]))) return;
    const at = this.ids.indexOf(asset.id);
    this.ids = this.ids.filter((known) => known !== asset.id);
    if (this.ids.length) this.show(this.ids[Math.min(at, this.ids.length - 1)]);
    else this.dialog.close();
  }

  assetChanged(asset) {
    if (this.dialog.open && !asset.gone && asset.id === this.current && this.drawn === asset.id) this.drawFacts(asset, jobs.get(asset.job_id));
  }

  move(step) {
    const next = this.ids[this.ids.indexOf(this.current) + step];
    if (next) this.show(next);
  }

  key(event) {
    // A film that has the focus itself keeps its own keys: space plays, arrows seek.
    if (event.target.closest("input, textarea, select, video, .ov-menu")) return undefined;
    if (event.key === " " && !event.target.closest("button, a")) return this.playOrPause(event);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return undefined;
    event.preventDefault();
    return this.move(step);
  }

  playOrPause(event) {
    const film = this.stage.querySelector("video");
    if (!film) return;
    event.preventDefault();
    if (film.paused) film.play();
    else film.pause();
  }

  swipes() {
    let from = null;
    this.stage.addEventListener("pointerdown", (event) => (from = event.pointerType === "touch" ? event.clientX : null));
    this.stage.addEventListener("pointerup", (event) => {
      const by = from === null ? 0 : event.clientX - from;
      if (Math.abs(by) > SWIPE_PX) this.move(by < 0 ? 1 : -1);
    });
  }

  setAddress(assetId) {
    const address = new URL(location.href);
    if (assetId) address.searchParams.set("asset", assetId);
    else address.searchParams.delete("asset");
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }

  closed() {
    const { current } = this;
    this.endComparison();
    this.current = null;
    this.drawn = null;
    this.stage.replaceChildren();
    raiseToasts();
    document.documentElement.classList.remove("ov-viewing");
    this.setAddress(null);
    document.querySelector(`.ov-tile[data-asset="${CSS.escape(current ?? "")}"] .ov-tile-open`)?.focus({ preventScroll: true });
  }
}

const workSeconds = (timings) => Object.entries(timings).filter(([name]) => name !== "queued_s").reduce((sum, [, value]) => sum + value, 0);

const known = (rows) => rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
const list = (rows) => h("dl", {}, known(rows).map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));

function receipt(job) {
  if (!job?.receipt || !known(receiptRows(job.receipt)).length) return null;
  const all = () => copy(JSON.stringify(job.receipt, null, 2), "The receipt is copied.");
  return h("section", { class: "ov-receipt" }, h("h3", {}, "Receipt", iconButton("copy", "Copy the whole receipt", all)), list(receiptRows(job.receipt)));
}

function texts(asset) {
  const named = [["Prompt", asset.prompt], ["Rewritten prompt", asset.enhanced_prompt], ["Negative prompt", asset.negative_prompt]];
  return named.filter(([, text]) => text).map(([name, text]) =>
    h("section", { class: "ov-text" }, h("h3", {}, name, iconButton("copy", `Copy ${name.toLowerCase()}`, () => copy(text, `${name} copied.`))), h("p", {}, text)),
  );
}

function labelled(name, label, run, extra = "") {
  return h("button", { type: "button", class: `ov-button ${extra}`, onclick: run }, icon(name), label);
}

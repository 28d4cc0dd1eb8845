// The feed: a strip a job, newest first, kept live by the event stream.

import { button, h, icon } from "./dom.js";
import { isOnline, jobs, loadAssets, loadJobs, onAsset, onJob, onLine, putJob, start } from "./store.js";
import { Strip } from "./strip.js";

const PAGE = 20;
const TICK_MS = 500;
const EXAMPLES = [
  { prompt: "a red balloon over the sea at sunset", kind: "image" },
  { prompt: "a snowy village house at night under the moon", kind: "image" },
  { prompt: "a red boat sails left at sunset", kind: "video" },
];

export function mount({ element, trigger, props, watch }) {
  new Feed(element, trigger, props, watch).begin();
}

class Feed {
  constructor(element, trigger, props, watch) {
    Object.assign(this, { element, trigger, props, watch });
    this.strips = new Map();
    this.cursor = null;
    this.list = h("div", { class: "ov-strips", role: "feed", "aria-label": "Your jobs", "aria-busy": "true" });
    this.foot = h("div", { class: "ov-foot" });
  }

  begin() {
    this.element.replaceChildren(this.list, this.foot);
    this.list.append(...Array.from({ length: 2 }, skeletonStrip));
    this.watch("value", () => this.submitted());
    onJob((job) => this.take(job));
    onAsset((asset) => this.stripOf(asset.job_id)?.assetChanged(asset));
    onLine((online) => online && this.failed && this.more());
    start();
    setInterval(() => this.strips.forEach((strip) => strip.live && strip.tick()), TICK_MS);
    setInterval(() => this.strips.forEach((strip) => strip.patch()), 60000);
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.cursor && this.more(), { rootMargin: "600px" }).observe(this.foot);
    this.more();
  }

  stripOf(jobId) {
    return this.strips.get(jobId);
  }

  submitted() {
    const job = this.props.value;
    if (!job?.id) return;
    if (!jobs.has(job.id)) putJob(job); // else the stream was quicker
    if (matchMedia("(max-width: 767px)").matches) this.stripOf(job.id)?.node.scrollIntoView({ block: "start", behavior: "smooth" });
    else window.scrollTo({ top: 0 });
  }

  // Jobs older than what is listed wait for their page.
  take(job) {
    const known = this.stripOf(job.id);
    if (known) known.update(job);
    else if (!this.oldest || job.id > this.oldest || !this.cursor) this.insert(job);
  }

  insert(job) {
    const strip = new Strip(job, this.trigger);
    this.strips.set(job.id, strip);
    this.list.querySelector(".ov-empty")?.remove();
    const after = [...this.list.children].find((node) => node.dataset.job && node.dataset.job < job.id);
    this.list.insertBefore(strip.node, after ?? null);
  }

  async more() {
    if (this.loading) return;
    this.loading = true;
    try {
      const first = !this.strips.size && !this.cursor;
      if (first) await loadAssets({ limit: 60 }).catch(() => {});
      const page = await loadJobs({ limit: PAGE, cursor: this.cursor });
      this.clearSkeletons();
      this.oldest = page.items.at(-1)?.id ?? this.oldest;
      this.cursor = page.next;
      for (const job of page.items) if (!this.stripOf(job.id)) this.insert(jobs.get(job.id));
      this.failed = false;
      this.foot.replaceChildren(...(this.cursor ? [h("p", { class: "ov-quiet" }, "Older jobs below")] : []));
      if (!this.strips.size) this.list.replaceChildren(this.empty());
    } catch (error) {
      this.clearSkeletons();
      this.failed = true;
      const words = isOnline() ? error.message : "Your jobs cannot be listed while the studio is out of reach. They go on.";
      this.foot.replaceChildren(h("div", { class: "ov-problem", role: "alert" }, h("p", {}, words), button("Try again", () => this.more())));
    } finally {
      this.loading = false;
      this.list.setAttribute("aria-busy", "false");
    }
  }

  clearSkeletons() {
    this.list.querySelectorAll(".ov-strip-skeleton").forEach((node) => node.remove());
  }

  empty() {
    const examples = EXAMPLES.map((example) => {
      const film = example.kind === "video" ? [icon("film"), h("span", { class: "ov-unseen" }, "Film: ")] : [];
      return button([...film, h("span", { class: "ov-example-prompt" }, example.prompt)], () => this.example(example), { class: "ov-example" });
    });
    return h(
      "div",
      { class: "ov-empty" },
      h("h2", {}, "What should it show?"),
      h("p", {}, "Write a prompt and press Generate: six pictures appear here in seconds. Or start from one of these."),
      h("div", { class: "ov-examples" }, examples),
    );
  }

  example(example) {
    this.trigger("example", example);
    document.querySelector("#prompt textarea")?.focus();
  }
}

function skeletonStrip() {
  const tiles = Array.from({ length: 6 }, () => h("div", { class: "ov-tile ov-waiting", style: { aspectRatio: "1" } }));
  return h("div", { class: "ov-strip ov-strip-skeleton", "aria-hidden": "true" }, h("div", { class: "ov-line-skeleton" }), h("div", { class: "ov-tiles" }, tiles));
}

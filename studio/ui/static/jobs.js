// The jobs screen: counts, filters, and a row a job that opens into its details.

import { api } from "./api.js";
import { button, debounce, h, icon, iconButton, setText } from "./dom.js";
import { details } from "./job_details.js";
import { failed } from "./overlays.js";
import { jobs, loadJobs, onJob, putAnswer, start } from "./store.js";
import { STAGES, ago, ahead, isLoading, loadedShare, loadingPart, seconds, stageWord, stageWords, statusWord, took, typeName } from "./words.js";

const PAGE = 50;
const STATUSES = ["pending", "processing", "completed", "failed", "cancelled"];

export function mount({ element, trigger, props }) {
  new Jobs(element, trigger, props.value?.job_types ?? []).begin();
}

class Jobs {
  constructor(element, trigger, types) {
    Object.assign(this, { element, trigger, types });
    this.filters = { status: "", job_type: "" };
    this.rows = new Map();
    this.summary = h("div", { class: "ov-summary", "aria-live": "polite" });
    this.body = h("div", { class: "ov-table-body", role: "rowgroup" });
    this.foot = h("div", { class: "ov-foot" });
    this.recount = debounce(() => this.count(), 300);
  }

  begin() {
    const head = h("div", { class: "ov-table-row ov-table-head", role: "row" }, ["Status", "Prompt", "Type", "Time", "Stages", "Tries", ""].map((name) => h("span", { role: "columnheader" }, name)));
    this.element.replaceChildren(this.summary, this.toolbar(), h("div", { class: "ov-table", role: "table", "aria-label": "Jobs" }, head, this.body), this.foot);
    start();
    onJob((job) => this.take(job));
    setInterval(() => this.rows.forEach((row) => row.tick()), 1000);
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.cursor && this.more(), { rootMargin: "600px" }).observe(this.foot);
    this.reload();
  }

  toolbar() {
    const status = ["", ...STATUSES].map((value) => {
      const chip = h("button", { type: "button", class: "ov-button ov-toggle", "aria-pressed": String(value === ""), dataset: { status: value } }, value ? statusWord(value) : "All");
      chip.addEventListener("click", () => {
        status.forEach((other) => other.setAttribute("aria-pressed", String(other === chip)));
        this.filter("status", value);
      });
      return chip;
    });
    const type = h("select", { class: "ov-input", "aria-label": "Type", onchange: (event) => this.filter("job_type", event.target.value) }, h("option", { value: "" }, "All types"), this.types.map((row) => h("option", { value: row.type }, typeName(row.type))));
    return h("div", { class: "ov-toolbar" }, h("div", { class: "ov-chips", role: "group", "aria-label": "Status" }, status), h("span", { class: "ov-spring" }), h("span", { class: "ov-select" }, type, icon("down")));
  }

  filter(name, value) {
    this.filters = { ...this.filters, [name]: value };
    this.reload();
  }

  reload() {
    this.round = (this.round ?? 0) + 1;
    this.cursor = null;
    this.loading = false;
    this.rows.clear();
    this.body.replaceChildren(...Array.from({ length: 5 }, () => h("div", { class: "ov-row-skeleton", "aria-hidden": "true" })));
    this.foot.replaceChildren();
    this.count();
    this.more(true);
  }

  async more(fresh = false) {
    if (this.loading) return;
    const { round } = this;
    this.loading = true;
    try {
      const page = await loadJobs({ ...this.filters, limit: PAGE, cursor: this.cursor });
      if (round !== this.round) return;
      if (fresh) this.body.querySelectorAll(".ov-row-skeleton").forEach((node) => node.remove());
      this.cursor = page.next;
      this.oldest = page.items.at(-1)?.id;
      page.items.forEach((job) => this.put(jobs.get(job.id)));
      this.drawFoot();
    } catch (error) {
      if (round !== this.round) return;
      if (fresh) this.body.replaceChildren();
      this.foot.replaceChildren(h("div", { class: "ov-problem", role: "alert" }, h("p", {}, error.message), button("Try again", () => this.more(fresh))));
    } finally {
      if (round === this.round) this.loading = false;
    }
  }

  drawFoot() {
    if (this.cursor) return this.foot.replaceChildren(h("p", { class: "ov-quiet" }, "Older jobs below"));
    if (this.rows.size) return this.foot.replaceChildren();
    const filtered = this.filters.status || this.filters.job_type;
    const title = filtered ? "No job fits these filters" : "No jobs yet";
    const text = filtered ? "Choose another status or type." : "What you generate in the workspace is listed here, with how long each stage took.";
    return this.foot.replaceChildren(h("div", { class: "ov-empty" }, h("h2", {}, title), h("p", {}, text)));
  }

  async count() {
    try {
      const now = await api.summary();
      const parts = [["running", now.running], ["waiting", now.waiting], ["done today", now.done_today], ["failed today", now.failed_today]];
      this.summary.replaceChildren(...parts.map(([name, value]) => h("span", { class: `ov-stat ov-stat-${name.split(" ")[0]}${value ? "" : " ov-zero"}` }, h("strong", {}, String(value)), ` ${name}`)));
    } catch {
      // The offline bar already says it; the last numbers stay.
    }
  }

  fits(job) {
    return (!this.filters.status || job.status === this.filters.status) && (!this.filters.job_type || job.type === this.filters.job_type);
  }

  take(job) {
    this.recount();
    const known = this.rows.get(job.id);
    if (known && !this.fits(job)) {
      known.node.remove();
      this.rows.delete(job.id);
    } else if (known) known.update(job);
    else if (this.fits(job) && !this.loading && (!this.cursor || job.id > this.oldest)) this.put(job);
    else return;
    if (!this.loading) this.drawFoot();
  }

  put(job) {
    if (this.rows.has(job.id)) return this.rows.get(job.id).update(job);
    const row = new Row(job, this.trigger);
    this.rows.set(job.id, row);
    const after = [...this.body.children].find((node) => node.dataset.job && node.dataset.job < job.id);
    return this.body.insertBefore(row.node, after ?? null);
  }
}

class Row {
  constructor(job, trigger) {
    this.trigger = trigger;
    this.pill = h("span", { class: "ov-pill" });
    this.time = h("span", { class: "ov-cell-time", role: "cell" });
    this.stages = h("span", { class: "ov-cell-stages", role: "cell" });
    this.tries = h("span", { class: "ov-cell-tries", role: "cell" });
    this.actions = h("span", { class: "ov-cell-actions", role: "cell" });
    this.opener = h("button", { type: "button", class: "ov-row-open", "aria-expanded": "false", onclick: () => this.toggle() }, icon("right"), h("span", { class: "ov-row-prompt" }, job.prompt));
    this.line = h("div", { class: "ov-table-row", role: "row" }, h("span", { role: "cell" }, this.pill), h("span", { class: "ov-cell-prompt", role: "cell" }, this.opener), h("span", { class: "ov-cell-type", role: "cell" }, typeName(job.type)), this.time, this.stages, this.tries, this.actions);
    this.line.addEventListener("click", (event) => event.target.closest("button, a") || this.toggle());
    this.node = h("div", { class: "ov-job", dataset: { job: job.id } }, this.line);
    this.update(job);
  }

  update(job) {
    const changed = this.job?.status !== job.status || this.job?.cancel_requested !== job.cancel_requested;
    this.job = job;
    setText(this.pill, job.status === "processing" ? stageWord(job.stage) : statusWord(job.status));
    this.pill.className = `ov-pill ov-pill-${job.status}`;
    setText(this.tries, String(job.attempt));
    this.stages.replaceChildren(stageBar(job));
    if (changed) this.actions.replaceChildren(...this.buttons());
    if (this.details) this.draw();
    this.tick();
  }

  buttons() {
    const { job } = this;
    if (job.status === "pending" || job.status === "processing") return [iconButton("close", "Cancel", () => this.act(() => api.cancel(job.id)), { disabled: job.cancel_requested })];
    const again = iconButton("restore", "Retry", () => this.act(() => api.retry(job.id)));
    return job.status === "completed" ? [] : [again];
  }

  async act(call) {
    try {
      await putAnswer(call);
    } catch (error) {
      failed(error);
    }
  }

  tick() {
    const { job } = this;
    const since = (performance.now() - job.receivedAt) / 1000;
    const left = job.progress.eta_s === null ? null : Math.max(0, job.progress.eta_s - since);
    if (job.status === "pending") setText(this.time, ahead(job.progress.queue_position));
    else if (isLoading(job)) setText(this.time, `part ${loadingPart(job)}`);
    else if (job.status === "processing") setText(this.time, left === null ? "running" : `${seconds(left)} left`);
    else setText(this.time, `${job.started_at && job.finished_at ? `${took((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)} · ` : ""}${ago(job.created_at)}`);
  }

  toggle() {
    const open = !this.details;
    this.opener.setAttribute("aria-expanded", String(open));
    this.node.classList.toggle("ov-opened", open);
    if (!open) {
      this.details.remove();
      this.details = null;
      return;
    }
    this.details = h("div", { class: "ov-details" });
    this.node.append(this.details);
    this.draw();
  }

  draw() {
    this.details.replaceChildren(...details(this.job, this.trigger, (call) => this.act(call)));
  }
}

// A segment a stage, as long as its share of the whole time; while a model loads, how much of it is there.
function stageBar(job) {
  if (isLoading(job)) return loadingBar(job);
  const spent = STAGES.map((stage) => [stage, job.timings[`${stage}_s`] ?? 0]).filter(([, value]) => value > 0);
  const total = spent.reduce((sum, [, value]) => sum + value, 0);
  if (!total) return h("span", { class: "ov-stagebar ov-none" });
  const words = spent.map(([stage, value]) => `${stageWord(stage)} ${took(value)}`).join(", ");
  return h("span", { class: "ov-stagebar", role: "img", "aria-label": words, title: words }, spent.map(([stage, value]) => h("i", { class: `ov-stage-${stage}`, style: { flexGrow: String(value / total) } })));
}

function loadingBar(job) {
  const share = loadedShare(job);
  const words = stageWords(job);
  return h("span", { class: "ov-stagebar", role: "img", "aria-label": words, title: words }, h("i", { class: "ov-stage-loading", style: { flexGrow: String(share) } }), h("i", { style: { flexGrow: String(1 - share) } }));
}


// The system panel: what each device holds, what each worker does, who made room last and why.

import { api } from "./api.js";
import { button, h, iconButton } from "./dom.js";
import { raiseToasts } from "./overlays.js";
import { ago, gigabytes, laneWord, memorySize, partWord, plural } from "./words.js";

const REFRESH_MS = 2000;
const FORBIDDEN = 403;
const STATES = { stopped: "Asleep", starting: "Starting", idle: "Idle", busy: "Working" };
const ASLEEP = "Takes no memory. It starts with the next job.";

let open = null;

export function openSystem() {
  if (open) return;
  open = new SystemPanel();
  open.begin();
}

class SystemPanel {
  constructor() {
    this.body = h("div", { class: "ov-system-body", "aria-live": "off" }, h("div", { class: "ov-system-skeleton ov-waiting" }));
    const close = iconButton("close", "Close", () => this.dialog.close());
    this.dialog = h("dialog", { class: "ov-dialog ov-system", "aria-label": "System" }, h("header", {}, h("h2", {}, "System"), close), this.body);
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  begin() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    raiseToasts();
    this.refresh();
  }

  closed() {
    clearTimeout(this.next);
    open = null;
    raiseToasts();
    this.dialog.remove();
  }

  // Asks again only while the panel is open and looked at.
  async refresh() {
    clearTimeout(this.next);
    if (!document.hidden) await this.draw();
    if (open === this) this.next = setTimeout(() => this.refresh(), REFRESH_MS);
  }

  async draw() {
    try {
      this.body.replaceChildren(...content(await api.system()));
      this.shown = true;
    } catch (error) {
      if (error.status === FORBIDDEN) await this.drawForMembers();
      else if (!this.shown) this.trouble(error);
    }
  }

  async drawForMembers() {
    const { devices } = await api.device().catch(() => ({ devices: [] }));
    const bars = devices.map((one) => deviceBar({ ...one, held_bytes: one.used_bytes, working_bytes: 0, holders: [{ holder: "", parts: { models: one.used_bytes }, context_bytes: 0, working_bytes: 0 }] }));
    this.body.replaceChildren(...bars, h("p", { class: "ov-quiet" }, "Administrators see here what each worker does."));
  }

  trouble(error) {
    this.body.replaceChildren(h("div", { class: "ov-problem", role: "alert" }, h("p", {}, error.message), button("Try again", () => this.refresh())));
  }
}

function content({ workers, waiting, devices = [] }) {
  const sections = devices.map((device) => [deviceBar(device), h("div", { class: "ov-workers" }, workers.filter((worker) => worker.device === device.device).map((worker) => workerCard(worker, holderOf(worker, device)))), gaveWay(device)]);
  const known = new Set(devices.map((device) => device.device));
  const others = workers.filter((worker) => !known.has(worker.device));
  return [...sections.flat(), others.length ? h("div", { class: "ov-workers" }, others.map((worker) => workerCard(worker, null))) : null, queues(waiting)].filter(Boolean);
}

const nameOf = (worker) => `${worker.lane}-${worker.index}`;
const holderOf = (worker, device) => device.holders.find((one) => one.holder === nameOf(worker)) ?? null;
const laneOf = (holder) => holder.split("-")[0];
const sumOf = (values) => Object.values(values).reduce((total, value) => total + value, 0);
const deviceWord = (device) => (device === "cpu" ? "Memory" : `GPU ${device.split(":")[1] ?? ""}`.trim());

function holderWord(holder) {
  const [lane, index] = holder.split("-");
  return index && index !== "0" ? `${laneWord(lane)} ${Number(index) + 1}` : laneWord(lane);
}

// A segment a holder; what a run takes for itself is the paler end of its holder's.
function deviceBar(device) {
  const used = device.held_bytes + device.working_bytes;
  const segments = device.holders.flatMap((one) => [segment(one, sumOf(one.parts) + one.context_bytes, device), one.working_bytes ? segment(one, one.working_bytes, device, " ov-working") : null]);
  const words = `${gigabytes(used)} of ${gigabytes(device.budget_bytes)} GB in use`;
  const line = device.waiting ? `${plural(device.waiting, "run waits", "runs wait")} for room` : "";
  return h(
    "section",
    { class: "ov-device" },
    h("h3", {}, deviceWord(device.device), h("span", {}, words)),
    h("div", { class: "ov-device-bar", role: "img", "aria-label": `${deviceWord(device.device)}: ${words}` }, segments),
    line ? h("p", { class: "ov-quiet" }, line) : null,
  );
}

function segment(holder, bytes, device, extra = "") {
  const share = (100 * bytes) / Math.max(device.budget_bytes, 1);
  return h("i", { class: `ov-lane-${laneOf(holder.holder)}${extra}`, style: { width: `${share}%` }, title: `${holderWord(holder.holder)}: ${memorySize(bytes)}${extra ? " for its run" : ""}` });
}

function workerCard(worker, holder) {
  const parts = Object.entries(holder?.parts ?? worker.parts ?? {});
  const chips = parts.map(([name, bytes]) => chip(partWord(name), bytes));
  if (holder?.context_bytes) chips.push(chip("process", holder.context_bytes));
  if (holder?.working_bytes) chips.push(chip("its run", holder.working_bytes, " ov-working"));
  const asleep = worker.state === "stopped";
  return h(
    "section",
    { class: "ov-worker", dataset: { worker: nameOf(worker) } },
    h("h3", {}, h("i", { class: `ov-dot ov-lane-${worker.lane}`, "aria-hidden": "true" }), holderWord(nameOf(worker)), h("span", { class: `ov-pill ov-pill-${worker.state}` }, STATES[worker.state] ?? worker.state)),
    chips.length ? h("ul", { class: "ov-parts" }, chips) : h("p", { class: "ov-quiet" }, asleep ? ASLEEP : "Its model is not loaded yet."),
    worker.restarts ? h("p", { class: "ov-note" }, `${plural(worker.restarts, "restart", "restarts")}. ${worker.last_death ?? ""}`) : null,
  );
}

const chip = (name, bytes, extra = "") => h("li", { class: extra.trim() }, name, h("span", {}, memorySize(bytes)));

function gaveWay(device) {
  const entries = (device.last_given_way ?? []).map((one) => {
    const what = one.whole ? "the whole process" : one.parts.map(partWord).join(", ");
    return h("li", {}, h("span", {}, `${holderWord(one.holder)}: ${what}, ${memorySize(one.bytes)}`), h("span", { class: "ov-quiet" }, `${reasonWords(one.reason)} · ${ago(new Date(one.at * 1000).toISOString())}`));
  });
  const none = h("p", { class: "ov-quiet" }, "Nothing had to make room so far: all that was used fits.");
  return h("section", { class: "ov-gave-way" }, h("h3", {}, "Made room last"), entries.length ? h("ul", {}, entries) : none);
}

const reasonWords = (reason) => reason.replaceAll(/\b(sdxl|wan|qwen)-\d+\b/g, (holder) => holderWord(holder));

function queues(waiting) {
  const busy = Object.entries(waiting ?? {}).filter(([, count]) => count);
  if (!busy.length) return null;
  return h("p", { class: "ov-quiet" }, `Waiting: ${busy.map(([lane, count]) => `${laneWord(lane)} ${plural(count, "job", "jobs")}`).join(", ")}`);
}

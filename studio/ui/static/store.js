// The one copy of what this page knows: jobs from the event stream and lists, assets as they are asked for.

import { api } from "./api.js";
import { emitter } from "./dom.js";
import { checkPerson } from "./session.js";

const OFFLINE_AFTER_MS = 1500;
const REOPEN_MS = 3000;
const REST_AFTER_MS = 60000;
const REFRESH_WAITING_MS = 5000;
const REFRESH_AFTER_MOVE_MS = 500;
const ASKS_AT_ONCE = 4;

export const jobs = new Map();
export const assets = new Map();
const runSeconds = new Map();
const jobChanges = emitter();
const assetChanges = emitter();
const lineChanges = emitter();
let online = true;
let started = false;
let lastEventId = "";
let stream = null;
let troubled = 0;
let refreshing = 0;

export const onJob = jobChanges.on;
export const onAsset = assetChanges.on;
export const onLine = (listener) => {
  listener(online);
  return lineChanges.on(listener);
};
export const isOnline = () => online;

export function start() {
  if (started) return;
  started = true;
  openStream();
  restWhenHidden();
  setInterval(refreshWaiting, REFRESH_WAITING_MS);
  // One's own line moves as soon as a job of one's own starts or ends.
  onJob((job, known) => {
    if (known && known.status !== job.status) refreshing ||= setTimeout(refreshWaiting, REFRESH_AFTER_MOVE_MS);
  });
}

// A browser keeps six connections a host: a page that nobody looks at gives its stream back and catches up later.
function restWhenHidden() {
  let resting = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (document.hidden) resting = setTimeout(closeStream, REST_AFTER_MS);
    else if (!stream) openStream();
  });
  window.addEventListener("pagehide", closeStream);
  window.addEventListener("pageshow", () => stream || openStream());
}

function closeStream() {
  clearTimeout(troubled);
  stream?.close();
  stream = null;
}

function openStream() {
  const opened = new EventSource(lastEventId ? `/api/events?after=${lastEventId}` : "/api/events");
  stream = opened;
  opened.addEventListener("open", () => {
    clearTimeout(troubled);
    setOnline(true);
    checkPerson();
  });
  opened.addEventListener("job", (event) => {
    lastEventId = event.lastEventId;
    putJob(JSON.parse(event.data), Number(event.lastEventId));
  });
  opened.addEventListener("error", () => {
    clearTimeout(troubled);
    troubled = setTimeout(() => setOnline(false), OFFLINE_AFTER_MS);
    if (opened.readyState !== EventSource.CLOSED) return;
    checkPerson();
    setTimeout(() => stream === opened && openStream(), REOPEN_MS);
  });
}

function setOnline(now) {
  if (online === now) return;
  online = now;
  lineChanges.emit(online);
  if (online) loadJobs({ limit: 50 }).catch(() => {});
}

// `revision` orders what arrives: a list answered late never overwrites what the stream said since.
export function putJob(job, revision = 0, askedAt = performance.now()) {
  const known = jobs.get(job.id);
  if (known && revision ? revision < known.revision : known && known.receivedAt > askedAt) return;
  const kept = { ...job, revision: revision || known?.revision || 0, receivedAt: performance.now() };
  jobs.set(job.id, kept);
  jobChanges.emit(kept, known);
}

// What `ask` answers about a job is as old as the question: the stream may have told more since.
export async function putAnswer(ask) {
  const askedAt = performance.now();
  const job = await ask();
  putJob(job, 0, askedAt);
  return jobs.get(job.id);
}

export async function loadJobs(parameters) {
  const askedAt = performance.now();
  const page = await api.jobs(parameters);
  for (const job of page.items) putJob(job, 0, askedAt);
  return page;
}

// Positions move when other people's jobs end, which no event of one's own tells.
async function refreshWaiting() {
  clearTimeout(refreshing);
  refreshing = 0;
  const waiting = [...jobs.values()].some((job) => job.status === "pending");
  if (waiting && online && !document.hidden) await loadJobs({ status: "pending" }).catch(() => {});
}

// Jobs of the same type and size share an answer.
export async function runEstimate(job) {
  const { count, steps, width, height, frames } = job.config;
  const work = { job_type: job.type, count, steps, width, height, frames };
  const key = JSON.stringify(work);
  if (!runSeconds.has(key)) {
    runSeconds.set(key, api.estimate(work).then((answer) => answer.run_s, () => null));
    setTimeout(() => runSeconds.delete(key), 60000);
  }
  return runSeconds.get(key);
}

// --- assets

export function putAsset(asset) {
  const known = assets.get(asset.id);
  assets.set(asset.id, asset);
  assetChanges.emit(asset, known);
  return asset;
}

// What was removed for good leaves a mark behind, so that a job's strip does not wait for it.
export const dropAsset = (asset) => putAsset({ ...asset, gone: true });

const asked = new Map();
const queue = [];
let asking = 0;

export function getAsset(assetId) {
  if (assets.has(assetId)) return Promise.resolve(assets.get(assetId));
  if (!asked.has(assetId)) {
    asked.set(assetId, new Promise((resolve, reject) => queue.push({ assetId, resolve, reject })));
    askNext();
  }
  return asked.get(assetId);
}

function askNext() {
  if (asking >= ASKS_AT_ONCE || !queue.length) return;
  asking += 1;
  const { assetId, resolve, reject } = queue.shift();
  api.asset(assetId).then((asset) => resolve(putAsset(asset)), reject).finally(() => {
    asking -= 1;
    asked.delete(assetId);
    askNext();
  });
}

export async function loadAssets(parameters) {
  const page = await api.assets(parameters);
  page.items.forEach(putAsset);
  return page;
}

// The frame around the tabs: brand, memory meter, theme switch, offline bar, badges, keyboard and the address.

import { accountLink } from "./account.js";
import { api } from "./api.js";
import { debounce, h, iconButton, icon } from "./dom.js";
import { keepDraft } from "./draft.js";
import { nameShortcut, wireGenerate } from "./generate.js";
import { memoryMeter } from "./memory.js";
import { onSignedIn, watchSession } from "./session.js";
import { onJob, onLine, start } from "./store.js";

const TABS = ["workspace", "library", "jobs"];
const TOKENS_A_CHUNK = 75;

export function mount({ element }) {
  const offline = h("div", { class: "ov-offline", role: "status", hidden: true }, "Reconnecting…; your jobs go on");
  const signedOut = h("div", { class: "ov-offline", role: "alert", hidden: true }, "You are signed out; your jobs go on. ", signInAgain());
  element.replaceChildren(h("a", { class: "ov-brand", href: "/", "aria-label": "OurVidz" }, brandMark(), h("span", {}, "OurVidz")), h("div", { class: "ov-frame-memory" }, memoryMeter(), accountLink()), h("div", { class: "ov-frame-end" }, themeSwitch()), offline, signedOut);
  onLine((online) => (offline.hidden = online || !signedOut.hidden));
  onSignedIn((signedIn) => {
    signedOut.hidden = signedIn;
    offline.hidden ||= !signedIn;
  });
  watchSession();
  start();
  badges();
  wireGenerate();
  followTabs();
  document.addEventListener("ov:tab", (event) => openTab(event.detail));
  dressComposer();
}

// In another tab, so that this page keeps what was typed and chosen: it goes on once one has signed in there. Inside
// another site's page only that frame would be signed in.
function signInAgain() {
  return h("a", { class: "ov-way", href: "/login", target: window.self === window.top ? "_blank" : null }, "Sign in again");
}

function brandMark() {
  return h("span", { class: "ov-mark", "aria-hidden": "true" });
}

function themeSwitch() {
  const switcher = iconButton("moon", "", () => {
    window.ourvidzTheme.set(window.ourvidzTheme.current() === "dark" ? "light" : "dark");
    draw();
  });
  const draw = () => {
    const dark = window.ourvidzTheme.current() === "dark";
    const label = dark ? "Switch to the light theme" : "Switch to the dark theme";
    switcher.replaceChildren(icon(dark ? "moon" : "sun"));
    switcher.setAttribute("aria-label", label);
    switcher.title = label;
  };
  draw();
  return switcher;
}

const tabButton = (name) => document.getElementById(`tab-${name}-button`);

function openTab(name) {
  const found = tabButton(name);
  if (found && found.getAttribute("aria-selected") !== "true") found.click();
}

// The tab is part of the address, so that a reload or a link comes back to it.
function followTabs() {
  const wanted = location.hash.slice(1);
  if (TABS.includes(wanted)) requestAnimationFrame(() => openTab(wanted));
  document.getElementById("nav")?.addEventListener("click", (event) => {
    const chosen = TABS.find((name) => event.target.closest?.(`#tab-${name}-button`));
    if (!chosen) return;
    history.replaceState(history.state, "", chosen === TABS[0] ? location.pathname + location.search : `#${chosen}`);
    window.scrollTo({ top: 0 });
  });
}

function badges() {
  const count = debounce(async () => {
    const summary = await api.summary().catch(() => null);
    const found = tabButton("jobs");
    if (!summary || !found) return;
    const mine = summary.waiting + summary.running;
    const all = Math.max(summary.waiting_all ?? 0, summary.waiting) + summary.running;
    if (mine || all) found.dataset.badge = all > mine ? `${mine}/${all}` : String(mine);
    else delete found.dataset.badge;
    found.setAttribute("aria-label", mine || all ? `Jobs, ${mine} of yours under way, ${all} in all` : "Jobs");
  }, 250);
  onJob((job, before) => job.status !== before?.status && count());
  onLine((online) => online && count());
  setInterval(() => document.hidden || count(), 20000);
}

// Words and marks come close to the text encoder's tokens, which the browser cannot count exactly.
const tokens = (text) => (text.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? []).length;

function dressComposer() {
  const field = document.querySelector("#prompt textarea");
  if (!field) return requestAnimationFrame(dressComposer);
  const counter = h("span", { class: "ov-counter", title: `About how many tokens: the text encoder reads ${TOKENS_A_CHUNK} at a time` });
  document.getElementById("prompt").append(counter);
  const count = () => {
    const used = tokens(field.value);
    counter.textContent = `${used}/${TOKENS_A_CHUNK}`;
    counter.classList.toggle("ov-over", used > TOKENS_A_CHUNK);
  };
  count();
  field.addEventListener("input", count);
  setInterval(count, 700); // Python fills the field without an event
  nameShortcut();
  keepDraft();
  if (matchMedia("(hover: hover)").matches && document.activeElement === document.body) field.focus();
  for (const id of ["seed-random", "seed-last", "swap"]) tooltip(id);
  return undefined;
}

// These buttons show an icon; their words are for screen readers and the tooltip.
function tooltip(id) {
  const node = document.getElementById(id);
  if (node) node.title = node.textContent.trim();
}

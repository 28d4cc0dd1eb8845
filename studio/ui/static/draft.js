// What is typed survives a reload, such as Gradio's own once a lost connection is back. It is kept with this page's entry
// in the browser's history, which pages that come after it do not see, and is given back to the same person alone.

import { checkPerson } from "./session.js";

const FIELDS = ["prompt", "negative-prompt"];
const KEEP_MS = 700;

const field = (id) => document.querySelector(`#${id} textarea`);

export async function keepDraft() {
  const [visit] = performance.getEntriesByType("navigation");
  const draft = history.state?.draft;
  const me = await checkPerson();
  if (!me) return;
  if (visit?.type === "reload" && draft?.person === me.id) await restore(draft);
  const keep = () => keepFor(me.id);
  setInterval(keep, KEEP_MS);
  window.addEventListener("pagehide", keep);
}

async function restore(draft) {
  for (const id of FIELDS) {
    if (!draft[id]) continue;
    const found = await shown(id);
    if (found.value) continue;
    found.value = draft[id];
    found.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

// Gradio draws what is folded away once it is opened.
async function shown(id) {
  if (!field(id)) document.querySelector("#negative > button").click();
  while (!field(id)) await new Promise(requestAnimationFrame);
  return field(id);
}

function keepFor(person) {
  const draft = { person };
  for (const id of FIELDS) draft[id] = field(id)?.value ?? "";
  const known = history.state?.draft;
  if (!known || Object.keys(draft).some((key) => draft[key] !== known[key])) history.replaceState({ ...history.state, draft }, "");
}

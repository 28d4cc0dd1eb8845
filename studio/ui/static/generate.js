// The press of Generate, its shortcut, and when it has to wait.

import { toast } from "./overlays.js";
import { checkPerson } from "./session.js";

const button = () => document.querySelector("button#generate, #generate button");

export function wireGenerate() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey)) return;
    if (!event.target.closest?.("#composer")) return;
    event.preventDefault();
    button()?.click();
  });
  holdWhileFilling();
  // Gradio is silent about a handler beside the queue that failed.
  for (const event of ["ov:unfilled", "ov:failed"]) document.addEventListener(event, tellFailure);
}

async function tellFailure() {
  if (await checkPerson()) toast("That did not work. Try again in a moment.");
}

export function nameShortcut() {
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  button()?.setAttribute("data-keys", mac ? "⌘⏎" : "Ctrl ⏎");
}

// A pick, an example or a job to reuse fills the composer with the server's answer. A press that comes before it waits
// for it, however often it is repeated; where the answer fails nothing is ordered.
function holdWhileFilling() {
  let filling = 0;
  let held = false;
  const hold = (holding) => {
    held = holding;
    button()?.toggleAttribute("data-held", holding);
    button()?.setAttribute("aria-busy", String(holding));
  };
  // In a task of its own: a handler that Gradio kept back until this one ended has begun by then.
  const end = (release) => setTimeout(() => {
    filling -= 1;
    if (!release) hold(false);
    if (filling || !held) return;
    hold(false);
    button()?.click();
  });
  document.addEventListener("ov:filling", () => (filling += 1));
  document.addEventListener("ov:filled", () => end(true));
  document.addEventListener("ov:unfilled", () => end(false));
  document.addEventListener("click", (event) => {
    if (!filling || !event.target.closest?.("#generate")) return;
    event.stopImmediatePropagation();
    hold(true);
  }, true);
}

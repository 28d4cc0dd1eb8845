// What stopped an order: the sentence, and the code to copy. One who is at a limit finds the way to all of them.

import { accountPage } from "./account.js";
import { h, iconButton } from "./dom.js";
import { copy } from "./overlays.js";

const FIELDS = { prompt: "prompt", negative_prompt: "negative-prompt", width: "width", height: "height", steps: "steps", guidance: "guidance", seed: "seed", count: "count", frames: "frames", scheduler: "scheduler", strength: "strength" };

export function mount({ element, props, watch }) {
  const draw = () => {
    const value = props.value;
    element.replaceChildren(...(value?.message ? [notice(value)] : []));
    if (value?.field) focusField(value.field);
    else if (value?.message) element.scrollIntoView({ block: "center" }); // on a phone it would lie below the fold
  };
  watch("value", draw);
  draw();
}

const LIMITS = ["rate_limited", "quota_exceeded"];

function notice(value) {
  const limit = LIMITS.includes(value.code);
  const way = h("span", {});
  if (limit) accountPage().then((page) => page && way.replaceChildren(h("a", { class: "ov-way", href: `${page}#usage` }, "Your limits")));
  return h("div", { class: `ov-notice${limit ? " ov-limit" : ""}`, role: "alert" }, h("p", {}, value.message), h("div", { class: "ov-row" }, way, h("code", { class: "ov-code" }, value.code), iconButton("copy", "Copy the code and the message", () => copy(`${value.code}: ${value.message}`, "Copied."))));
}

function focusField(field) {
  document.querySelector(`#${FIELDS[field] ?? "prompt"} :is(textarea, input)`)?.focus();
}

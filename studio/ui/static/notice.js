// What stopped an order: the sentence, and the code to copy.

import { h, iconButton } from "./dom.js";
import { copy } from "./overlays.js";

const FIELDS = { prompt: "prompt", negative_prompt: "negative-prompt", width: "width", height: "height", steps: "steps", guidance: "guidance", seed: "seed", count: "count", frames: "frames", scheduler: "scheduler", strength: "strength" };

export function mount({ element, props, watch }) {
  const draw = () => {
    const value = props.value;
    element.replaceChildren(...(value?.message ? [notice(value)] : []));
    if (value?.field) focusField(value.field);
  };
  watch("value", draw);
  draw();
}

function notice(value) {
  return h("div", { class: "ov-notice", role: "alert" }, h("p", {}, value.message), h("div", { class: "ov-row" }, h("code", { class: "ov-code" }, value.code), iconButton("copy", "Copy the code and the message", () => copy(`${value.code}: ${value.message}`, "Copied."))));
}

function focusField(field) {
  document.querySelector(`#${FIELDS[field] ?? "prompt"} :is(textarea, input)`)?.focus();
}

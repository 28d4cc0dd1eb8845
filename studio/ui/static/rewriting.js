// The ✨ in the prompt's corner: a button that works, can be stopped, and afterwards can be undone.

import { button, h, icon } from "./dom.js";

export function mount({ element, trigger, props, watch }) {
  const said = h("p", { class: "ov-rewrite-note", role: "status", "aria-live": "polite" });
  const buttons = h("div", { class: "ov-rewrite" });
  element.replaceChildren(buttons, said);
  const draw = () => {
    const value = props.value ?? {};
    const working = value.state === "working";
    const back = { original: value.original };
    const held = buttons.contains(document.activeElement);
    hold(working);
    if (working) buttons.replaceChildren(corner("Stop", "Stop rewriting, and go back to your words", () => trigger("stop", back), "ov-working"));
    else {
      const undo = value.state === "done" ? corner("Undo", "Go back to your own words", () => trigger("undo", back)) : null;
      buttons.replaceChildren(...[undo, corner([icon("sparkle"), "Rewrite"], "Let the prompt be written out in more detail", () => trigger("rewrite", {}))].filter(Boolean));
    }
    if (held) buttons.firstElementChild.focus();
    said.textContent = working ? "Rewriting your prompt…" : value.note ?? (value.state === "done" ? "Rewritten. Change it as you like." : "");
    said.classList.toggle("ov-noted", Boolean(value.note));
  };
  watch("value", draw);
  draw();
}

function corner(label, title, run, extra = "") {
  return button(label, run, { class: `ov-button ov-corner ${extra}`, title });
}

// What somebody types meanwhile would be overwritten.
function hold(working) {
  const field = document.querySelector("#prompt textarea");
  if (!field) return;
  field.readOnly = working;
  field.setAttribute("aria-busy", String(working));
}

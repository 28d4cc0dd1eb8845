// What lies over the page for a moment: toasts, questions and menus.

import { button, h, icon } from "./dom.js";

const TOAST_MS = 5000;

// What lies outside of an open dialog cannot be clicked, so the toasts go where the person is.
export function raiseToasts() {
  const host = document.getElementById("ov-toasts") ?? h("div", { id: "ov-toasts", role: "status", "aria-live": "polite" });
  const dialogs = document.querySelectorAll("dialog[open]");
  (dialogs[dialogs.length - 1] ?? document.body).append(host);
  return host;
}

// `action` is {label, run}: one thing to do about it, such as undo.
export function toast(text, action = null) {
  const node = h("div", { class: "ov-toast" }, h("span", {}, text));
  const leave = () => node.remove();
  if (action) {
    node.append(
      button(action.label, () => {
        leave();
        action.run();
      }),
    );
  }
  raiseToasts().append(node);
  setTimeout(leave, TOAST_MS);
}

export const failed = (error) => toast(error.code && error.code !== "internal" ? `${error.message} (${error.code})` : error.message);

export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast("The browser did not allow copying. Select the text and copy it by hand.");
  }
}

// Resolves true when the person agrees.
export function confirmed(question, detail, agree) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ov-dialog", "aria-label": question });
    const answer = (value) => {
      dialog.close();
      resolve(value);
    };
    dialog.append(
      h("h2", {}, question),
      h("p", {}, detail),
      h(
        "div",
        { class: "ov-dialog-buttons" },
        button("Keep", () => answer(false), { autofocus: true }),
        button(agree, () => answer(true), { class: "ov-button ov-danger" }),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(false);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && answer(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}

let openMenu = null;

function closeMenu(refocus) {
  if (!openMenu) return;
  const { node, anchor } = openMenu;
  openMenu = null;
  node.remove();
  anchor.setAttribute("aria-expanded", "false");
  if (refocus) anchor.focus();
}

// `entries` are {label, icon, run, danger?} or {label, icon, href, download}.
export function menu(anchor, entries) {
  const again = openMenu?.anchor === anchor;
  closeMenu(false);
  if (again) return;
  const node = h("div", { class: "ov-menu", role: "menu" }, entries.map(menuEntry));
  const host = anchor.closest("dialog") ?? document.body; // a modal dialog covers what lies outside of it
  host.append(node);
  openMenu = { node, anchor };
  anchor.setAttribute("aria-expanded", "true");
  place(node, anchor);
  node.addEventListener("keydown", menuKeys);
  node.firstElementChild?.focus();
}

function menuEntry(entry) {
  const tag = entry.href ? "a" : "button";
  const act = () => {
    closeMenu(!entry.href);
    entry.run?.();
  };
  const props = { role: "menuitem", class: entry.danger ? "ov-danger-text" : "", onclick: act, href: entry.href, download: entry.href ? true : null };
  if (tag === "button") props.type = "button";
  return h(tag, props, icon(entry.icon), h("span", {}, entry.label));
}

function place(node, anchor) {
  const from = anchor.getBoundingClientRect();
  const left = Math.min(Math.max(8, from.right - node.offsetWidth), window.innerWidth - node.offsetWidth - 8);
  const below = from.bottom + 4;
  const top = below + node.offsetHeight > window.innerHeight ? Math.max(8, from.top - node.offsetHeight - 4) : below;
  Object.assign(node.style, { left: `${left}px`, top: `${top}px` });
}

function menuKeys(event) {
  const items = [...openMenu.node.children];
  const at = items.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) items[(at + step + items.length) % items.length].focus();
  else if (event.key === "Escape" || event.key === "Tab") closeMenu(true);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

document.addEventListener("pointerdown", (event) => {
  if (openMenu && !openMenu.node.contains(event.target) && !openMenu.anchor.contains(event.target)) closeMenu(false);
});
document.addEventListener("scroll", () => closeMenu(false), { capture: true, passive: true });

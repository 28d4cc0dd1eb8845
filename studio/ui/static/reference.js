// What to start from: a picture dropped, pasted or picked from disk, or a picture or film of the studio's own.

import { api, thumbnail } from "./api.js";
import { goTo } from "./assets.js";
import { button, h, icon, iconButton } from "./dom.js";
import { failed } from "./overlays.js";

const ACCEPTED = ["image/png", "image/jpeg", "image/webp"];
const MAX_BYTES = 20 * 1024 * 1024;

export function mount({ element, props, watch }) {
  new Reference(element, props, watch);
}

class Reference {
  constructor(element, props, watch) {
    Object.assign(this, { element, props });
    this.previews = new Map();
    this.input = h("input", { type: "file", accept: ACCEPTED.join(","), hidden: true, onchange: () => this.take(this.input.files[0]) });
    watch("value", () => this.draw());
    document.addEventListener("ov:reference", (event) => this.set(event.detail));
    document.addEventListener("paste", (event) => this.pasted(event));
    this.drops();
    this.draw();
  }

  // What can be started from is Python's to say, and stays.
  set(reference) {
    const { makes, starts_from: startsFrom } = this.props.value ?? {};
    this.props.value = { ...reference, makes, starts_from: startsFrom };
    this.draw();
  }

  draw() {
    const value = this.props.value;
    const shown = value?.id ? this.filled(value) : this.invitation();
    this.element.replaceChildren(h("div", { class: "ov-reference" }, shown, this.input));
  }

  invitation() {
    const { makes, starts_from: startsFrom = ["text", "image"] } = this.props.value ?? {};
    const can = (beginning) => startsFrom.includes(beginning);
    const title = h("b", {}, can("text") ? "Reference" : "Reference needed");
    if (can("image")) {
      const words = can("video") ? " a picture, or a film of your library" : " drop, paste or choose a picture";
      return h("button", { type: "button", class: "ov-drop", onclick: () => this.input.click() }, icon("reference"), h("span", {}, title, words));
    }
    if (can("video")) return h("button", { type: "button", class: "ov-drop", onclick: () => goTo("library") }, icon("reference"), h("span", {}, title, " a film of your library"));
    return h("p", { class: "ov-drop ov-shut" }, icon("reference"), h("span", {}, title, ` ${makes === "video" ? "films" : "pictures"} start from words alone here`));
  }

  filled(value) {
    const image = h("img", { src: this.previews.get(value.id) ?? value.thumb ?? thumbnail(value.id, 256), alt: "" });
    image.addEventListener("error", () => image.replaceWith(h("span", { class: "ov-no-thumb" }, icon("reference"))), { once: true });
    return h("div", { class: "ov-reference-set" }, image, h("span", {}, h("b", {}, "Reference"), h("small", {}, value.width ? `${value.width} × ${value.height} px` : `The ${value.kind === "video" ? "film" : "picture"} to start from`)), button("Replace", () => this.input.click()), iconButton("close", "Remove the reference", () => this.set(null)));
  }

  async take(file) {
    this.input.value = "";
    if (!file) return;
    if (!ACCEPTED.includes(file.type)) return failed(new Error("Choose a PNG, JPEG or WebP picture."));
    if (file.size > MAX_BYTES) return failed(new Error("This picture is larger than 20 MB. Choose a smaller one."));
    this.element.firstElementChild.classList.add("ov-busy");
    try {
      const found = await api.upload(file);
      this.previews.set(found.id, URL.createObjectURL(file));
      this.set({ id: found.id, kind: "image", width: found.width, height: found.height });
    } catch (error) {
      this.draw();
      failed(error);
    }
    return undefined;
  }

  pasted(event) {
    const file = [...(event.clipboardData?.files ?? [])].find((item) => ACCEPTED.includes(item.type));
    if (!file || event.target.closest?.("#mask")) return;
    event.preventDefault();
    this.take(file);
  }

  drops() {
    const over = (on) => this.element.firstElementChild?.classList.toggle("ov-over", on);
    this.element.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    this.element.addEventListener("dragleave", () => over(false));
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      this.take(event.dataTransfer.files[0]);
    });
  }
}

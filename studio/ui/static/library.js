// The library: a toolbar, and every picture and film grouped by day, page after page as one scrolls.

import { api } from "./api.js";
import { discard, emptyTrash, purge, restore, tile, view } from "./assets.js";
import { button, debounce, h, icon } from "./dom.js";
import { getAsset, loadAssets, onAsset, onJob, start } from "./store.js";
import { called, day, fileSize, typeName } from "./words.js";

const PAGE = 60;
const SIZES = { small: 128, medium: 184, large: 256 };
const SIZE_KEY = "ourvidz-tile-size";

export function mount({ element, trigger, props }) {
  new Library(element, trigger, props.value?.job_types ?? []).begin();
}

// In a frame of another site's page the browser may refuse to keep anything, and throws at the mention of it.
function recalled(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It holds for this visit.
  }
}

class Library {
  constructor(element, trigger, types) {
    Object.assign(this, { element, trigger, types });
    this.filters = { search: "", kind: "", job_type: "", favourite: false, trashed: false };
    this.tiles = new Map();
    this.picked = new Set();
    this.groups = h("div", { class: "ov-groups" });
    this.foot = h("div", { class: "ov-foot" });
    this.bar = h("div", { class: "ov-selection", role: "region", "aria-label": "Selection" });
    this.count = h("span", { class: "ov-quiet ov-shown-count", "aria-live": "polite" });
    this.used = h("span", { class: "ov-quiet ov-used", title: "Your pictures, films and references, the trash included" });
    this.empties = button("Empty trash", () => emptyTrash().then((done) => done && this.reload()), { class: "ov-button ov-danger", hidden: true });
    this.measure = debounce(() => this.drawUsed(), 400);
  }

  begin() {
    this.element.replaceChildren(this.toolbar(), this.groups, this.foot, this.bar);
    this.setSize(recalled(SIZE_KEY) ?? "medium");
    start();
    onAsset((asset) => this.changed(asset));
    onJob((job, before) => job.status === "completed" && before?.status !== "completed" && this.arrived(job));
    this.measure();
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.cursor && this.more(), { rootMargin: "800px" }).observe(this.foot);
    this.reload();
  }

  toolbar() {
    const search = h("input", { type: "search", class: "ov-input", placeholder: "Search prompts", "aria-label": "Search prompts", oninput: debounce((event) => this.filter("search", event.target.value.trim()), 250) });
    const kinds = [...new Set(this.types.map((type) => type.kind))];
    const kind = kinds.length > 1 ? select("Kind", [["", "Pictures and films"], ...kinds.map((value) => [value, value === "video" ? "Films" : "Pictures"])], (value) => this.filter("kind", value)) : null;
    const type = select("Type", [["", "All types"], ...this.types.map((row) => [row.type, typeName(row.type)])], (value) => this.filter("job_type", value));
    const starred = toggle("Favourites", "star", (on) => this.filter("favourite", on));
    const trash = toggle("Trash", "trash", (on) => this.filter("trashed", on));
    this.size = select("Tile size", [["small", "Small tiles"], ["medium", "Medium tiles"], ["large", "Large tiles"]], (value) => this.setSize(value));
    return h("div", { class: "ov-toolbar", role: "search" }, h("label", { class: "ov-search" }, icon("search"), search), kind, type, starred, trash, this.empties, h("span", { class: "ov-spring" }), this.count, this.size, this.used);
  }

  setSize(name) {
    const known = SIZES[name] ? name : "medium";
    this.size.querySelector("select").value = known;
    this.element.style.setProperty("--ov-tile", `${SIZES[known]}px`);
    remember(SIZE_KEY, known);
  }

  filter(name, value) {
    this.filters = { ...this.filters, [name]: value };
    this.reload();
  }

  reload() {
    this.cursor = null;
    this.loaded = false;
    this.round = (this.round ?? 0) + 1;
    this.loading = false;
    this.tiles.clear();
    this.picked.clear();
    this.drawSelection();
    this.empties.hidden = true;
    this.groups.replaceChildren(skeleton());
    this.foot.replaceChildren();
    this.more(true);
  }

  async more(fresh = false) {
    if (this.loading) return;
    const { round } = this;
    this.loading = true;
    try {
      const page = await loadAssets({ ...this.filters, limit: PAGE, cursor: this.cursor });
      if (round !== this.round) return;
      if (fresh) this.groups.replaceChildren();
      this.cursor = page.next;
      this.loaded = true;
      page.items.forEach((asset) => this.add(asset));
      this.drawFoot();
    } catch (error) {
      if (round !== this.round) return;
      if (fresh) this.groups.replaceChildren();
      this.foot.replaceChildren(h("div", { class: "ov-problem", role: "alert" }, h("p", {}, error.message), button("Try again", () => this.more(fresh))));
    } finally {
      if (round === this.round) this.loading = false;
    }
  }

  async drawUsed() {
    const found = await api.storage().catch(() => null); // offline, the last number stays
    if (!found) return;
    const limit = found.limit_bytes;
    this.used.textContent = limit === null ? `${fileSize(found.bytes)} used` : `${fileSize(found.bytes)} of ${fileSize(limit)} used`;
    this.used.classList.toggle("ov-full", limit !== null && found.bytes >= limit);
  }

  drawFoot() {
    this.empties.hidden = !this.filters.trashed || !this.tiles.size;
    this.count.textContent = this.tiles.size ? `${this.tiles.size === 1 ? "1 " : ""}${called([...this.tiles.values()].map((made) => made.asset))}${this.cursor ? " so far" : ""}` : "";
    if (this.cursor) this.foot.replaceChildren(h("p", { class: "ov-quiet" }, "More below"));
    else this.foot.replaceChildren(...(this.tiles.size ? [] : [this.empty()]));
  }

  empty() {
    const { search, kind, job_type: type, favourite, trashed } = this.filters;
    if (trashed) return emptiness("The trash is empty", "What you delete waits here for 30 days, in case you want it back.");
    if (search || kind || type || favourite) return emptiness("Nothing fits these filters", "Take one away, or search for another word.");
    const make = button("Make the first one", () => document.dispatchEvent(new CustomEvent("ov:tab", { detail: "workspace" })), { class: "ov-button ov-primary" });
    return emptiness("Your pictures and films will be here", "Everything that you generate is kept and can be found again by its prompt.", make);
  }

  fits(asset) {
    const { search, kind, job_type: type, favourite, trashed } = this.filters;
    if (asset.gone || Boolean(asset.trashed_at) !== trashed) return false;
    if ((kind && asset.kind !== kind) || (type && asset.job_type !== type) || (favourite && !asset.favourite)) return false;
    return search.toLowerCase().split(/\s+/).every((word) => asset.prompt.toLowerCase().includes(word));
  }

  changed(asset) {
    if (asset.gone) this.measure();
    const made = this.tiles.get(asset.id);
    if (made && !this.fits(asset)) this.remove(asset.id);
    else if (made) made.refresh();
    else if (this.ready && this.fits(asset) && this.inRange(asset)) this.add(asset);
    else return;
    this.drawFoot();
  }

  get ready() {
    return this.loaded && !this.loading;
  }

  // What is older than the last tile of a partial list comes with its own page.
  inRange(asset) {
    return !this.cursor || asset.id > [...this.tiles.keys()].reduce((least, id) => (id < least ? id : least), "~");
  }

  arrived(job) {
    this.measure();
    if (this.filters.trashed) return;
    job.assets.forEach((assetId) => getAsset(assetId).then((asset) => this.changed(asset), () => {}));
  }

  add(asset) {
    if (this.tiles.has(asset.id)) return;
    const made = tile(asset, { trigger: this.trigger, label: asset.prompt, size: 256, open: (assetId) => view(assetId, this.order()) });
    const pick = h("input", { type: "checkbox", class: "ov-pick", "aria-label": "Select", onchange: () => this.pick(asset.id, pick.checked) });
    made.node.append(pick);
    this.tiles.set(asset.id, { ...made, asset, pick });
    const grid = this.gridOf(asset);
    const after = [...grid.children].find((node) => comesAfter(node.dataset, asset));
    made.node.dataset.made = asset.job_id;
    made.node.dataset.index = asset.index;
    grid.insertBefore(made.node, after ?? null);
  }

  gridOf(asset) {
    const name = day(asset.created_at);
    let group = [...this.groups.children].find((node) => node.dataset.day === name);
    if (!group) {
      group = h("section", { class: "ov-group", dataset: { day: name, newest: asset.created_at }, "aria-label": name }, h("h2", {}, name), h("div", { class: "ov-grid" }));
      const after = [...this.groups.children].find((node) => node.dataset.newest < asset.created_at);
      this.groups.insertBefore(group, after ?? null);
    }
    return group.querySelector(".ov-grid");
  }

  remove(assetId) {
    const { node } = this.tiles.get(assetId);
    const group = node.closest(".ov-group");
    node.remove();
    this.tiles.delete(assetId);
    this.pick(assetId, false);
    if (group && !group.querySelector(".ov-tile")) group.remove();
  }

  order() {
    return [...this.groups.querySelectorAll(".ov-tile")].map((node) => node.dataset.asset);
  }

  pick(assetId, on) {
    if (on) this.picked.add(assetId);
    else this.picked.delete(assetId);
    this.tiles.get(assetId)?.node.classList.toggle("ov-picked", on);
    this.drawSelection();
  }

  drawSelection() {
    this.bar.classList.toggle("ov-open", this.picked.size > 0);
    this.element.classList.toggle("ov-selecting", this.picked.size > 0);
    if (!this.picked.size) return this.bar.replaceChildren();
    const chosen = [...this.picked].map((assetId) => this.tiles.get(assetId).asset);
    const danger = { class: "ov-button ov-danger" };
    const deeds = this.filters.trashed ? [button("Restore", () => restore(chosen)), button("Delete forever", () => purge(chosen), danger)] : [button("Delete", () => discard(chosen), danger)];
    return this.bar.replaceChildren(h("span", {}, `${this.picked.size} selected`), ...deeds, button("Clear", () => this.clear()));
  }

  clear() {
    for (const assetId of [...this.picked]) {
      this.tiles.get(assetId).pick.checked = false;
      this.pick(assetId, false);
    }
  }
}

const comesAfter = (there, asset) => there.made < asset.job_id || (there.made === asset.job_id && Number(there.index) > asset.index);

function select(label, options, onchange) {
  const node = h("select", { class: "ov-input", "aria-label": label, onchange: (event) => onchange(event.target.value) }, options.map(([value, text]) => h("option", { value }, text)));
  return h("span", { class: "ov-select" }, node, icon("down"));
}

function toggle(label, name, change) {
  const node = h("button", { type: "button", class: "ov-button ov-toggle", "aria-pressed": "false" }, icon(name), label);
  node.addEventListener("click", () => {
    const on = node.getAttribute("aria-pressed") !== "true";
    node.setAttribute("aria-pressed", String(on));
    change(on);
  });
  return node;
}

function skeleton() {
  const tiles = Array.from({ length: 12 }, () => h("div", { class: "ov-tile ov-waiting", style: { aspectRatio: "1" } }));
  return h("div", { class: "ov-grid ov-grid-skeleton", "aria-hidden": "true" }, tiles);
}

function emptiness(title, text, ...rest) {
  return h("div", { class: "ov-empty" }, h("h2", {}, title), h("p", {}, text), ...rest);
}

// What can be done with a finished picture or film, and the tile that offers it.

import { api, download, thumbnail } from "./api.js";
import { h, icon, iconButton } from "./dom.js";
import { confirmed, failed, menu, toast } from "./overlays.js";
import { assets, dropAsset, putAsset } from "./store.js";
import { called, length, plural } from "./words.js";

export const goTo = (tab) => document.dispatchEvent(new CustomEvent("ov:tab", { detail: tab }));
export const view = (assetId, ids) => document.dispatchEvent(new CustomEvent("ov:view", { detail: { assetId, ids } }));

export async function favourite(asset) {
  const wanted = !asset.favourite;
  putAsset({ ...asset, favourite: wanted });
  try {
    putAsset(await api.change(asset.id, { favourite: wanted }));
  } catch (error) {
    putAsset({ ...asset });
    failed(error);
  }
}

export function asReference({ id, kind }) {
  document.dispatchEvent(new CustomEvent("ov:reference", { detail: { id, kind, thumb: thumbnail(id, 256) } }));
  goTo("workspace");
  toast(`This ${called([{ kind }])} is the reference now.`);
}

export function reuse(trigger, request) {
  trigger("reuse", request);
  goTo("workspace");
  toast("The settings are in the composer.");
}

export async function discard(found) {
  const many = found.length > 1;
  const question = many ? `Delete ${called(found)}?` : `Delete this ${called(found)}?`;
  const agreed = await confirmed(question, "It goes to the trash of the library, where you can restore it.".replace("It goes", many ? "They go" : "It goes").replace("restore it", many ? "restore them" : "restore it"), "Delete");
  if (!agreed) return false;
  const results = await Promise.allSettled(found.map(async (asset) => putAsset(await api.trash(asset.id))));
  const bad = results.find((result) => result.status === "rejected");
  if (bad) failed(bad.reason);
  const gone = found.filter((_, index) => results[index].status === "fulfilled");
  if (gone.length) toast(gone.length > 1 ? `${called(gone)} are in the trash.` : `The ${called(gone)} is in the trash.`, { label: "Undo", run: () => restore(gone) });
  return gone.length > 0;
}

export async function restore(found) {
  try {
    for (const asset of found) putAsset(await api.restore(asset.id));
    toast(found.length > 1 ? `${called(found)} are back.` : `The ${called(found)} is back.`);
  } catch (error) {
    failed(error);
  }
}

// There is no way back from here, so the question says so.
export async function purge(found) {
  const many = found.length > 1;
  const question = many ? `Delete ${called(found)} forever?` : `Delete this ${called(found)} forever?`;
  const detail = many ? "Their files are removed. This cannot be undone." : "Its file is removed. This cannot be undone.";
  if (!(await confirmed(question, detail, "Delete forever"))) return false;
  const results = await Promise.allSettled(found.map(async (asset) => {
    await api.purge(asset.id);
    dropAsset(asset);
  }));
  const bad = results.find((result) => result.status === "rejected");
  if (bad) failed(bad.reason);
  const gone = found.filter((_, index) => results[index].status === "fulfilled");
  if (gone.length) toast(gone.length > 1 ? `${called(gone)} are gone for good.` : `The ${called(gone)} is gone for good.`);
  return gone.length > 0;
}

// Resolves true when the trash was emptied.
export async function emptyTrash() {
  if (!(await confirmed("Empty the trash?", "Everything in it is removed with its files. This cannot be undone.", "Empty trash"))) return false;
  try {
    const { deleted } = await api.emptyTrash();
    for (const asset of [...assets.values()]) if (asset.trashed_at && !asset.gone) dropAsset(asset);
    toast(deleted ? `The trash is empty: ${plural(deleted, "item is", "items are")} gone for good.` : "The trash was empty already.");
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

export function assetMenu(asset, trigger) {
  if (asset.trashed_at) {
    return [
      { label: "Restore", icon: "restore", run: () => restore([asset]) },
      { label: "Delete forever", icon: "trash", danger: true, run: () => purge([asset]) },
    ];
  }
  return [
    { label: "Reuse settings", icon: "reuse", run: () => reuse(trigger, { job_id: asset.job_id, seed: asset.seed }) },
    { label: "Use as reference", icon: "reference", run: () => asReference(asset) },
    { label: "Download", icon: "download", href: download(asset.id) },
    { label: "Delete", icon: "trash", danger: true, run: () => discard([asset]) },
  ];
}

export function picture(assetId, size, alt) {
  const image = h("img", { src: thumbnail(assetId, size), alt, loading: "lazy", decoding: "async", class: "ov-fading" });
  image.addEventListener("load", () => image.classList.add("ov-shown"));
  image.addEventListener("error", () => image.closest(".ov-tile")?.classList.add("ov-broken"));
  if (image.complete && image.naturalWidth) image.classList.add("ov-shown");
  return image;
}

// A film's tile says how long it is, and moves while one points at it.
function dressFilm(node, main, asset) {
  node.classList.add("ov-film");
  if (asset.frames && asset.fps) main.append(h("span", { class: "ov-length" }, length(asset)));
  if (!asset.preview_url) return;
  let moving = null;
  const still = () => {
    moving?.remove();
    moving = null;
  };
  const move = (event) => {
    if (moving || event.pointerType === "touch" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    moving = h("img", { src: asset.preview_url, alt: "", class: "ov-moving" });
    moving.addEventListener("error", still);
    main.append(moving);
  };
  node.addEventListener("pointerenter", move);
  node.addEventListener("pointerleave", still);
  main.addEventListener("focus", (event) => main.matches(":focus-visible") && move(event));
  main.addEventListener("blur", still);
}

// A tile of `asset`; `open` shows it large. The tile keeps itself true to the asset through `refresh`.
export function tile(asset, { trigger, open, label, size = 256 }) {
  const current = () => assets.get(asset.id) ?? asset;
  const star = iconButton("star", "Favourite", () => favourite(current()), { class: "ov-icon-only ov-star" });
  const more = iconButton("more", "More actions", () => menu(more, assetMenu(current(), trigger)), { "aria-haspopup": "menu", "aria-expanded": "false" });
  const save = h("a", { class: "ov-icon-only", href: download(asset.id), download: true, "aria-label": "Download", title: "Download" }, icon("download"));
  const main = h("button", { type: "button", class: "ov-tile-open", "aria-label": label, onclick: () => open(asset.id) }, picture(asset.id, size, label));
  const node = h("div", { class: "ov-tile", dataset: { asset: asset.id } }, main, h("div", { class: "ov-tile-actions" }, star, save, more));
  node.style.aspectRatio = `${asset.width} / ${asset.height}`;
  if (asset.kind === "video") dressFilm(node, main, asset);
  node.addEventListener("contextmenu", (event) => {
    if (!matchMedia("(hover: none)").matches) return;
    event.preventDefault();
    menu(more, assetMenu(current(), trigger));
  });
  const refresh = () => {
    star.classList.toggle("ov-on", current().favourite);
    star.setAttribute("aria-pressed", String(current().favourite));
  };
  refresh();
  return { node, refresh };
}

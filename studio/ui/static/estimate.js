// How long the next job would take, beside the button that orders it.

import { api } from "./api.js";
import { debounce, h } from "./dom.js";
import { onJob, start } from "./store.js";
import { seconds } from "./words.js";

export function mount({ element, props, watch }) {
  const words = h("p", { class: "ov-estimate", "aria-live": "off" });
  element.replaceChildren(words);
  const draw = debounce(async () => {
    const asked = props.value;
    const { rewriting_s: rewriting, ...work } = asked ?? {};
    const answer = work.job_type ? await api.estimate(work).catch(() => null) : null;
    if (asked !== props.value) return; // an answer to what is no longer asked
    if (!answer) return words.replaceChildren();
    const wait = answer.wait_s >= 2 ? h("small", {}, `starts in about ${seconds(answer.wait_s)}`) : null;
    const before = rewriting ? h("small", {}, `of it rewriting, ${seconds(rewriting)}`) : null;
    return words.replaceChildren(...[h("span", {}, `≈ ${seconds(answer.run_s)}`), before, wait].filter(Boolean));
  }, 150);
  watch("value", draw);
  onJob((job, before) => job.status !== before?.status && draw());
  start();
  draw();
}

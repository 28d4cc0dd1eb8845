// The receipt of a job in words: what another machine would need to make the same picture.

import { memorySize } from "./words.js";

const FINGERPRINT_CHARS = 10;

const RESIDENCIES = {
  resident: "everything stays in memory",
  encode_first: "the text encoders make room before denoising",
  offload: "each part is in memory only while it works",
};

// How the run lived with the memory, as one sentence.
function planWords({ plan, seeds = [] }) {
  if (!plan) return null;
  const all = seeds.length > 1 ? `all ${seeds.length} pictures at once` : null;
  const amount = plan.sub_batch ? `${plan.sub_batch} at a time` : all;
  const words = [RESIDENCIES[plan.residency] ?? plan.residency, amount, plan.tiled ? "decoded tile by tile" : "decoded in one piece"];
  const sentence = words.filter(Boolean).join(", ");
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function memoryWords(memory) {
  if (!memory?.peak_bytes) return null;
  const planned = memory.planned_bytes ? `, ${memorySize(memory.planned_bytes)} planned` : "";
  return `${memorySize(memory.peak_bytes)} at most${planned}`;
}

// A value of a receipt, whatever it is: {kind: "first_block", threshold: 0.05} reads "first block, threshold 0.05".
export function valueWords(value) {
  if (value === null || value === undefined || value === "") return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return String(Math.round(value * 1e6) / 1e6);
  if (Array.isArray(value)) return value.map(valueWords).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, part]) => (name === "kind" ? valueWords(part) : `${name.replaceAll("_", " ")} ${valueWords(part)}`)).join(", ");
  return String(value).replaceAll("_", " ");
}

const known = (receipt, name) => (name in receipt ? valueWords(receipt[name]) : null);

// [[name, value]], a row a fact; null for what is not known.
export function receiptRows(receipt) {
  const versions = Object.entries(receipt.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(", ");
  return [
    ["Checkpoint", receipt.checkpoint],
    ["Fingerprint", receipt.fingerprint?.slice(0, FINGERPRINT_CHARS)],
    ["Few-step weights", receipt.few_step_weights],
    ["Mode", receipt.mode?.replaceAll("_", " ")],
    ["Plan", planWords(receipt)],
    ["Second try", receipt.out_of_memory_under ? "memory ran out under a larger plan" : null],
    ["Memory", memoryWords(receipt.memory)],
    ["Precision", receipt.dtype],
    ["Attention", known(receipt, "attention")],
    ["Step cache", known(receipt, "cache")],
    ["Compiled", known(receipt, "compile")],
    ["Device", receipt.device],
    ["Versions", versions],
  ];
}

const FACTS = {
  count: "Pictures at once",
  dtype: "Precision",
  "plan.rung": "Rung of the plan",
  "plan.sub_batch": "Denoised at a time",
  "plan.tiled": "Decoded in tiles",
  "plan.residency": "Weights",
  few_step_weights: "Few-step weights",
  compile: "Compiled",
  flow_shift: "Flow shift",
};

// "versions.torch" -> "torch", "cache.threshold" -> "Cache threshold".
export function factWord(fact) {
  if (FACTS[fact]) return FACTS[fact];
  if (fact.startsWith("versions.")) return fact.slice("versions.".length);
  const words = fact.replaceAll(/[._]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

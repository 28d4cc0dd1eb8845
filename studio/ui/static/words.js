// Numbers and moments as people say them.

const COUNTS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

// What `found` (assets) are called: "this film", "3 pictures", "5 items".
export function called(found) {
  const kinds = new Set(found.map((asset) => asset.kind));
  const [one, many] = kinds.size > 1 ? ["item", "items"] : kinds.has("video") ? ["film", "films"] : ["picture", "pictures"];
  return found.length === 1 ? one : `${found.length} ${many}`;
}

export const isFilm = (config) => (config.frames ?? 1) > 1;

// Seconds of a film, as on its tile.
export const length = ({ frames, fps }) => `${(frames / fps).toFixed(1)} s`;

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export function seconds(value) {
  if (value < 1) return "1 s";
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 360) / 10} h`;
}

export function took(value) {
  return value < 10 ? `${Math.max(value, 0.1).toFixed(1)} s` : seconds(value);
}

export function ahead(count) {
  if (!count) return "you are next";
  return `${COUNTS[count] ?? count} ${count === 1 ? "job" : "jobs"} ahead`;
}

export function ago(iso) {
  const past = (Date.now() - Date.parse(iso)) / 1000;
  if (past < 45) return "just now";
  if (past < 5400) return `${Math.max(1, Math.round(past / 60))} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return day(iso);
}

const dayKey = (date) => `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;

export function day(iso) {
  const date = new Date(iso);
  const now = new Date();
  if (dayKey(date) === dayKey(now)) return "Today";
  const yesterday = new Date(now);
  yesterday.setDate(now.getDate() - 1);
  if (dayKey(date) === dayKey(yesterday)) return "Yesterday";
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long", year });
}

export function moment(iso) {
  return new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${Math.round(bytes / 1024)} KB`;
  if (bytes < 1024 ** 3) return `${Number((bytes / 1024 ** 2).toFixed(1))} MB`;
  return `${Number((bytes / 1024 ** 3).toFixed(1))} GB`;
}

// An amount of money: "0.04 USD". What is less than a cent is said so.
export function money({ cost, currency }) {
  if (cost === null || cost === undefined) return null;
  return cost > 0 && cost < 0.005 ? `under 0.01 ${currency}` : `${cost.toFixed(2)} ${currency}`;
}

// Memory in the GB that cards are sold by: a billion bytes.
export function gigabytes(bytes) {
  const value = bytes / 1e9;
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}

export const memorySize = (bytes) => (bytes < 0.95e9 ? `${Math.round(bytes / 1e6)} MB` : `${gigabytes(bytes)} GB`);

const STAGE_WORDS = {
  queued: "Waiting",
  enhancing: "Rewriting the prompt",
  loading: "Loading the model",
  denoising: "Painting",
  decoding: "Developing",
  encoding: "Encoding",
  storing: "Saving",
};

export const STAGES = Object.keys(STAGE_WORDS);
export const stageWord = (stage) => STAGE_WORDS[stage] ?? stage;

// A model comes into memory part by part, so that loading is a stage that one can watch.
export const isLoading = (job) => job.status === "processing" && job.stage === "loading" && job.progress.steps > 0;
export const loadedShare = ({ progress }) => Math.min(1, progress.step / progress.steps);

// The part that is being read now: `step` counts those that are there.
export const loadingPart = ({ progress }) => `${Math.min(progress.step + 1, progress.steps)} of ${progress.steps}`;
export const stageWords = (job) => (isLoading(job) ? `${stageWord(job.stage)}, ${loadingPart(job)}` : stageWord(job.stage));

const LANES = { sdxl: "SDXL", wan: "WAN", qwen: "Qwen" };

export const laneWord = (lane) => LANES[lane] ?? lane;

const PARTS = {
  text_encoders: "text encoders",
  text_encoder: "text encoder",
  unet: "UNet",
  few_step_unet: "few-step UNet",
  transformer: "transformer",
  few_step_transformer: "few-step transformer",
  image_encoder: "image encoder",
  vae: "VAE",
  model: "language model",
};

export const partWord = (part) => PARTS[part] ?? part.replaceAll("_", " ");

const STATUSES = { pending: "Waiting", processing: "Running", completed: "Done", failed: "Failed", cancelled: "Cancelled" };

export const statusWord = (status) => STATUSES[status] ?? status;

const TYPE_PARTS = { sdxl: "SDXL", video: "WAN film", image: "WAN picture", enhanced: "rewritten", "7b": "" };

// "sdxl_image_fast" -> "SDXL fast", "video7b_fast_enhanced" -> "WAN film fast rewritten"; works for types that this page
// has never heard of.
export function typeName(type) {
  const parts = type.replace("sdxl_image", "sdxl").replace("7b", "_7b").split("_");
  return parts.map((part) => TYPE_PARTS[part] ?? part).filter(Boolean).join(" ");
}

const ADVICE = {
  out_of_memory: "Try a smaller size, a shorter film or fewer pictures.",
  worker_lost: "The worker was replaced. Retry usually works.",
  poisoned: "This order stopped its worker three times. Change the size or the prompt before you try again.",
  model_missing: "Ask whoever runs the studio to check the model folder.",
  storage_full: "Make room by deleting pictures and films, then retry.",
  storage_error: "Retry; if it stays, tell whoever runs the studio.",
  timeout: "Retry, or ask for fewer steps.",
  policy_refused: "Word the prompt differently.",
  invalid_input: "Change the settings and order again.",
  internal: "Retry; if it stays, send the details to whoever runs the studio.",
};

export const advice = (code) => ADVICE[code] ?? ADVICE.internal;

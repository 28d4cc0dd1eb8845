// The studio's REST routes. Every failure is an ApiError with a sentence for a person and a public code.

export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export const SIGNED_OUT = "ov:signed-out"; // an event: the studio no longer knows whose page this is
const UNREACHABLE = "The studio cannot be reached right now. Your jobs go on; try again in a moment.";

async function ask(method, path, options = {}) {
  let response;
  try {
    response = await fetch(path, { method, headers: { Accept: "application/json", ...options.headers }, body: options.body });
  } catch {
    throw new ApiError(UNREACHABLE, "unreachable", 0);
  }
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 401) document.dispatchEvent(new Event(SIGNED_OUT));
  const error = body?.error;
  throw new ApiError(error?.message ?? `The studio answered with ${response.status}. Try again in a moment.`, error?.code ?? "internal", response.status);
}

function query(parameters) {
  const known = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return known.length ? `?${new URLSearchParams(known)}` : "";
}

const id = encodeURIComponent;

export const api = {
  jobs: (parameters = {}) => ask("GET", `/api/jobs${query(parameters)}`),
  job: (jobId) => ask("GET", `/api/jobs/${id(jobId)}`),
  cancel: (jobId) => ask("POST", `/api/jobs/${id(jobId)}/cancel`),
  retry: (jobId) => ask("POST", `/api/jobs/${id(jobId)}/retry`),
  summary: () => ask("GET", "/api/jobs/summary"),
  estimate: (work) => ask("GET", `/api/estimate${query(work)}`),
  assets: (parameters = {}) => ask("GET", `/api/assets${query(parameters)}`),
  asset: (assetId) => ask("GET", `/api/assets/${id(assetId)}`),
  change: (assetId, fields) =>
    ask("PATCH", `/api/assets/${id(assetId)}`, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) }),
  trash: (assetId) => ask("DELETE", `/api/assets/${id(assetId)}`),
  purge: (assetId) => ask("DELETE", `/api/assets/${id(assetId)}?permanently=true`),
  emptyTrash: () => ask("DELETE", "/api/trash"),
  storage: () => ask("GET", "/api/storage"),
  runAgain: (assetId) => ask("POST", `/api/assets/${id(assetId)}/run-again`),
  compare: (assetId, otherId) => ask("GET", `/api/assets/${id(assetId)}/compare${query({ with: otherId })}`),
  me: () => ask("GET", "/api/me"),
  device: () => ask("GET", "/api/device"),
  system: () => ask("GET", "/api/system"),
  restore: (assetId) => ask("POST", `/api/assets/${id(assetId)}/restore`),
  upload(file) {
    const form = new FormData();
    form.append("file", file);
    return ask("POST", "/api/uploads", { body: form });
  },
};

export const thumbnail = (assetId, size) => `/media/${id(assetId)}/thumbnail?size=${size}`;
export const media = (assetId) => `/media/${id(assetId)}`;
export const download = (assetId) => `/media/${id(assetId)}?download=1`;

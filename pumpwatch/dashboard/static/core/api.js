/** Asking this page's own server. */

/** It said no, or nothing: `message` is one sentence for people, `status` 0 if it cannot be reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const UNREACHABLE = "The page's server does not answer: is `pumpwatch dashboard` still running?";

/** The document at `path`; parameters that are null, false or empty are left out. */
export function get(path, params = {}, signal = undefined) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== false && value !== "") {
      url.searchParams.set(name, value === true ? "1" : value);
    }
  }
  return ask(url, { signal });
}

/** Send a document. It is the one way to change something, and needs what only our own page was given. */
export function post(path, document_) {
  return ask(new URL(path, location.origin), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Pumpwatch-Action": document.body.dataset.actionToken },
    body: JSON.stringify(document_),
  });
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", UNREACHABLE);
  }
  if (response.status === 401) {
    location.assign("/login");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const told = answer?.error ?? {};
  throw new ApiError(response.status, told.code ?? "unknown", told.message ?? `The page's server answered ${response.status}.`);
}

/** What every page has: the banner of where the data are from, the state of the line, the search, the clock. */

import { get } from "./api.js";
import { notice, write } from "./dom.js";

const ORIGINS = {
  simulator: "SIMULATED: these tokens, trades and prices are those of the built-in market, not of pump.fun.",
  replay: "REPLAY: a recorded session is shown again; nothing of this happens now.",
};
const HINT_MS = 15_000;
const STATES = {
  live: "live",
  polling: "live (asks each second)",
  paused: "paused",
  offline: "no connection",
  connecting: "connecting",
};

/** Whose data are shown. */
export function showOrigin(origin) {
  const banner = document.getElementById("origin");
  const text = ORIGINS[origin] ?? null;
  write(banner, text);
  banner.hidden = text === null;
  document.body.dataset.origin = origin ?? "unknown";
}

/** How the page gets its data; `error` is why it does not. For `state` of `listen`. */
export function showState(state, error = null) {
  const box = document.getElementById("live");
  box.dataset.state = state;
  write(box, STATES[state]);
  notice(error ? error.message : null);
}

/** Call `turn(now)` each second while the page is looked at: for ages. Unix seconds. */
export function eachSecond(turn) {
  setInterval(() => {
    if (!document.hidden) turn(Date.now() / 1000);
  }, 1000);
}

/** The header's search: `/` goes there; a mint or a wallet opens its page, other text the list of tokens that have it. */
export function startShell() {
  showOrigin(document.body.dataset.origin);
  hint();
  setInterval(() => {
    if (!document.hidden) hint();
  }, HINT_MS);
  const form = document.getElementById("find");
  const input = document.getElementById("find-text");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.blur();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text) find(text);
  });
}

/** Where something needed is undone, nothing new would come, and nobody would know why. */
async function hint() {
  const { hintStrip } = await import("../welcome.js");
  await hintStrip(document.getElementById("hint"));
}

const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;

async function find(text) {
  if (!ADDRESS.test(text)) {
    location.assign(`/?symbol=${encodeURIComponent(text)}`);
    return;
  }
  for (const [kind, path] of [["tokens", "token"], ["wallets", "wallet"]]) {
    try {
      await get(`/api/${kind}/${encodeURIComponent(text)}`);
      location.assign(`/${path}/${encodeURIComponent(text)}`);
      return;
    } catch (error) {
      if (error.status !== 404) {
        notice(error.message);
        return;
      }
    }
  }
  notice(`The record has neither a token nor a wallet ${text}.`);
}

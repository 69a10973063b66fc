/** Numbers, times and addresses as people read them. Unknown is always the same sign, and never a zero. */

export const UNKNOWN = "–";

export const WRAPPED_SOL = "So11111111111111111111111111111111111111112";
const QUOTES = {
  [WRAPPED_SOL]: "SOL",
  EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v: "USDC",
  USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB: "USD1",
};

export const TOKEN_DECIMALS = 6;

/** `SOL`, `USDC`, or the beginning of the mint; null is SOL, in which PumpPortal reports. */
export function quoteName(mint) {
  return mint === null || mint === undefined ? "SOL" : (QUOTES[mint] ?? short(mint));
}

/** Base units as a whole number of the coin, or null. */
export function whole(units, decimals) {
  return units === null || units === undefined || decimals === null || decimals === undefined ? null : units / 10 ** decimals;
}

const STEPS = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [1e3, "K"],
];

/** Three or four digits: `1.23K`, `45.6`, `0.00123`. */
export function compact(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  for (const [step, letter] of STEPS) if (size >= step) return digits(value / step, 3) + letter;
  return price(value, 3);
}

function digits(value, count) {
  const rounded = Number(value.toPrecision(count));
  return Math.abs(rounded) >= 10 ** (count - 1) ? String(Math.round(value)) : String(rounded);
}

const LOW = "₀₁₂₃₄₅₆₇₈₉";

/** A small price with its zeros counted: 0.0000000479 is `0.0₇479`. */
export function price(value, count = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return compact(value);
  if (size >= 1e-4) return digits(value, count);
  let exponent = Math.floor(Math.log10(size));
  let mantissa = Math.round((size / 10 ** exponent) * 10 ** (count - 1));
  if (mantissa >= 10 ** count) {
    mantissa /= 10;
    exponent += 1;
  }
  const zeros = [...String(-exponent - 1)].map((digit) => LOW[Number(digit)]).join("");
  return `${value < 0 ? "-" : ""}0.0${zeros}${String(mantissa).replace(/0+$/, "")}`;
}

/** `$1.2K`. */
export function usd(value) {
  return value === null || value === undefined ? UNKNOWN : `${value < 0 ? "-" : ""}$${compact(Math.abs(value))}`;
}

/** A share such as 0.123 as `+12.3 %`. */
export function change(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return UNKNOWN;
  const percent = share * 100;
  const shown = Math.abs(percent) >= 1000 ? compact(percent) : percent.toFixed(Math.abs(percent) >= 100 ? 0 : 1);
  return `${percent > 0 ? "+" : ""}${shown} %`.replace(/^[+-](0\.0+ %)$/, "$1");
}

/** Percent, as it comes. */
export function percent(value, places = 1) {
  return value === null || value === undefined ? UNKNOWN : `${value.toFixed(value === 100 || value === 0 ? 0 : places)} %`;
}

/** `1,234,567`. */
export function count(value) {
  return value === null || value === undefined ? UNKNOWN : value.toLocaleString("en-US");
}

/** `12s`, `3m`, `2h`, `5d`: how long ago, or how long. */
export function age(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  const passed = Math.max(0, Math.floor(seconds));
  if (passed < 60) return `${passed}s`;
  if (passed < 3600) return `${Math.floor(passed / 60)}m`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)}h`;
  return `${Math.floor(passed / 86_400)}d`;
}

/** Unix seconds as `2026-11-23 14:05:09`, UTC. */
export function moment(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? UNKNOWN : date.toISOString().slice(0, 19).replace("T", " ");
}

/** The same, of the day only `14:05:09`. */
export function clock(seconds) {
  return seconds === null || seconds === undefined ? UNKNOWN : moment(seconds).slice(11);
}

/** `7xKX…9fGh`. */
export function short(address) {
  if (!address) return UNKNOWN;
  return address.length > 10 ? `${address.slice(0, 4)}…${address.slice(-4)}` : address;
}

/** `12.3 MB`. */
export function bytes(size) {
  if (size === null || size === undefined) return UNKNOWN;
  const steps = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let left = size;
  while (left >= 1000 && step < steps.length - 1) {
    left /= 1000;
    step += 1;
  }
  return `${digits(left, 3)} ${steps[step]}`;
}

// A name may hold signs that turn the line around, hide, or are none: they are shown as what they are. One that joins two emoji may stay.
const HOSTILE = /(?!(?<=\p{ExtPict}[\uFE0F\p{EMod}]?)\u200D\p{ExtPict})[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029]/gu;
const MARKS = /(\p{M}{3})\p{M}+/gu;

/** Text of the chain on one line: no control signs, no turning around, no tower of marks. */
export function visible(text, limit = 200) {
  if (text === null || text === undefined) return "";
  const cleaned = String(text).replace(HOSTILE, "�").replace(MARKS, "$1");
  if (!cleaned.trim()) return ""; // a name of blanks is none: what is shown in its place can be seen
  const letters = [...cleaned];
  return letters.length > limit ? `${letters.slice(0, limit).join("")}…` : cleaned;
}

/** Small parts that the token's and the wallet's page share. */

import { el, write } from "./core/dom.js";
import { age, compact, count, moment, quoteName, short, TOKEN_DECIMALS, UNKNOWN, visible, whole } from "./core/format.js";

const DECIMALS = {
  SOL: 9,
  USDC: 6,
  USD1: 6,
};

/** How many decimals a quote has, where its mint tells; null: unknown. */
export function decimalsOf(mint) {
  return DECIMALS[quoteName(mint)] ?? null;
}

/** Base units of a token as `1.23M`. */
export function tokens(units) {
  return compact(whole(units, TOKEN_DECIMALS));
}

/** Base units of a quote as `1.23`, without its name. */
export function amount(units, decimals) {
  return compact(whole(units, decimals));
}

/** The same with its name and, where `isSigned`, a plus. */
export function money(units, mint, decimals = decimalsOf(mint), isSigned = false) {
  const value = whole(units, decimals);
  if (value === null) return UNKNOWN;
  return `${isSigned && value > 0 ? "+" : ""}${compact(value)} ${quoteName(mint)}`;
}

/** All digits of base units, in groups: nothing rounded. */
export function exact(units, decimals) {
  if (units === null || units === undefined || decimals === null || decimals === undefined) return UNKNOWN;
  const digits = String(Math.abs(units)).padStart(decimals + 1, "0");
  const front = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const sign = units < 0 ? "−" : "";
  return decimals === 0 ? `${sign}${front}` : `${sign}${front}.${digits.slice(-decimals)}`;
}

/** `3 trades`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** `up`, `down` or nothing, for a number's colour. */
export function way(value) {
  return value > 0 ? "up" : value < 0 ? "down" : "";
}

/** A link to a wallet's page. */
export function walletLink(address) {
  return el("a", { class: "mono", href: `/wallet/${encodeURIComponent(address)}`, title: address }, short(address));
}

/** A link to a token's page: its symbol as its maker wrote it, or the mint. */
export function tokenLink(mint, symbol) {
  const name = visible(symbol, 24);
  return el("a", { href: `/token/${encodeURIComponent(mint)}`, title: mint }, name ? el("bdi", {}, name) : el("span", { class: "mono" }, short(mint)));
}

/** A word in a frame. */
export function chip(text, kind = "", title = "") {
  return el("span", { class: `chip ${kind}`.trim(), title }, text);
}

/** An address with a button that copies it. */
export function address(text, what) {
  const shown = el("code", { class: "address" }, text);
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(shown); // without TLS off this machine there is no clipboard for pages
      said = "Marked: Ctrl+C";
    }
    write(button, said);
    setTimeout(() => write(button, "Copy"), 1600);
  });
  return el("span", { class: "addressed" }, shown, button);
}

/** A pair of a definition list whose value is shown again and again: `show(text, class)`. */
export function fact(label, title = "") {
  const value = el("dd");
  const element = el("div", { title }, el("dt", {}, label), value);
  return {
    element,
    value,
    show(text, kind = "") {
      write(value, text);
      if (value.className !== kind) value.className = kind;
    },
  };
}

/** A list of facts by name: `[name, label, title]`. */
export function facts(...wanted) {
  const made = Object.fromEntries(wanted.map(([name, label, title]) => [name, fact(label, title)]));
  return { ...made, element: el("dl", { class: "facts" }, Object.values(made).map((one) => one.element)) };
}

/** A bar that is divided between buys and sells. */
export function splitBar() {
  return el("span", { class: "split", role: "img", hidden: true }, el("i"), el("i"));
}

export function showSplit(bar, buys, sells) {
  const all = buys + sells;
  bar.hidden = all === 0;
  bar.style.setProperty("--buys", all ? `${(buys / all) * 100}%` : "50%");
  const told = `${plural(buys, "buy")}, ${plural(sells, "sell")}`;
  if (bar.title !== told) {
    bar.title = told;
    bar.setAttribute("aria-label", told);
  }
}

const SOURCES = [
  ["pumpportal", "P", "PumpPortal told it"],
  ["helius", "H", "a Solana endpoint's live feed told it (Helius, or what stands in its place)"],
  ["backfill", "B", "backfill fetched it from the chain's history"],
];

/** Who told of a trade: P, H, B. */
export function sourceMarks() {
  return el("span", { class: "sources" }, SOURCES.map(([, letter, text]) => el("b", { title: text }, letter)));
}

export function showSources(marks, sources) {
  const had = (sources ?? "").split(",");
  const told = SOURCES.filter(([name]) => had.includes(name)).map(([, , text]) => text);
  SOURCES.forEach(([name], place) => marks.children[place].classList.toggle("had", had.includes(name)));
  marks.setAttribute("aria-label", told.join("; ") || "no source");
}

/** `12s ago` with the moment as its title; unix seconds. */
export function showAgo(element, seconds, now) {
  write(element, seconds === null || seconds === undefined ? UNKNOWN : `${age(now - seconds)} ago`);
  const title = seconds === null || seconds === undefined ? "" : `${moment(seconds)} UTC`;
  if (element.title !== title) element.title = title;
}

/** A heading over a card's content. */
export function card(name, title, ...children) {
  return el("section", { class: `card ${name}`, "aria-labelledby": `${name}-title` }, el("h2", { id: `${name}-title` }, title), ...children);
}

/** A row of buttons of which one is pressed. */
export function choice(label, options, chosen, onChange) {
  const buttons = options.map(([value, text, title]) =>
    el("button", { type: "button", title: title ?? "", "aria-pressed": String(value === chosen), "data-value": value, on: { click: () => choose(value) } }, text),
  );
  function choose(value) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
    onChange(value);
  }
  return el("div", { class: "tabs small", role: "group", "aria-label": label }, buttons);
}

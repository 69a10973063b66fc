/** The columns of the list of tokens: what each shows, and how it shows it. */

import { badge, showBadge } from "./core/badge.js";
import { el, write } from "./core/dom.js";
import { age, change, compact, count, percent, price, quoteName, short, usd, visible, whole } from "./core/format.js";
import { showSpark, spark } from "./core/spark.js";

const NAMELESS = "(no name)";

/** Every column; `pin(row, button)` is called for the button of a row. */
export function columns(pin) {
  return [
    { id: "token", label: "Token", class: "token", make: makeToken, show: showToken },
    { id: "record", label: "Record", class: "record", make: (td) => td.append(badge()), show: (td, row) => showBadge(td.firstChild, row) },
    { id: "price", label: "Price", class: "number price", make: makePrice, show: showPrice },
    { id: "cap", label: "Market cap", class: "number cap", order: "market-cap", show: (td, row) => write(td, marketCap(row)) },
    { id: "progress", label: "Curve sold", class: "progress", order: "progress", make: makeProgress, show: showProgress },
    { id: "volume", label: "Volume 1h", class: "number volume", order: "volume-1h", show: (td, row) => write(td, volume(row)) },
    { id: "sides", label: "Buys / sells 1h", class: "sides", make: makeSides, show: showSides },
    { id: "change", label: "1h", class: "number change", order: "change", show: showChange },
    { id: "trades", label: "Trades", class: "number trades", order: "trades", show: (td, row) => write(td, count(row.trades)) },
    { id: "age", label: "Age", class: "number age", order: "newest", show: (td, row) => write(td, since(row.created_at)) },
    { id: "last", label: "Last trade", class: "number last", order: "last-trade", show: (td, row) => write(td, since(row.last_trade_at)) },
    { id: "spark", label: "Last hour", class: "line", make: (td) => td.append(spark()), show: showLine },
    { id: "pin", label: "Watch", class: "pin", make: (td, row) => makePin(td, row, pin), show: showPin },
  ];
}

/** Columns that change as time passes. */
export const TIMED = ["age", "last"];

function since(at) {
  return age(at === null ? null : Date.now() / 1000 - at);
}

function makeToken(td, row) {
  const link = el("a", { href: `/token/${encodeURIComponent(row.mint)}` });
  td.append(el("div", { class: "names" }, link, el("span", { class: "soft name" }), el("span", { class: "flags" })));
}

function showToken(td, row) {
  const [link, name, flags] = td.firstChild.children;
  write(link, visible(row.symbol, 24) || visible(row.name, 24) || short(row.mint));
  write(name, visible(row.name, 60) || NAMELESS);
  const kinds = [
    [row.is_mayhem_mode, "mayhem"],
    [row.is_cashback_enabled, "cashback"],
    [row.is_holder_reward, "holder reward"],
  ];
  write(flags, kinds.filter(([is]) => is).map(([, word]) => word).join(", "));
  const title = `${visible(row.name, 100)}\n${row.mint}`;
  if (link.title !== title) link.title = title;
}

function makePrice(td) {
  td.append(el("div", { class: "strong" }), el("div", { class: "soft small" }));
}

function showPrice(td, row) {
  const [own, dollars] = td.children;
  const before = own.dataset.price;
  const now = row.price === null ? "" : String(row.price);
  write(own, row.price === null ? price(null) : `${price(row.price)} ${quoteName(row.quote_mint)}`);
  write(dollars, row.price_usd === null ? "" : usd(row.price_usd));
  own.dataset.price = now;
  if (before !== undefined && before !== now && before !== "" && now !== "") flash(td, Number(now) > Number(before));
}

/** A short colour where a number moved; started anew if it still runs. */
function flash(td, isUp) {
  td.classList.remove("rose", "fell");
  void td.offsetWidth; // so that the animation begins again
  td.classList.add(isUp ? "rose" : "fell");
}

function marketCap(row) {
  if (row.market_cap_usd !== null) return usd(row.market_cap_usd);
  return row.market_cap === null ? compact(null) : `${compact(row.market_cap)} ${quoteName(row.quote_mint)}`;
}

function volume(row) {
  if (row.hour.volume_usd !== null) return usd(row.hour.volume_usd);
  const amount = whole(row.hour.volume, row.quote_decimals);
  return amount === null ? compact(null) : `${compact(amount)} ${quoteName(row.quote_mint)}`;
}

function makeProgress(td) {
  td.append(el("progress", { max: 100, value: 0, "aria-label": "Share of the curve that is sold" }), el("span", { class: "small" }));
}

function showProgress(td, row) {
  const [bar, text] = td.children;
  const isOver = row.status !== "curve";
  bar.hidden = isOver || row.progress === null;
  if (!bar.hidden && bar.value !== row.progress) bar.value = row.progress;
  write(text, isOver ? row.status : percent(row.progress, row.progress !== null && row.progress > 99 ? 2 : 0));
  text.className = isOver ? "small status" : "small";
}

function makeSides(td) {
  td.append(
    el("span", { class: "up small" }),
    el("meter", { class: "balance", min: 0, max: 1, "aria-hidden": "true" }),
    el("span", { class: "down small" }),
  );
}

function showSides(td, row) {
  const [buys, bar, sells] = td.children;
  write(buys, count(row.hour.buys));
  write(sells, count(row.hour.sells));
  bar.hidden = row.hour.trades === 0;
  const share = row.hour.trades ? row.hour.buys / row.hour.trades : 0;
  if (bar.value !== share) bar.value = share;
  td.title = `${row.hour.buys} buys, ${row.hour.sells} sells in the last hour`;
}

function showChange(td, row) {
  const moved = row.hour.price_change;
  write(td, change(moved));
  td.classList.toggle("up", moved > 0);
  td.classList.toggle("down", moved < 0);
  td.title = row.hour.is_from_first ? "Since its first trade" : "";
}

function showLine(td, row) {
  showSpark(td.firstChild, row.hour.closes);
}

function makePin(td, row, pin) {
  const button = el("button", { type: "button", class: "pinning" });
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    pin(row.mint, button);
  });
  td.append(button);
}

function showPin(td, row) {
  const button = td.firstChild;
  const isPinned = row.watched === "pinned" || row.watched === "asked";
  button.setAttribute("aria-pressed", String(isPinned));
  write(button, isPinned ? "★" : "☆");
  const name = visible(row.symbol, 24) || short(row.mint);
  const says = isPinned ? `Unpin ${name}` : `Pin ${name}: watch it until it is unpinned`;
  button.setAttribute("aria-label", says);
  button.title = row.watched === null || isPinned ? says : `${says} (watched now: ${row.watched})`;
}

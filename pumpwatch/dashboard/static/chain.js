/** The chain of a token's last trades, link by link: the newest on top, each hole where it is. */

import { el, keyed, write } from "./core/dom.js";
import { clock, count, moment, quoteName, visible } from "./core/format.js";
import { lackText } from "./gaps.js";
import { arithmetic } from "./arithmetic.js";
import { amount, card, chip, choice, exact, showSources, sourceMarks, tokens, walletLink } from "./pieces.js";

const MOST_BEADS = 100;
const ON_THEIR_WAY_MS = 5000;
const LENGTHS = [["50", "50"], ["200", "200"], ["500", "500"]];

export class Chain {
  /** `onLength` is called when another number of trades is wanted. */
  constructor(onLength) {
    this.length = 50;
    this.open = new Set();
    this.list = el("ol", { class: "chain" });
    this.beads = el("div", { class: "beads", "aria-hidden": "true" });
    this.beads.addEventListener("click", (event) => this.jump(event.target.dataset.item));
    const lengths = choice("How many trades", LENGTHS, "50", (value) => {
      this.length = Number(value);
      onLength();
    });
    const head = el("div", { class: "chain-head" }, el("p", { class: "soft" }, "Each trade must begin in the very reserves in which the one below it ended. Open one to check it yourself."), lengths);
    this.element = card("chain-card", "The chain, link by link", head, this.beads, el("div", { class: "chain-scroll", tabIndex: 0, role: "region", "aria-label": "Chain of trades" }, this.list));
  }

  show(proof, token) {
    this.proof = proof;
    const items = itemsOf(proof, token);
    keyed(this.list, items, (item) => item.key, (item) => this.make(item), (element, item) => this.update(element, item));
    const beads = items.filter((item) => item.kind !== "begin").slice(0, matchMedia("(max-width: 640px)").matches ? 48 : MOST_BEADS);
    keyed(this.beads, beads.reverse(), (item) => item.key, (item) => el("i", { "data-item": item.key }), (bead, item) => {
      bead.dataset.kind = item.kind === "trade" ? mark(item.bead) : item.kind;
      bead.dataset.link = item.kind === "trade" ? (lackOf(item.bead) ?? item.bead.link) : "";
      bead.title = item.kind === "trade" ? `${item.bead.trade.side}, slot ${count(item.bead.trade.slot)}` : item.kind;
    });
    this.isBegun = true;
  }

  make(item) {
    const element = el("li", { "data-item": item.key, tabIndex: -1 });
    if (this.isBegun && item.kind === "trade") element.classList.add("fresh");
    if (item.kind !== "trade") {
      element.append(rail(), el("div", { class: "between" }, el("b"), el("p", { class: "soft" })));
      return element;
    }
    const check = el("button", { type: "button", class: "check", "aria-expanded": "false", on: { click: () => this.toggle(element, item.key) } }, "Check");
    element.append(
      rail(),
      el("span", { class: "at mono" }),
      el("span", { class: "side" }),
      el("span", { class: "amount number" }, el("span"), el("small")),
      el("span", { class: "tokens number soft" }),
      el("span", { class: "ends number mono soft", title: "The reserve of the quote after this trade" }),
      walletLink(item.bead.trade.wallet),
      sourceMarks(),
      chip("fetched", "fetched", "No feed brought it: backfill fetched it from the chain"),
      check,
    );
    return element;
  }

  update(element, item) {
    Object.assign(element.dataset, { kind: item.kind, above: item.above, below: item.below });
    if (item.kind !== "trade") {
      const [title, text] = element.lastChild.children;
      write(title, item.title);
      write(text, item.text);
      return;
    }
    const { bead } = item;
    const { trade } = bead;
    const decimals = this.proof.quote_decimals;
    element.dataset.link = bead.link;
    element.dataset.mark = mark(bead);
    element.dataset.side = trade.side;
    const [, at, side, quote, token, ends, , sources, fetched] = element.children;
    write(at, trade.block_time === null ? "…" : clock(trade.block_time));
    at.title = trade.slot === null ? "The chain has not told it" : `${moment(trade.block_time)} UTC, slot ${count(trade.slot)}`;
    write(side, trade.side);
    write(quote.firstChild, amount(trade.quote_amount, decimals));
    write(quote.lastChild, ` ${quoteName(this.proof.quote_mint)}`);
    write(token, tokens(trade.token_amount));
    write(ends, trade.virtual_quote_reserves === null ? "not told" : exact(trade.virtual_quote_reserves, decimals));
    showSources(sources, trade.sources);
    fetched.hidden = !bead.fetched;
    element.lastChild.hidden = false;
    if (this.open.has(item.key)) this.showArithmetic(element, item);
  }

  toggle(element, key) {
    const isOpen = !this.open.delete(key);
    if (isOpen) this.open.add(key);
    const item = itemsOf(this.proof, {}).find((one) => one.key === key);
    this.showArithmetic(element, item);
  }

  showArithmetic(element, item) {
    const isOpen = this.open.has(item.key);
    const button = element.querySelector(".check");
    button.setAttribute("aria-expanded", String(isOpen));
    const said = `${item.bead.link} ${item.bead.trade.state} ${item.before?.trade.id}`;
    const shown = element.querySelector(".sum");
    if (isOpen && shown?.dataset.said === said) return;
    shown?.remove();
    if (!isOpen) return;
    const made = arithmetic(item, this.proof);
    made.dataset.said = said;
    element.append(made);
  }

  /** Bring an item into sight: of this key, or the first hole. */
  jump(key) {
    const element = key ? [...this.list.children].find((one) => one.dataset.item === key) : this.list.querySelector('[data-kind="hole"]');
    element?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    element?.focus({ preventScroll: true });
  }
}

function rail() {
  return el("span", { class: "rail", "aria-hidden": "true" }, el("i"));
}

function mark(bead) {
  return bead.link === "unordered" ? "loose" : bead.fetched ? "fetched" : "told";
}

/** The list as it is shown: trades, what lies between them, accounts of the chain where they were read, the beginning below. */
function itemsOf(proof, token) {
  const items = [];
  const anchors = shownAnchors(proof);
  const before = new Map();
  let last = null;
  for (const bead of proof.chain) {
    before.set(bead, last);
    if (bead.link !== "unordered") last = bead;
  }
  for (let place = proof.chain.length - 1; place >= 0; place -= 1) {
    const bead = proof.chain[place];
    const { trade } = bead;
    while (anchors.length > 0 && trade.slot !== null && trade.slot <= anchors[0].slot) items.push(anchorItem(anchors.shift()));
    items.push({ kind: "trade", key: `t${trade.id ?? `${trade.signature}/${trade.event_index}`}`, bead, before: before.get(bead) });
    if (lackOf(bead)) items.push(lackItem(bead, proof));
  }
  items.push(beginItem(proof, token));
  items.forEach((item, place) => {
    item.above = place > 0 ? items[place - 1].below : "none";
    item.below = below(item);
  });
  return items;
}

/** The line from an item down to the next. */
function below({ kind, bead }) {
  if (kind === "trade") return bead.link === "unordered" ? "doubt" : lackOf(bead) ?? "solid";
  return { hole: "hole", doubt: "doubt", unwatched: "unwatched", begin: "none" }[kind] ?? "solid";
}

/** The newest account that agrees, and one that is ahead of the record for longer than trades are on their way. */
function shownAnchors({ anchors }) {
  const agreed = anchors.find((one) => one.exists && one.agrees);
  const newest = anchors.find((one) => one.exists);
  const isAhead = newest && !newest.agrees && Date.now() - newest.asked_at_us / 1000 > ON_THEIR_WAY_MS;
  return [isAhead ? newest : null, agreed].filter(Boolean);
}

function anchorItem(anchor) {
  const at = `The chain's own account, read at slot ${count(anchor.slot)}`;
  if (!anchor.agrees) return { kind: "ahead", key: "ahead", title: `${at}, is ahead of the record`, text: "It is in a state that follows none of our trades: some are on their way, or missing." };
  return { kind: "anchor", key: "anchor", title: `${at}, agrees`, text: "Its reserves are those that our trades lead to: up to here nothing can be missing." };
}

/** What a bead does not link across: a hole, a doubt, a time when nothing was watched; null: it links. */
function lackOf({ link, missing }) {
  if (link !== "hole" && link !== "doubt") return null;
  return missing?.is_unwatched ? "unwatched" : link;
}

function lackItem(bead, proof) {
  const { missing } = bead;
  const gap = proof.gaps.find((one) => one.id === bead.gap);
  const slots = missing ? `slots ${count(missing.from_slot)} to ${count(missing.to_slot)}` : "here";
  const what = missing ? lackText(missing, proof.quote_mint, proof.quote_decimals) : "how much is not known";
  if (lackOf(bead) === "unwatched") return { kind: "unwatched", key: `h${bead.trade.id}`, title: "It was not watched then", text: `What was traded in ${slots} is no part of this record.` };
  if (bead.link === "doubt") return { kind: "doubt", key: `h${bead.trade.id}`, title: "The reserves moved without a trade", text: `Between ${slots}: ${missing?.reason ?? "why is not known"}. Whether a trade hides in it, only the chain's list tells.` };
  const state = { open: "It waits for backfill.", filling: "Backfill is fetching it.", unfillable: `It cannot be filled: ${visible(gap?.reason) || "the chain's history does not explain it"}.` };
  const one = missing?.fits_one_trade ? " A single trade would fit." : "";
  return { kind: "hole", key: `h${bead.trade.id}`, title: `Hole: trades are missing, ${slots}`, text: `Unseen between these two: ${what}.${one} ${state[gap?.state] ?? "It is about to be fetched."}` };
}

function beginItem(proof, token) {
  const shown = proof.chain.length;
  const earlier = Math.max(0, (token.trades ?? 0) - shown);
  if (earlier > 0) return { kind: "begin", key: "begin", title: `${count(earlier)} earlier trades`, text: "Chained alike: see the strip above." };
  if (proof.completeness === "complete") return { kind: "begin", key: "begin", title: "The creation", text: "The first trade begins in the reserves of the token's own creation." };
  return { kind: "begin", key: "begin", title: "The record begins", text: "What was traded before is not in it." };
}

/** What may have cost trades of a token, and what became of each. */

import { el, keyed, write } from "./core/dom.js";
import { age, clock, count, moment, UNKNOWN, visible } from "./core/format.js";
import { card, chip, money, plural, tokens } from "./pieces.js";

const SHOWN = 12;

const CAUSES = {
  break: "Two trades did not chain",
  doubt: "Whether two trades chain could not be told",
  tail: "The chain's account was ahead of the record",
  disconnected: "A feed lost its connection",
  silent: "A feed was open and told nothing",
  start: "Pinned before anything was subscribed",
  restart: "No recorder ran",
  watched: "Watched before its subscription was confirmed",
  "log truncated": "An endpoint cut a transaction's log",
  refused: "The server refused its subscription",
  limit: "More than the provider allows",
  budget: "The budget was spent",
  "spill full": "The disk was full",
  "spill torn": "The end of the spill file was lost",
  disk: "The disk was nearly full",
};
const CLOSED = {
  chain: "the trades chain across it, and the chain's account agrees",
  signatures: "the chain's own list is recorded whole",
  transaction: "its transaction was read from the chain",
  "nothing was watched": "nothing was watched then",
};
const STATES = {
  open: "open",
  filling: "being filled",
  closed: "repaired",
  unfillable: "cannot be filled",
};

export function causeOf(gap) {
  return CAUSES[gap.cause] ?? visible(gap.cause);
}

/** What was missing, as far as the reserves tell it: `1.2M tokens sold, 0.5 SOL`. */
export function lackText({ token_amount: token, quote_amount: quote }, quoteMint, decimals) {
  if (token === null) return "how much is not known";
  if (token === 0 && (quote ?? 0) === 0) return "the reserves are as they were: buys and sells cancel out";
  const tokensText = token === 0 ? "no tokens" : `${tokens(Math.abs(token))} tokens ${token < 0 ? "bought" : "sold"}`;
  if (quote === null) return `net ${tokensText}`;
  return `net ${tokensText}, ${money(Math.abs(quote), quoteMint, decimals)} ${quote < 0 ? "out of" : "into"} it`;
}

/** Is it one of those that are not over? */
export function isOpen(gap) {
  return gap.state === "open" || gap.state === "filling";
}

/** Is it known that trades are missing there? Other gaps may have cost some, or none. */
export function isHole(gap) {
  return gap.cause === "break" || gap.cause === "tail";
}

export class Gaps {
  constructor() {
    this.list = el("ol", { class: "gaps" });
    this.remark = el("p", { class: "soft" });
    this.all = el("button", { type: "button", hidden: true, on: { click: () => this.showAll() } });
    this.element = card("gaps-card", "What may have cost trades, and what became of it", this.remark, this.list, this.all);
    this.isAll = false;
  }

  show(proof, now) {
    this.proof = proof;
    const gaps = [...proof.gaps].sort((a, b) => isOpen(b) - isOpen(a) || (b.state === "unfillable") - (a.state === "unfillable") || b.id - a.id);
    const number = (test) => gaps.filter(test).length;
    const parts = [
      [number(isOpen), "open"],
      [number((gap) => gap.state === "unfillable"), "not to be filled"],
      [number((gap) => gap.state === "closed"), "repaired"],
    ].filter(([some]) => some > 0);
    write(this.remark, gaps.length === 0 ? "Nothing has: no gap is known of this token." : `${parts.map(([some, word]) => `${count(some)} ${word}`).join(", ")}. A gap closes by proof alone, never by time.`);
    const shown = this.isAll ? gaps : gaps.slice(0, Math.max(SHOWN, number(isOpen)));
    keyed(this.list, shown, (gap) => gap.id, makeGap, (item, gap) => showGap(item, gap, proof, now));
    this.all.hidden = shown.length === gaps.length;
    write(this.all, `Show all ${count(gaps.length)}`);
  }

  showAll() {
    this.isAll = true;
    this.show(this.proof, Date.now() / 1000);
  }

  refresh(now) {
    if (!this.proof) return;
    const gaps = new Map(this.proof.gaps.map((gap) => [String(gap.id), gap]));
    for (const item of this.list.children) {
      const gap = gaps.get(item.dataset.gap);
      if (gap && isOpen(gap)) showGap(item, gap, this.proof, now);
    }
  }
}

function makeGap(gap) {
  return el(
    "li",
    { id: `gap-${gap.id}`, "data-gap": gap.id, tabIndex: -1 },
    el("div", { class: "gap-line" }, chip("", "gap-state"), el("b"), el("span", { class: "soft when" })),
    el("p", { class: "soft" }),
  );
}

function showGap(item, gap, proof, now) {
  item.dataset.state = gap.state;
  item.toggleAttribute("data-hole", isHole(gap));
  const [line, story] = item.children;
  const [state, cause, when] = line.children;
  write(state, STATES[gap.state] ?? gap.state);
  write(cause, causeOf(gap) + (gap.feed ? `: ${visible(gap.feed)}` : ""));
  write(when, whenText(gap, now));
  when.title = gap.from_us ? `from ${moment(gap.from_us / 1e6)} UTC` : "";
  write(story, storyOf(gap, proof));
}

function whenText(gap, now) {
  if (!gap.from_us) return "since when is not known";
  const from = gap.from_us / 1e6;
  const slots = gap.from_slot === null ? "" : gap.to_slot === null || gap.to_slot === gap.from_slot ? `, slot ${count(gap.from_slot)}` : `, slots ${count(gap.from_slot)} to ${count(gap.to_slot)}`;
  if (isOpen(gap)) return `for ${age(now - from)}${slots}`;
  return `${clock(from)}${slots}`;
}

function storyOf(gap, proof) {
  const told = [];
  if (gap.net_token_amount !== null) {
    told.push(`Unseen: ${lackText({ token_amount: gap.net_token_amount, quote_amount: gap.net_quote_amount }, proof.quote_mint, proof.quote_decimals)}.`);
  }
  if (gap.state === "open") told.push("It waits for backfill.");
  if (gap.state === "filling") told.push("Backfill reads it from the chain.");
  if (gap.state === "unfillable") told.push(`${visible(gap.reason) || "The chain's history does not explain it"}.`);
  if (gap.state === "closed") {
    const brought = gap.found > 0 ? `${plural(gap.found, "trade")} fetched` : "nothing had to be fetched";
    const seconds = gap.closed_at_us === null || !gap.from_us ? null : (gap.closed_at_us - gap.from_us) / 1e6;
    told.push(`${brought[0].toUpperCase()}${brought.slice(1)}; closed ${seconds === null ? "" : `after ${age(seconds)} `}because ${CLOSED[gap.closed_by] ?? (visible(gap.closed_by) || UNKNOWN)}.`);
  }
  return told.join(" ");
}

/** The proof of a token's record: the verdict in a sentence, its life as a strip, its chain link by link, its gaps. */

import { get } from "./core/api.js";
import { badge, showBadge } from "./core/badge.js";
import { el, write } from "./core/dom.js";
import { age, clock, count, moment, visible } from "./core/format.js";
import { Chain } from "./chain.js";
import { Gaps, causeOf, isOpen } from "./gaps.js";
import { facts, plural } from "./pieces.js";
import { Strip } from "./strip.js";

const SIGNS = { complete: "✓", since: "✓", spell: "✓", holes: "!", unproven: "?" };
const TITLES = {
  complete: "Nothing is missing, and here is the proof",
  since: "Nothing is missing since it was watched, and here is the proof",
  spell: "Nothing is missing of the time it was watched",
  holes: "Trades are missing",
  unproven: "It cannot be proved yet that nothing is missing",
};
const HOW = [
  ["Each trade links to the one before it.", "A curve keeps two reserves, tokens and the quote. A trade moves them by its own amounts and begins exactly where the trade before it ended, to the last unit. If trades are missing between two recorded ones, their reserves do not meet, and the difference is the net size of what is missing."],
  ["The account on the chain proves the end.", "Its reserves, read from the chain itself, must be those after the last recorded trade. Then nothing is missing up to there, whichever feed may have lost something."],
  ["A hole is fetched, and closes by proof alone.", "Backfill reads the chain's own list of transactions. The hole is closed when the trades chain across it, or the list is recorded whole; never because time has passed."],
  ["What it cannot tell.", "Transfers between wallets, other pools and other exchanges are no part of this record. A pool's proof is weaker than a curve's: its reserves also move without trades."],
];

export class Proof {
  constructor(mint) {
    this.mint = mint;
    this.known = new Map();
    this.sign = el("span", { class: "sign", "aria-hidden": "true" });
    this.title = el("h2", { id: "proof-title" }, "Reading the proof…");
    this.badge = badge();
    this.verdict = el("p", { class: "verdict" });
    this.news = el("p", { class: "news", role: "status" });
    this.jump = el("button", { type: "button", hidden: true, on: { click: () => this.chain.jump() } }, "Show the hole");
    this.facts = facts(
      ["proven", "Proven up to slot", "Every trade up to this slot, and of it, is recorded"],
      ["chained", "Chained trades", "Trades that link, one to the next, without a break"],
      ["holes", "Holes now", "Places where trades are missing"],
      ["repaired", "Repaired", "Gaps that were closed by proof"],
      ["fetched", "Fetched", "Trades that no feed brought: backfill did"],
      ["sources", "Told by", "How many of its trades each source told: PumpPortal / Helius or another Solana endpoint / backfill"],
    );
    this.strip = new Strip();
    this.chain = new Chain(() => this.reload().catch((error) => write(this.news, error.message)));
    this.gaps = new Gaps();
    const how = el("details", { class: "how" }, el("summary", {}, "How is this proved?"), el("dl", {}, HOW.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text)))));
    const words = el("div", { class: "words" }, el("div", { class: "titled" }, this.title, this.badge, this.jump), this.verdict, this.news);
    this.element = el("section", { class: "card proof", "aria-labelledby": "proof-title" }, el("div", { class: "verdict-head" }, this.sign, words), this.strip.element, this.facts.element, how);
  }

  async reload() {
    const proof = await get(`/api/tokens/${encodeURIComponent(this.mint)}/proof`, { limit: this.chain.length });
    this.proof = proof;
    if (this.token) this.draw();
  }

  /** The row of the board: when it was created, how many trades it has. */
  setToken(token) {
    const isFirst = this.token === undefined;
    this.token = token;
    if (isFirst && this.proof) this.draw();
  }

  /** Is something going on that no change of the record's verdict will tell? */
  get isUnsettled() {
    return this.proof !== undefined && (this.proof.gaps.some(isOpen) || this.proof.chain.some(isHole));
  }

  draw() {
    const { proof } = this;
    const now = Date.now() / 1000;
    this.element.dataset.verdict = proof.completeness;
    write(this.sign, SIGNS[proof.completeness] ?? "?");
    write(this.title, TITLES[proof.completeness] ?? "");
    showBadge(this.badge, proof);
    this.jump.hidden = !proof.chain.some(isHole);
    this.tellNews();
    const repaired = proof.gaps.filter((gap) => gap.state === "closed");
    this.facts.proven.show(proof.proven_to_slot === null ? "nothing yet" : count(proof.proven_to_slot));
    this.facts.chained.show(`${count(proof.segments.reduce((sum, one) => sum + one.trades, 0))} in ${plural(proof.segments.length, "run")}`);
    this.facts.holes.show(count(proof.holes ?? 0), proof.holes ? "down" : "");
    this.facts.repaired.show(count(repaired.length));
    this.facts.fetched.show(plural(proof.sources.backfilled, "trade"));
    this.facts.sources.show(`P ${count(proof.sources.pumpportal)} · H ${count(proof.sources.helius)} · B ${count(proof.sources.backfill)}`);
    this.strip.show(proof, this.token, now);
    this.chain.show(proof, this.token);
    this.gaps.show(proof, now);
    this.refresh(now);
  }

  /** Say it when a gap has closed that was seen open: that is what this is for. */
  tellNews() {
    for (const gap of this.proof.gaps) {
      const before = this.known.get(gap.id);
      this.known.set(gap.id, gap.state);
      if (before === undefined || before === gap.state || isOpen(gap)) continue;
      const brought = gap.found > 0 ? `${plural(gap.found, "trade")} fetched from the chain` : "nothing had to be fetched";
      write(this.news, gap.state === "closed" ? `Repaired: ${causeOf(gap).toLowerCase()}; ${brought}, closed ${clock(gap.closed_at_us / 1e6)} UTC.` : `Cannot be filled: ${causeOf(gap).toLowerCase()}.`);
    }
  }

  refresh(now) {
    if (!this.proof || !this.token) return;
    write(this.verdict, sentence(this.proof, this.token, now));
    this.gaps.refresh(now);
  }
}

function isHole({ link, missing }) {
  return link === "hole" && !missing?.is_unwatched;
}

/** What is proven, from when to when, and why. */
function sentence(proof, token, now) {
  const until = proof.complete_until === null ? "" : ` (${day(proof.complete_until, now)} UTC, ${age(now - proof.complete_until)} ago)`;
  const end = proof.proven_to_slot === null ? "" : ` to slot ${count(proof.proven_to_slot)}${until}`;
  const chained = "Each links to the one before it to the last unit, and the chain's own account is in the state that they lead to.";
  const weak = proof.reason ? ` Note: ${reasonOf(proof)}.` : "";
  const pruned = proof.pruned_until ? ` Trades up to ${moment(proof.pruned_until)} UTC were pruned: that part was proved when they were taken out.` : "";
  const from = proof.complete_from === null ? "" : ` (${day(proof.complete_from, now)} UTC)`;
  switch (proof.completeness) {
    case "complete":
      return `Every trade from its creation${from}${end} is in this record. ${chained}${weak}${pruned}`;
    case "since":
      return `Every trade since ${proof.complete_from === null ? "it was first watched" : `${day(proof.complete_from, now)} UTC`}${end} is in this record; it was not watched before. ${chained}${weak}${pruned}`;
    case "spell":
      return `Every trade from ${proof.complete_from === null ? "the beginning" : `${day(proof.complete_from, now)} UTC`}${end} is in this record; it is not watched any more. ${chained}${weak}${pruned}`;
    case "holes": {
      const upTo = proof.proven_to_slot === null ? "" : ` Up to slot ${count(proof.proven_to_slot)} nothing is missing.`;
      const open = proof.gaps.filter(isOpen).length;
      return `${capital(reasonOf(proof) || plural(proof.holes ?? 1, "hole"))}.${upTo} ${open ? "The chain is asked for them." : "They are about to be fetched."}${pruned}`;
    }
    default: {
      const upTo = proof.proven_to_slot === null ? "" : ` Up to slot ${count(proof.proven_to_slot)} it is proved.`;
      const none = token.watched === null ? " It is not watched." : "";
      return `${capital(reasonOf(proof) || "nothing is known of it yet")}.${upTo}${none}${pruned}`;
    }
  }
}

/** Slots in it as they are shown elsewhere. */
function reasonOf(proof) {
  return visible(proof.reason).replace(/\b\d{5,12}\b/g, (slot) => count(Number(slot)));
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function day(seconds, now) {
  return now - seconds < 86_400 ? clock(seconds) : moment(seconds);
}

/** The sum behind one link of the chain, for whoever wants to check it. */

import { el } from "./core/dom.js";
import { quoteName, TOKEN_DECIMALS, visible } from "./core/format.js";
import { exact } from "./pieces.js";

/**
 * The reserves of one trade as a table: those after it, what it moved, so those before it, and those that the trade before it left.
 * It is the recorder's own arithmetic (continuity.py), done again with the numbers at hand.
 */
export function arithmetic({ bead, before }, { quote_mint: quoteMint, quote_decimals: decimals }) {
  const { trade } = bead;
  if (trade.virtual_token_reserves === null || trade.virtual_quote_reserves === null) {
    return el("p", { class: "sum soft" }, "Only PumpPortal told it so far: without the chain's reserves it proves nothing.");
  }
  const isBuy = trade.side === "buy";
  const moved = [isBuy ? -trade.token_amount : trade.token_amount, (isBuy ? 1 : -1) * trade.quote_amount + (trade.venue === "pool" ? (trade.lp_fee ?? 0) : 0)];
  // The mayhem agent moves the virtual reserves between trades: then the real ones tell.
  const pick = (one, isReal) => (isReal ? [one.real_token_reserves, one.real_quote_reserves] : [one.virtual_token_reserves, one.virtual_quote_reserves]);
  const begins = (isReal) => pick(trade, isReal).map((value, place) => value - moved[place]);
  const differs = (isReal) => before && begins(isReal).some((value, place) => value !== pick(before.trade, isReal)[place]);
  const isReal = bead.link === "chained" && differs(false) && !differs(true);
  const row = (label, [token, quote], kind = "", note = "") =>
    el("tr", { class: kind }, el("th", { scope: "row" }, label), el("td", { class: "number mono" }, exact(token, TOKEN_DECIMALS)), el("td", { class: "number mono" }, exact(quote, decimals)), el("td", {}, note));
  const isOpening = before && before.trade.venue !== trade.venue;
  const isSame = before && !isOpening && !differs(isReal);
  const isMoved = before && !isSame && bead.moved_by;
  const kind = !before || isOpening || isMoved ? "" : isSame ? "same" : "other";
  const rows = [
    row("After this trade", pick(trade, isReal)),
    row(`This ${trade.side} moved`, moved, "moved"),
    row("So it began with", begins(isReal), kind, { same: "✓ equal, to the last unit", other: "✗ not equal" }[kind]),
  ];
  if (before) rows.push(row("The one before ended with", pick(before.trade, isReal), kind, why(isOpening, isMoved && bead.moved_by)));
  const heads = ["", `${isReal ? "Real reserve" : "Reserve"}, tokens`, `${isReal ? "Real reserve" : "Reserve"}, ${quoteName(quoteMint)}`, ""].map((text) => el("th", { scope: "col", class: "number" }, text));
  return el("div", { class: "sum scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)), el("p", { class: "mono soft" }, `${trade.signature} #${trade.event_index}`));
}

/** Why two neighbours need not have the same numbers, though nothing is missing between them. */
function why(isOpening, movedBy) {
  if (isOpening) return "on the curve: its pool was opened with what that left";
  return movedBy ? `between them the reserves moved without a trade, as the chain told: ${visible(movedBy)}` : "";
}

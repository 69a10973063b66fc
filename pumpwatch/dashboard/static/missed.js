/** What may have been missed, and what became of it. */

import { el, fill, keyed } from "./core/dom.js";
import { age, clock, count, short, visible } from "./core/format.js";
import { tokenLink } from "./pieces.js";

const MOST_LISTED = 30;

/** The card. */
export function gapsCard() {
  const counts = el("p", {});
  const backfill = el("p", { class: "soft" });
  const open = el("ul", { class: "events" });
  const closed = el("ul", { class: "events" });
  return {
    element: el(
      "section",
      { class: "card" },
      el("h2", {}, "Gaps and their repair"),
      counts,
      backfill,
      el("h3", {}, "Open now"),
      open,
      el("details", { open: true }, el("summary", {}, "Closed lately"), closed),
    ),
    show(found) {
      const left = found.gaps.reduce((sum, gap) => sum + gap.open + gap.filling, 0);
      const lost = found.gaps.reduce((sum, gap) => sum + gap.unfillable, 0);
      fill(counts, left ? `${count(left)} open or being filled` : "Nothing is open", lost ? `, ${count(lost)} could not be filled` : "", ".");
      fill(backfill, backfillText(found.worker?.backfill));
      list(open, found.gaps_open, "Everything that could have been missed is checked.");
      list(closed, found.gaps_closed, "None yet.");
    },
  };
}

/** In place: who has gone to a link by keys stays on it. */
function list(parent, gaps, otherwise) {
  const shown = gaps.length ? gaps.slice(0, MOST_LISTED) : [{ id: "none" }];
  keyed(parent, shown, (gap) => gap.id, item, (li, gap) => {
    if (gap.id === "none") return;
    li.dataset.state = gap.state;
    const told = `: ${gap.cause}, ${outcome(gap)}`;
    if (li.lastChild.data !== told) li.lastChild.data = told;
  });
  if (!gaps.length) fill(parent.firstChild, otherwise);
}

function item(gap) {
  if (gap.id === "none") return el("li", { class: "soft" });
  const whose = gap.mint ? tokenLink(gap.mint, gap.symbol) : el("span", {}, gap.feed ?? "all tokens");
  return el("li", {}, el("span", { class: "when soft" }, clock(gap.from_us / 1e6)), " ", whose, document.createTextNode(" "));
}

function outcome(gap) {
  if (gap.state === "closed") {
    const took = gap.closed_at_us === null ? "" : ` after ${age((gap.closed_at_us - gap.from_us) / 1e6)}`;
    return `closed by ${gap.closed_by ?? "the chain"}${took}, ${gap.found ? `${count(gap.found)} trades fetched` : "nothing had been missed"}`;
  }
  if (gap.state === "unfillable") return `unfillable: ${gap.reason ?? "nobody can tell"}`;
  return `${gap.state}${gap.detail ? ` (${shortened(visible(gap.detail, 300))})` : ""}, for ${age(Date.now() / 1000 - gap.from_us / 1e6)}`;
}

/** Signatures and addresses in a sentence, shortened. */
function shortened(text) {
  return text.replace(/[1-9A-HJ-NP-Za-km-z]{32,}/g, (address) => short(address));
}

function backfillText(backfill) {
  if (!backfill) return "Backfill: no worker runs.";
  const waits = backfill.reason ? ` (${backfill.reason})` : "";
  const done = `${count(backfill.requests)} requests, ${count(backfill.fetched)} transactions, ${count(backfill.anchors)} account states`;
  return `Backfill is ${backfill.state}${waits}; since the start ${done}.`;
}

/** A token's life from left to right, by slots: what is chained, where it is not, when it was watched, where the account agreed. */

import { el, keyed, write } from "./core/dom.js";
import { count, moment } from "./core/format.js";
import { causeOf, isHole, isOpen, lackText } from "./gaps.js";
import { plural } from "./pieces.js";

const SLOT_SECONDS = 0.4;
const LEGEND = [
  ["chained", "chained, to the last unit"],
  ["pool", "the same, in its pool"],
  ["hole", "a hole: trades are missing"],
  ["open", "open: may have cost trades"],
  ["filling", "being filled"],
  ["closed", "settled by proof"],
  ["unfillable", "cannot be filled"],
  ["anchor", "the chain's account agrees"],
];

export class Strip {
  constructor() {
    this.chain = el("div", { class: "lane chain-lane" });
    this.gaps = el("div", { class: "lane gap-lane" });
    this.watch = el("div", { class: "lane watch-lane" });
    this.axis = el("div", { class: "strip-axis soft" });
    this.lanes = el("div", { class: "strip-lanes", role: "img" }, this.chain, this.gaps, this.watch);
    const labels = el("div", { class: "strip-labels soft", "aria-hidden": "true" }, el("span", {}, "Chain"), el("span", {}, "Gaps"), el("span", {}, "Watched"));
    const legend = el("ul", { class: "legend soft" }, LEGEND.map(([kind, text]) => el("li", {}, el("i", { class: "key", "data-kind": kind }), text)));
    this.element = el("div", { class: "strip" }, labels, this.lanes, this.axis, legend);
  }

  show(proof, token, now) {
    const clock = slotClock(proof, token);
    const begin = clock.begin;
    const end = Math.max(clock.end, begin + 1);
    const left = (slot) => Math.min(100, Math.max(0, ((slot - begin) / (end - begin)) * 100));
    const part = (from, to, kind, title, key) => ({ from: left(from), to: left(to), kind, title, key });
    const segments = proof.segments.map((one, place) =>
      part(one.from_slot, one.to_slot, one.venue === "pool" ? "pool" : "chained", `${plural(one.trades, "trade")} chained on the ${one.venue}, slots ${count(one.from_slot)} to ${count(one.to_slot)}`, `s${place}`),
    );
    const missing = proof.missing.map((one, place) =>
      part(
        one.from_slot || begin,
        one.to_slot,
        one.is_unwatched ? "unwatched" : one.reason === null ? (this.stateOf(proof, one) ?? "hole") : "doubt",
        `${one.is_unwatched ? "Not watched" : one.reason === null ? "Hole" : "Doubt"} in slots ${count(one.from_slot)} to ${count(one.to_slot)}: ${lackText(one, proof.quote_mint, proof.quote_decimals)}`,
        `m${place}`,
      ),
    );
    const anchors = proof.anchors.filter((one) => one.exists).map((one) => part(one.slot, one.slot, one.agrees ? "anchor" : "ahead", `The chain's account at slot ${count(one.slot)} ${one.agrees ? "agrees with the record" : "was ahead of the record"}`, `a${one.slot}`));
    const [last, agreed] = [proof.segments.at(-1), proof.anchors.find((one) => one.agrees)];
    const quiet = last && agreed && agreed.slot > last.to_slot ? [part(last.to_slot, agreed.slot, "quiet", "Nothing was traded: the chain's account is as our last trade left it", "quiet")] : [];
    place(this.chain, [...quiet, ...segments, ...missing, ...anchors]);
    place(
      this.gaps,
      [...proof.gaps].reverse().map((gap) => {
        const from = gap.from_slot ?? clock.slotAt(gap.from_us / 1e6);
        const to = gap.to_slot ?? (gap.to_us === null ? end : clock.slotAt(gap.to_us / 1e6));
        return part(from, to, gap.state === "open" && isHole(gap) ? "hole" : gap.state, `${causeOf(gap)}: ${gap.state}`, `g${gap.id}`);
      }),
    );
    place(
      this.watch,
      proof.spells.map((one, number) => part(clock.slotAt(one.started_at_us / 1e6), one.ended_at_us === null ? end : clock.slotAt(one.ended_at_us / 1e6), "watched", `Watched from ${moment(one.started_at_us / 1e6)} UTC`, `w${number}`)),
    );
    this.showAxis(clock, begin, end, now);
    this.lanes.setAttribute("aria-label", sentence(proof, begin, end));
  }

  stateOf(proof, missing) {
    return proof.gaps.find((gap) => gap.id === missing.gap && gap.state !== "closed")?.state.replace("open", "hole") ?? null;
  }

  showAxis(clock, begin, end, now) {
    const number = this.element.clientWidth < 560 ? 3 : 5;
    const ticks = Array.from({ length: number }, (_, at) => begin + ((end - begin) * at) / (number - 1));
    const isLong = (end - begin) * SLOT_SECONDS > 86_400;
    keyed(
      this.axis,
      ticks.map((slot, at) => ({ slot, at })),
      ({ at }) => `${number}/${at}`,
      () => el("span"),
      (span, { slot }) => {
        const at = Math.min(now, clock.timeAt(slot));
        write(span, isLong ? moment(at).slice(5, 16) : moment(at).slice(11));
        span.title = `slot ${count(Math.round(slot))}`;
      },
    );
  }
}

function place(lane, parts) {
  keyed(lane, parts, (one) => one.key, () => el("i"), (element, one) => {
    if (element.dataset.kind !== one.kind) element.dataset.kind = one.kind;
    if (element.title !== one.title) element.title = one.title;
    element.style.setProperty("--from", `${one.from.toFixed(3)}%`);
    element.style.setProperty("--to", `${one.to.toFixed(3)}%`);
  });
}

function sentence(proof, begin, end) {
  const holes = proof.missing.filter((one) => one.reason === null && !one.is_unwatched).length;
  const open = proof.gaps.filter(isOpen).length;
  const trades = proof.segments.reduce((sum, one) => sum + one.trades, 0);
  return (
    `Slots ${count(Math.round(begin))} to ${count(Math.round(end))}: ${plural(trades, "trade")} in ${plural(proof.segments.length, "unbroken run")}, ` +
    `${plural(holes, "hole")} now; ${plural(open, "gap")} open, ${count(proof.gaps.length - open)} settled.`
  );
}

/** What is known of both clocks, slots and seconds, from the trades and accounts at hand; between them a line. */
function slotClock(proof, token) {
  const known = new Map();
  const note = (slot, time) => {
    if (slot > 0 && time !== null && time !== undefined) known.set(slot, time);
  };
  for (const one of proof.segments) {
    note(one.from_slot, one.from_time);
    note(one.to_slot, one.to_time);
  }
  for (const { trade } of proof.chain) note(trade.slot, trade.block_time);
  for (const one of proof.anchors) note(one.slot, one.block_time);
  const points = [...known].sort((a, b) => a[0] - b[0]);
  if (points.length === 0) points.push([0, token.created_at ?? token.first_trade_at ?? Date.now() / 1000]);
  const [first, last] = [points[0], points.at(-1)];
  const from = (point, seconds) => point[0] + (seconds - point[1]) / SLOT_SECONDS;
  const slotAt = (seconds) => {
    if (seconds <= first[1]) return from(first, seconds);
    const next = points.findIndex((point) => point[1] > seconds);
    return next < 0 ? from(last, seconds) : between(points[next - 1], points[next], seconds, 1, 0);
  };
  const timeAt = (slot) => {
    if (slot <= first[0]) return first[1] - (first[0] - slot) * SLOT_SECONDS;
    const next = points.findIndex((point) => point[0] > slot);
    return next < 0 ? last[1] + (slot - last[0]) * SLOT_SECONDS : between(points[next - 1], points[next], slot, 0, 1);
  };
  const starts = [first[0]];
  if (token.created_at !== null) starts.push(slotAt(token.created_at));
  const watched = proof.spells.filter((one) => one.ended_at_us === null).length > 0;
  const end = watched ? Math.max(last[0], slotAt(Date.now() / 1000)) : last[0];
  return { slotAt, timeAt, begin: Math.min(...starts), end };
}

function between(one, other, value, by, of) {
  const share = other[by] === one[by] ? 0 : (value - one[by]) / (other[by] - one[by]);
  return one[of] + (other[of] - one[of]) * share;
}

/** The feeds: how each is, when it was away, and what each was good for. */

import { el, fill, keyed, svg, write } from "./core/dom.js";
import { age, clock, count, visible } from "./core/format.js";

const HOURS = 3;
const WIDTH = 600;
const HEIGHT = 16;
const MOST_LISTED = 12;
const MOST_KNOWN = 100; // /api/system has so many, of all feeds

/** The card. */
export function feedsCard() {
  const body = el("div", { class: "feeds" });
  const scores = el("div");
  const drops = el("details", {}, el("summary", {}, "Every time that a feed was away"), el("ul", { class: "events" }));
  return {
    element: el("section", { class: "card wide" }, el("h2", {}, "Feeds"), body, scores, drops),
    show(found) {
      const feeds = Object.entries(found.worker?.feeds ?? {});
      fill(body, feeds.length ? feeds.map(([name, feed]) => feedRow(name, feed, found)) : el("p", { class: "soft" }, "No worker runs."));
      if (found.scoreboard) fill(scores, scoreTable(found.scoreboard));
      const listed = (found.drops ?? []).slice(0, MOST_LISTED);
      const none = [{ id: "none" }];
      keyed(drops.lastChild, listed.length ? listed : none, (drop) => drop.id, () => el("li"), (li, drop) => write(li, drop.from_us ? dropText(drop, true) : "None ever was."));
    },
  };
}

function feedRow(name, feed, { drops = [], runs = [], worker }) {
  const now = Date.now() / 1000;
  const own = drops.filter((drop) => drop.feed === name);
  const away = own.filter((drop) => drop.to_us === null && drop.from_us / 1e6 >= worker.started_at);
  // Each attempt to connect is a state of its own: how long it is away is told by the gap.
  const since = feed.state === "connected" ? feed.since : Math.min(feed.since, ...away.map((drop) => drop.from_us / 1e6));
  const last = feed.last_data_at ? `last data ${age(now - feed.last_data_at)} ago` : "no data yet";
  return el(
    "div",
    { class: "feed", "data-state": feed.state },
    el("strong", {}, name),
    el("span", { class: "state" }, `${feed.state}${since < feed.since ? ", away" : ""} for ${age(now - since)}`),
    el("span", { class: "soft" }, `${last} · ${count(feed.messages)} messages · ${count(feed.trades)} trades`),
    feed.reason ? el("span", { class: "warn" }, feed.reason) : null,
    timeline(own, runs, now),
    el("span", { class: "soft small" }, `${times(own.length)} known. The line is the last ${HOURS} hours; it is thin where no worker ran.`),
  );
}

function times(number) {
  if (number === 1) return "1 interruption";
  return number >= MOST_KNOWN ? `${MOST_KNOWN} or more interruptions` : `${number} interruptions`;
}

/** The last hours as a line that is broken where the feed was away, and only a trace where no worker was there to listen. */
function timeline(drops, runs, now) {
  const begin = now - HOURS * 3600;
  const at = (seconds) => Math.max(0, Math.min(WIDTH, ((seconds - begin) / (HOURS * 3600)) * WIDTH));
  const held = runs.map((run) => {
    const [from, to] = [at(run.started_at_us / 1e6), at(run.ended_at_us === null ? now : run.ended_at_us / 1e6)];
    return svg("rect", { x: from, y: 6, width: Math.max(0, to - from), height: 4, class: "held" });
  });
  const away = drops
    .filter((drop) => drop.to_us === null || drop.to_us / 1e6 > begin)
    .map((drop) => {
      const from = at(drop.from_us / 1e6);
      const to = at(drop.to_us === null ? now : drop.to_us / 1e6);
      const bar = { x: from, y: 0, width: Math.max(2, to - from), height: HEIGHT, class: `away ${drop.state}` };
      return svg("rect", bar, svg("title", {}, dropText(drop)));
    });
  const picture = { class: "timeline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" };
  return svg("svg", { ...picture, "aria-label": `${away.length} interruptions` }, svg("rect", { y: 7.5, width: WIDTH, height: 1, class: "trace" }), held, away);
}

function dropText(drop, isWhole = false) {
  const lasted = drop.to_us === null ? "still" : `${((drop.to_us - drop.from_us) / 1e6).toFixed(1)} s`;
  const told = `${clock(drop.from_us / 1e6)} UTC, ${lasted}: ${visible(drop.detail ?? drop.cause, 200)}`;
  if (!isWhole) return told;
  const repaired = drop.state === "closed" ? `repaired${drop.found ? `, ${count(drop.found)} trades fetched` : ", nothing was missed"}` : drop.state;
  return `${drop.feed}: ${told} — ${repaired}`;
}

function scoreTable({ last_trades, feeds }) {
  const ms = (value) => (value === null ? "–" : value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`);
  const heads = ["Source", "Had", "Only it", "Missed", "Invented", "Late", "95 % within"];
  const rows = feeds.map((feed) => [
    feed.feed,
    count(feed.seen),
    count(feed.only),
    count(feed.missed),
    count(feed.invented),
    ms(feed.delay_median_ms),
    ms(feed.delay_p95_ms),
  ]);
  return [
    el("p", { class: "soft" }, `Of the last ${count(last_trades)} trades. Late: behind the first source that had a trade, the median.`),
    el("div", { class: "scroll" }, scored(heads, rows)),
  ];
}

function scored(heads, rows) {
  return el(
    "table",
    { class: "scores" },
    el("caption", { class: "unseen" }, "What each source had, missed and invented, and how late it was"),
    el("thead", {}, el("tr", {}, heads.map((head, place) => el("th", { scope: "col", class: place ? "number" : "" }, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, place) => el("td", { class: place ? "number" : "" }, cell))))),
  );
}

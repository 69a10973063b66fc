/** What the providers are being paid, against what they may be. */

import { el, fill } from "./core/dom.js";
import { compact, count, short, visible } from "./core/format.js";

const WARN = 0.8;

/** The card. */
export function costsCard() {
  const body = el("div", { class: "costs" });
  const plan = el("ul", { class: "soft" });
  return {
    element: el("section", { class: "card" }, el("h2", {}, "Cost"), body, plan),
    show({ costs, cost }) {
      fill(body, costs.length ? costs.map(provider) : el("p", { class: "soft" }, "Nothing is counted."));
      fill(plan, cost.map((line) => el("li", {}, line)));
    },
  };
}

function provider({ cost, share, trades, per_1000_trades, dearest }) {
  const amount = (value) => (value === null || value === undefined ? "–" : `${compact(value)} ${cost.unit}`);
  const limit = cost.limit ? ` of ${amount(cost.limit)} this ${cost.period}` : ` this ${cost.period}, without a limit`;
  const parts = [
    `projected ${amount(cost.projected)}`,
    `${amount(per_1000_trades)} for 1,000 trades (${count(trades)} counted)`,
    `${count(cost.messages_total)} messages, ${count(cost.billed_messages_total)} billed`,
  ];
  return el(
    "div",
    { class: "cost", "data-level": share >= 1 ? "over" : share >= WARN ? "near" : "fine" },
    el("p", {}, el("strong", {}, cost.provider), ` ${amount(cost.spent)}${limit}`),
    cost.limit ? bar(share ?? 0) : null,
    el("p", { class: "soft" }, parts.join(" · ")),
    dearest?.length ? el("p", { class: "soft" }, "Dearest, by their share of trades: ", dearest.slice(0, 5).flatMap(token)) : null,
  );
}

/** How much of the budget is spent; the mark is where it warns. */
function bar(share) {
  const told = `${(share * 100).toFixed(share < 0.1 ? 2 : 0)} % of the budget is spent; the mark is at 80 %`;
  return el("span", { class: "spent", role: "img", title: told, "aria-label": told, style: { "--share": `${Math.min(share, 1) * 100}%` } });
}

function token({ mint, symbol, spent_estimate }, place) {
  const link = el("a", { href: `/token/${encodeURIComponent(mint)}` }, visible(symbol, 24) || short(mint));
  return [place ? ", " : "", link, ` ${compact(spent_estimate)}`];
}

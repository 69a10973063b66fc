/** What the providers are being paid, against what they may be. */

import { el, keyed, write } from "./core/dom.js";
import { compact, count, short, visible } from "./core/format.js";

const WARN = 0.8;

/** The card. What is in it stays where it is and only changes its text: a link that has the focus keeps it. */
export function costsCard() {
  const body = el("div", { class: "costs" });
  const none = el("p", { class: "soft" }, "Nothing is counted.");
  const plan = el("ul", { class: "soft" });
  return {
    element: el("section", { class: "card" }, el("h2", {}, "Cost"), none, body, plan),
    show({ costs, cost }) {
      none.hidden = costs.length > 0;
      keyed(body, costs, (row) => row.cost.provider, provider, showProvider);
      keyed(plan, cost, (line) => line, () => el("li"), write);
    },
  };
}

function provider({ cost }) {
  return el(
    "div",
    { class: "cost" },
    el("p", {}, el("strong", {}, cost.provider), el("span")),
    el("span", { class: "spent", role: "img" }),
    el("p", { class: "soft" }),
    el("p", { class: "soft" }, "Dearest, by their share of trades: ", el("span", { class: "dearest" })),
  );
}

function showProvider(element, { cost, share, trades, per_1000_trades, dearest }) {
  const [line, bar, pace, tokens] = element.children;
  const amount = (value) => (value === null || value === undefined ? "–" : `${compact(value)} ${cost.unit}`);
  const limit = cost.limit ? ` of ${amount(cost.limit)} this ${cost.period}` : ` this ${cost.period}, without a limit`;
  element.dataset.level = share >= 1 ? "over" : share >= WARN ? "near" : "fine";
  write(line.lastChild, ` ${amount(cost.spent)}${limit}`);
  bar.hidden = !cost.limit;
  showSpent(bar, share ?? 0);
  const parts = [
    `projected ${amount(cost.projected)}`,
    `${amount(per_1000_trades)} for 1,000 trades (${count(trades)} counted)`,
    `${count(cost.messages_total)} messages, ${count(cost.billed_messages_total)} billed`,
  ];
  write(pace, parts.join(" · "));
  tokens.hidden = !dearest?.length;
  keyed(tokens.lastChild, (dearest ?? []).slice(0, 5), ({ mint }) => mint, token, showToken);
}

/** How much of the budget is spent; the mark is where it warns. */
function showSpent(bar, share) {
  const told = `${(share * 100).toFixed(share < 0.1 ? 2 : 0)} % of the budget is spent; the mark is at 80 %`;
  bar.title = told;
  bar.setAttribute("aria-label", told);
  bar.style.setProperty("--share", `${Math.min(share, 1) * 100}%`);
}

function token({ mint }) {
  return el("span", {}, el("a", { href: `/token/${encodeURIComponent(mint)}` }), el("span"));
}

function showToken(element, { mint, symbol, spent_estimate }) {
  write(element.firstChild, visible(symbol, 24) || short(mint));
  write(element.lastChild, ` ${compact(spent_estimate)}`);
}

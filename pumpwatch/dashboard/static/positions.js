/** What a wallet did with each token, as a table that can be ordered by every number in it. */

import { el, write } from "./core/dom.js";
import { age, count, price, quoteName, TOKEN_DECIMALS, UNKNOWN, visible, whole } from "./core/format.js";
import { Table } from "./core/table.js";
import { amount, card, chip, tokenLink, tokens, way } from "./pieces.js";
import { badge, showBadge } from "./core/badge.js";

const MOST = 200;

export class Positions {
  /** `decimals(mint)`: how many a quote has. */
  constructor(decimals) {
    this.decimals = decimals;
    this.order = "last";
    this.isDescending = true;
    this.rows = [];
    this.remark = el("p", { class: "soft" });
    this.table = new Table({
      caption: "Positions by token",
      key: (row) => row.mint,
      href: (row) => `/token/${encodeURIComponent(row.mint)}`,
      order: this.order,
      onOrder: (order) => this.choose(order),
      empty: "It has traded no recorded token.",
      columns: this.columns(),
    });
    this.element = card("positions", "Positions", this.remark, this.table.element);
  }

  columns() {
    const number = (id, label, show, title = "") => ({ id, label, title, order: id, class: "number", show });
    const sum = (field) => (td, row) => this.showMoney(td, row, row[field]);
    return [
      { id: "token", label: "Token", order: "token", class: "token-cell", make: (td, row) => td.append(tokenLink(row.mint, row.symbol)), show: () => {} },
      number("profit", "Profit", (td, row) => this.showProfit(td, row), "Realised, at average cost, after fees"),
      number("spent", "Spent", sum("spent"), "With fees"),
      number("received", "Received", sum("received"), "After fees"),
      number("cost", "Average cost", (td, row) => write(td, price(this.cost(row))), "What it paid for a token on average, fees included"),
      number("net", "Net tokens", (td, row) => write(td, tokens(row.net_bought)), "Bought and not sold; below 0: it got some by transfer"),
      number("trades", "Buys / sells", (td, row) => write(td, `${count(row.buys)} / ${count(row.sells)}`)),
      number("last", "Last", (td, row) => write(td, row.last_trade_at === null ? UNKNOWN : age(Date.now() / 1000 - row.last_trade_at))),
      { id: "record", label: "Record", make: (td) => td.append(badge()), show: (td, row) => showBadge(td.firstChild, row) },
    ];
  }

  /** Whole quote for a whole token. */
  cost(row) {
    const spent = whole(row.spent, this.decimals(row.quote_mint));
    return spent === null || row.bought === 0 ? null : spent / whole(row.bought, TOKEN_DECIMALS);
  }

  showMoney(td, row, units) {
    write(td, units === null ? UNKNOWN : amount(units, this.decimals(row.quote_mint)));
    td.title = units === null ? "One of its trades is provisional, or an amount is not known" : quoteName(row.quote_mint);
  }

  showProfit(td, row) {
    const { realised_profit: profit } = row;
    if (profit === null && row.remark) {
      td.replaceChildren(chip("transfer", "flag", `${visible(row.remark)}: what that cost is not known, and neither is the profit`));
      return;
    }
    const shown = profit === null ? UNKNOWN : `${profit > 0 ? "+" : ""}${amount(profit, this.decimals(row.quote_mint))} ${quoteName(row.quote_mint)}`;
    write(td, row.sells === 0 && profit === 0 ? "0" : shown);
    td.className = `number ${way(profit) || "soft"}`;
    td.title = profit === null ? "One of its trades is provisional, or an amount is not known" : "";
  }

  show(rows) {
    this.rows = rows;
    write(this.remark, rows.length >= MOST ? `The ${MOST} that it traded last.` : "");
    this.remark.hidden = rows.length < MOST;
    this.render();
  }

  choose(order) {
    this.isDescending = order === this.order ? !this.isDescending : order !== "token";
    this.order = order;
    this.table.setOrder(order, this.isDescending);
    this.render();
  }

  render() {
    const value = this.value();
    const way_ = this.isDescending ? -1 : 1;
    const sorted = [...this.rows].sort((a, b) => compare(value(a), value(b), way_));
    this.table.render(sorted);
  }

  /** What rows are ordered by. Amounts of different quotes are not to be compared: one quote after the other. */
  value() {
    const money = (units) => (row) => [quoteName(row.quote_mint), units(row)];
    const plain = (units) => (row) => ["", units(row)];
    return {
      token: plain((row) => visible(row.symbol).toLowerCase() || null),
      profit: money((row) => row.realised_profit),
      spent: money((row) => row.spent),
      received: money((row) => row.received),
      cost: money((row) => this.cost(row)),
      net: plain((row) => row.net_bought),
      trades: plain((row) => row.buys + row.sells),
      last: plain((row) => row.last_trade_at),
    }[this.order];
  }

  refresh() {
    this.table.refresh(["last"]);
  }
}

/** Unknown comes last, whichever way. */
function compare([quote, one], [otherQuote, other], way_) {
  if (quote !== otherQuote) return quote === "SOL" ? -1 : otherQuote === "SOL" ? 1 : quote < otherQuote ? -1 : 1;
  if (one === null || other === null) return (one === null) - (other === null);
  return (one < other ? -1 : one > other ? 1 : 0) * way_;
}

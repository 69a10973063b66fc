/** Who traded a token most, or made or holds most of it. */

import { get } from "./core/api.js";
import { el, write } from "./core/dom.js";
import { age, count, UNKNOWN } from "./core/format.js";
import { Table } from "./core/table.js";
import { shareText } from "./about.js";
import { amount, card, chip, tokens, walletLink, way } from "./pieces.js";

const LIMIT = 20;
const ORDERS = {
  volume: "by what they spent and received",
  profit: "by realised profit",
  net: "by tokens bought and not sold",
  last: "who traded last",
};

export class Traders {
  constructor(mint) {
    this.mint = mint;
    this.order = "volume";
    this.remark = el("p", { class: "soft" });
    this.table = new Table({
      caption: "Traders of this token",
      key: (row) => row.wallet,
      href: (row) => `/wallet/${encodeURIComponent(row.wallet)}`,
      order: this.order,
      onOrder: (order) => this.choose(order),
      empty: "Nobody has traded it yet.",
      columns: [
        { id: "wallet", label: "Wallet", make: (td, row) => td.append(walletLink(row.wallet), " ", el("span")), show: (td, row) => this.showRoles(td.lastChild, row) },
        { id: "buys", label: "Buys / sells", class: "number", show: (td, row) => write(td, `${count(row.buys)} / ${count(row.sells)}`) },
        { id: "spent", label: "Spent", order: "volume", title: "Order by what they spent and received", class: "number", show: (td, row) => this.showAmount(td, row.spent) },
        { id: "received", label: "Received", class: "number", show: (td, row) => this.showAmount(td, row.received) },
        { id: "profit", label: "Profit", order: "profit", title: "Order by realised profit, at average cost, after fees", class: "number", show: (td, row) => this.showProfit(td, row) },
        { id: "net", label: "Net tokens", order: "net", title: "Order by tokens bought and not sold", class: "number", show: (td, row) => write(td, tokens(row.net_bought)) },
        { id: "share", label: "Share", title: "Of the supply, as far as trades tell", class: "number", show: (td, row) => write(td, shareText(row.share)) },
        { id: "last", label: "Last", order: "last", title: "Order by the last trade", class: "number", show: showLast },
      ],
    });
    this.element = card("traders", "Top traders", this.remark, this.table.element);
    this.say();
  }

  say() {
    write(this.remark, `The first ${LIMIT} ${ORDERS[this.order]}. Trades alone: transfers are not seen.`);
  }

  /** Take those that came with all else. */
  show(about) {
    this.about = about;
    if (this.order === "volume") this.table.render(about.traders);
    else this.reload().catch(() => {}); // comes with the next change
  }

  async choose(order) {
    this.order = order;
    this.table.setOrder(order);
    this.say();
    try {
      await this.reload();
    } catch (error) {
      write(this.remark, error.message);
    }
  }

  async reload() {
    const { order } = this;
    const answer = await get(`/api/tokens/${encodeURIComponent(this.mint)}/traders`, { order, limit: LIMIT });
    if (order === this.order) this.table.render(answer.traders);
  }

  /** Roles, and not a number that is not known. */
  showRoles(box, row) {
    const roles = [];
    if (row.wallet === this.about?.creator) roles.push(chip("creator", "watched", "It gets the creator fee"));
    if (row.wallet === this.about?.developer) roles.push(chip("developer", "watched", "It signed the creation"));
    if (row.remark) roles.push(chip("transfer", "flag", "It sold more than it had bought by then: some came by transfer, and its cost is not known"));
    box.replaceChildren(...roles);
  }

  showAmount(td, units) {
    write(td, units === null ? UNKNOWN : amount(units, this.about?.quote_decimals));
  }

  showProfit(td, row) {
    const known = row.realised_profit !== null;
    write(td, known ? `${row.realised_profit > 0 ? "+" : ""}${amount(row.realised_profit, this.about?.quote_decimals)}` : UNKNOWN);
    td.className = `number ${way(row.realised_profit)}`;
    td.title = known ? "" : (row.remark ?? "One of its trades is provisional: what it paid is not told yet");
  }

  refresh() {
    this.table.refresh(["last"]);
  }
}

function showLast(td, row) {
  write(td, row.last_trade_at === null ? UNKNOWN : age(Date.now() / 1000 - row.last_trade_at));
}

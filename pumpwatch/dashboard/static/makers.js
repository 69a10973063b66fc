/** What creator and developer did with their own token, and each of their last sales. */

import { get } from "./core/api.js";
import { el, fill, keyed, write } from "./core/dom.js";
import { change, clock, moment, percent, visible } from "./core/format.js";
import { card, chip, facts, money, plural, tokens, walletLink, way } from "./pieces.js";
import { keyOf, timeOf } from "./tape.js";

const SALES = 5;

export class Makers {
  constructor(mint) {
    this.mint = mint;
    this.sales = new Map(); // by wallet: how many it had when they were asked for, and their list
    this.box = el("div", { class: "makers" });
    this.element = card("makers-card", "Creator and developer", this.box);
  }

  show(about) {
    const isOne = about.creator !== null && about.creator === about.developer;
    const people = isOne
      ? [["Creator and developer", "signed the creation and gets the creator fee", about.creator, about.creator_position]]
      : [
          ["Creator", "gets the creator fee", about.creator, about.creator_position],
          ["Developer", "signed the creation", about.developer, about.developer_position],
        ];
    fill(this.box, people.map((person) => this.maker(about, ...person)));
  }

  maker(about, label, meaning, who, position) {
    const title = el("h3", {}, label, " ", who ? walletLink(who) : "", " ", el("span", { class: "soft" }, who ? meaning : "not known"));
    if (!who || !position) return el("div", { class: "maker" }, title, who ? el("p", { class: "soft" }, "No trade of it is in the record.") : null);
    const remark = position.remark ? el("p", { class: "warn" }, visible(position.remark)) : null;
    return el("div", { class: "maker" }, title, figures(position, about.quote_decimals), remark, this.listOf(who, position, about));
  }

  listOf(who, position, about) {
    let known = this.sales.get(who);
    if (known === undefined) {
      known = { sells: 0, list: el("ol", { class: "sales" }) };
      this.sales.set(who, known);
    }
    if (known.sells !== position.sells) {
      known.sells = position.sells;
      this.load(who, known, about).catch(() => (known.sells = -1)); // asked for again with the next change
    }
    return known.list;
  }

  async load(who, { list }, { quote_decimals: decimals }) {
    const path = `/api/tokens/${encodeURIComponent(this.mint)}/trades`;
    const { trades } = await get(path, { wallet: who, side: "sell", limit: SALES });
    keyed(list, trades, keyOf, () => el("li", {}, el("span", { class: "mono soft" }), " ", el("span")), (item, trade) => {
      write(item.firstChild, clock(timeOf(trade)));
      item.firstChild.title = `${moment(timeOf(trade))} UTC`;
      write(item.lastChild, `sold ${tokens(trade.token_amount)} for ${money(trade.quote_amount, trade.quote_mint, decimals)}${trade.price_impact === null ? "" : `, price ${change(trade.price_impact)}`}`);
    });
  }
}

function figures(position, decimals) {
  const { quote_mint: quote } = position;
  const shown = facts(["bought", "Bought"], ["sold", "Sold"], ["net", "Net"], ["profit", "Profit", "Realised, at average cost, after fees"]);
  shown.bought.show(position.buys === 0 ? "nothing" : `${tokens(position.bought)} for ${money(position.spent, quote, decimals)}`);
  shown.sold.show(position.sells === 0 ? "nothing" : `${tokens(position.sold)} for ${money(position.received, quote, decimals)}`);
  shown.net.show(tokens(position.net_bought));
  shown.profit.show(money(position.realised_profit, quote, decimals, true), way(position.realised_profit));
  if (position.sells > 0) {
    const share = position.bought > 0 ? position.sold / position.bought : Infinity;
    const text = share > 1 ? "more than it bought" : `${percent(share * 100, 0)} of what it bought`;
    shown.sold.element.append(chip(`${text}, ${plural(position.sells, "sale")}`, share > 0.5 ? "bad" : "flag"));
  }
  return shown.element;
}

/** The head of a token's page: what it is, what it costs, and how far its record is to be trusted. */

import { badge, showBadge } from "./core/badge.js";
import { el, write } from "./core/dom.js";
import { age, change, compact, count, moment, percent, price, quoteName, UNKNOWN, usd, visible } from "./core/format.js";
import { address, chip, facts, money, plural, showSplit, splitBar, way } from "./pieces.js";
import { pinButton } from "./pin.js";

const STATUSES = {
  curve: ["on the curve", "It trades on its bonding curve."],
  completed: ["sold out", "Its curve is sold out; it has not moved to its pool yet."],
  graduated: ["graduated", "It trades in its PumpSwap pool."],
};
const FLAGS = [
  ["is_mayhem_mode", "mayhem", "pump.fun's mayhem agent trades it"],
  ["is_cashback_enabled", "cashback", "The creator fee goes back to the traders"],
  ["is_holder_reward", "holder reward", "The creator fee goes to its holders"],
];
const WATCHED = {
  pinned: "pinned by the settings",
  asked: "pinned: a person asked for it",
  wallet: "a watched wallet traded it",
  admitted: "taken in by itself",
};

export class Head {
  constructor(mint) {
    this.mint = mint;
    this.symbol = el("bdi");
    this.name = el("p", { class: "name soft" });
    this.chips = el("p", { class: "chips" });
    this.badge = badge();
    this.price = el("p", { class: "price" });
    this.usd = el("span", { class: "soft" });
    this.change = el("span");
    this.bar = el("progress", { max: 100, hidden: true, "aria-label": "How much of the curve is sold" });
    this.split = splitBar();
    this.pin = pinButton(mint);
    this.facts = facts(
      ["cap", "Market cap", "Price times the supply that its creation stated"],
      ["progress", "Progress", "How much of what the curve had to sell is sold"],
      ["volume", "Volume", "Net of fees, over the whole record"],
      ["trades", "Trades", "In the record"],
      ["wallets", "Wallets", "Different traders in the record"],
      ["top", "Largest 10", "What the ten wallets that bought most and did not sell hold of the supply, as far as trades tell"],
      ["range", "Low – high", "Of the price after its trades in the record"],
      ["age", "Age", "Since its creation, by the chain's clock"],
      ["last", "Last trade", "By the chain's clock"],
    );
    this.facts.progress.element.append(this.bar);
    this.facts.trades.element.append(this.split);
    this.element = el(
      "section",
      { class: "card head", "aria-label": "Token" },
      el(
        "div",
        { class: "who" },
        el("h1", {}, this.symbol),
        this.name,
        this.chips,
        el("p", { class: "mint" }, address(mint, "mint")),
      ),
      el("div", { class: "worth" }, this.price, el("p", {}, this.usd, " ", this.change), el("p", { class: "trust" }, this.badge, this.pin.element)),
      this.facts.element,
    );
  }

  /** Show a row of the board; `largest` is only known where all was asked for. */
  show(token, now, largest = undefined) {
    this.token = token;
    const unit = quoteName(token.quote_mint);
    const name = visible(token.symbol, 40) || "(no symbol)";
    write(this.symbol, name);
    write(this.name, visible(token.name, 120));
    this.showChips(token);
    showBadge(this.badge, token);
    this.pin.show(token.watched);
    write(this.price, token.price === null ? "no price yet" : `${price(token.price)} ${unit}`);
    write(this.usd, token.price_usd === null ? "" : usd(token.price_usd));
    if (token.usd_at) this.usd.title = `at the rate of ${moment(token.usd_at)} UTC`;
    const moved = token.hour?.price_change ?? null;
    write(this.change, moved === null ? "" : `${change(moved)} in 1 h`);
    this.change.className = way(moved);
    document.title = `${token.price === null ? "" : `${price(token.price)} `}${name} · pumpwatch`;
    this.showFigures(token, unit, largest);
    this.refresh(now);
  }

  showChips(token) {
    const [status, meaning] = STATUSES[token.status] ?? [token.status, ""];
    const wanted = [[status, token.status, meaning]];
    for (const [field, text, title] of FLAGS) if (token[field]) wanted.push([text, "flag", title]);
    wanted.push(token.watched === null ? ["not watched", "quiet", "Nothing of it is asked for now"] : ["watched", "watched", WATCHED[token.watched] ?? token.watched]);
    const said = wanted.map(([text]) => text).join();
    if (this.chips.dataset.said === said) return;
    this.chips.dataset.said = said;
    this.chips.replaceChildren(...wanted.map(([text, kind, title]) => chip(text, kind, title)));
  }

  showFigures(token, unit, largest) {
    const { cap, progress, volume, trades, wallets, top, range } = this.facts;
    cap.show(token.market_cap_usd !== null ? usd(token.market_cap_usd) : token.market_cap === null ? UNKNOWN : `${compact(token.market_cap)} ${unit}`);
    cap.element.title = token.market_cap === null ? "Its creation was not seen on the chain, or it has no price yet" : `${compact(token.market_cap)} ${unit}`;
    progress.show(percent(token.progress));
    this.bar.hidden = token.progress === null;
    this.bar.value = token.progress ?? 0;
    volume.show(money(token.volume, token.quote_mint, token.quote_decimals));
    trades.show(count(token.trades));
    showSplit(this.split, token.buys, token.sells);
    wallets.show(count(token.wallets));
    if (largest !== undefined) {
      top.show(largest.share === null ? UNKNOWN : percent(largest.share * 100));
      top.element.title = `${plural(largest.wallets, "wallet")}, as far as trades tell: transfers are not seen`;
    }
    range.show(token.price_low === null ? UNKNOWN : `${price(token.price_low, 3)} – ${price(token.price_high, 3)}`);
  }

  refresh(now) {
    const token = this.token;
    if (!token) return;
    const { age: since, last } = this.facts;
    since.show(token.created_at === null ? UNKNOWN : age(now - token.created_at));
    since.element.title = token.created_at === null ? "Its creation was not seen" : `Created ${moment(token.created_at)} UTC`;
    last.show(token.last_trade_at === null ? "none" : `${age(now - token.last_trade_at)} ago`);
    last.element.title = token.last_trade_at === null ? "" : `${moment(token.last_trade_at)} UTC`;
  }
}

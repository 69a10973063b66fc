/** The page of one wallet: what it did with the tokens of this record. */

import { get } from "./core/api.js";
import { el, keyed, write } from "./core/dom.js";
import { count, moment, quoteName, short } from "./core/format.js";
import { listen } from "./core/live.js";
import { eachSecond, showOrigin, showState, startShell } from "./core/shell.js";
import { pace } from "./pace.js";
import { address, card, chip, decimalsOf, facts, money, plural, showAgo, way } from "./pieces.js";
import { Positions } from "./positions.js";
import { Tape } from "./tape.js";

const TOTALS_MS = 3000;

class WalletPage {
  constructor(root) {
    this.address = document.body.dataset.address;
    this.path = `/api/wallets/${encodeURIComponent(this.address)}`;
    this.root = root;
    this.chips = el("p", { class: "chips" });
    this.totals = el("div", { class: "totals" });
    this.positions = new Positions((mint) => this.decimals(mint));
    this.tape = new Tape({
      load: (params) => get(`${this.path}/trades`, params),
      ofToken: false,
      decimals: (trade) => this.decimals(trade.quote_mint),
    });
    const who = el("section", { class: "card head", "aria-label": "Wallet" }, el("h1", {}, "Wallet ", el("span", { class: "mono" }, short(this.address))), el("p", {}, address(this.address, "address")), this.chips);
    const seen = "From trades of the recorded tokens alone: what came or went by transfer is not seen, and this is no balance.";
    who.append(el("p", { class: "soft" }, seen));
    this.body = el("div", { class: "wallet-page" }, who, this.totals, el("div", { class: "columns" }, this.positions.element, card("wallet-trades", "Trades", this.tape.element)));
    this.askTotals = pace(TOTALS_MS, () => this.loadTotals().catch((error) => console.debug(error.message)));
  }

  start() {
    document.title = `Wallet ${short(this.address)} · pumpwatch`;
    this.listener = listen({ wallet: this.address }, {
      reload: () => this.reload(),
      state: showState,
      hello: ({ origin }) => showOrigin(origin),
      trades: ({ trades }) => this.takeTrades(trades),
    });
    eachSecond((now) => this.refresh(now));
  }

  decimals(mint) {
    return this.quotes?.[mint] ?? decimalsOf(mint);
  }

  async reload() {
    let cursor;
    try {
      cursor = await this.loadTotals();
    } catch (error) {
      if (error.status === 404) return this.missing(error.message);
      if (error.code === "no_database") await (await import("./welcome.js")).showWelcome(this.root);
      throw error;
    }
    if (!this.body.isConnected) this.root.replaceChildren(this.body);
    await this.tape.reload();
    return cursor;
  }

  async loadTotals() {
    const wallet = await get(this.path);
    this.quotes = wallet.quotes;
    showOrigin(wallet.origin);
    this.show(wallet);
    return wallet.cursor;
  }

  show(wallet) {
    const watched = wallet.is_watched ? chip("watched", "watched", "Its trades are recorded wherever it trades") : chip("not watched", "", "Only its trades of watched tokens are recorded");
    this.chips.replaceChildren(watched, chip(plural(wallet.totals.reduce((sum, one) => sum + one.tokens, 0), "token")));
    keyed(this.totals, wallet.totals, (total) => total.quote_mint ?? "", makeTotal, (element, total) => this.showTotal(element, total));
    this.positions.show(wallet.positions);
    this.refresh(Date.now() / 1000);
  }

  showTotal(element, total) {
    const shown = SHOWN.get(element);
    const decimals = this.decimals(total.quote_mint);
    const name = quoteName(total.quote_mint);
    write(element.firstChild, total.quote_mint === null ? "Against a quote that is not told yet" : `In ${name}`);
    const partly = (fact, units, unknown, isSigned = false) => {
      const isNone = unknown === total.tokens;
      fact.show(isNone ? "not known" : money(units, total.quote_mint, decimals, isSigned), isSigned && !isNone ? way(units) : "");
      fact.element.title = unknown ? `Not known for ${plural(unknown, "token")} of ${count(total.tokens)}, which are left out` : "";
      fact.note(unknown && !isNone ? `without ${plural(unknown, "token")}` : "");
    };
    shown.tokens.show(count(total.tokens));
    shown.trades.show(`${count(total.buys)} / ${count(total.sells)}`);
    partly(shown.spent, total.spent, total.spent_unknown);
    partly(shown.received, total.received, total.received_unknown);
    partly(shown.profit, total.realised_profit, total.profit_unknown, true);
    shown.complete.show(`${count(total.complete)} of ${count(total.tokens)}`);
    shown.complete.element.title = "Of the others, trades of this wallet may be missing";
    shown.last.at = total.last_trade_at;
    shown.first.show(total.first_trade_at === null ? "–" : `${moment(total.first_trade_at).slice(0, 16)}`);
  }

  takeTrades(all) {
    const trades = all.filter((one) => one.wallet === this.address);
    if (trades.length === 0) return;
    this.tape.take(trades);
    this.askTotals();
  }

  refresh(now) {
    for (const element of this.totals.children) {
      const { last } = SHOWN.get(element);
      showAgo(last.value, last.at, now);
    }
    this.tape.refresh();
    this.positions.refresh();
  }

  missing(text) {
    this.listener.stop();
    this.root.replaceChildren(el("p", { class: "empty" }, text));
    return null;
  }
}

const SHOWN = new WeakMap();

function makeTotal() {
  const shown = facts(
    ["profit", "Realised profit"],
    ["spent", "Spent, with fees"],
    ["received", "Received, after fees"],
    ["tokens", "Tokens"],
    ["trades", "Buys / sells"],
    ["complete", "Complete records"],
    ["first", "First trade (UTC)"],
    ["last", "Last trade"],
  );
  for (const name of ["profit", "spent", "received"]) {
    const small = el("dd", { class: "remark soft" });
    shown[name].element.append(small);
    shown[name].note = (text) => write(small, text);
  }
  const element = el("section", { class: "card total" }, el("h2"), shown.element);
  SHOWN.set(element, shown);
  return element;
}

startShell();
new WalletPage(document.getElementById("page")).start();

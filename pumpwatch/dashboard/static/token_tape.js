/** The tape of one token with its filters: side, size, wallet. */

import { get } from "./core/api.js";
import { el, write } from "./core/dom.js";
import { quoteName } from "./core/format.js";
import { choice } from "./pieces.js";
import { Tape } from "./tape.js";

const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;

export class TokenTape {
  constructor(mint) {
    this.decimals = null;
    this.chosen = { side: "", minimum_quote: "", wallet: "" };
    this.tape = new Tape({
      load: (params) => get(`/api/tokens/${encodeURIComponent(mint)}/trades`, params),
      ofToken: true,
      decimals: () => this.decimals,
      wanted: () => this.chosen,
      fits: (trade) => this.fits(trade),
    });
    this.unit = el("span", { class: "unit soft" });
    this.said = el("p", { class: "warn", role: "status" });
    this.size = el("input", { type: "number", min: 0, step: "any", inputMode: "decimal", placeholder: "any", "aria-label": "Minimum size, in the quote" });
    this.wallet = el("input", { type: "search", maxLength: 44, spellcheck: false, autocomplete: "off", placeholder: "Wallet", "aria-label": "Only this wallet" });
    const form = el(
      "form",
      { class: "filters", "aria-label": "Which trades", on: { submit: (event) => this.choose(event), change: () => this.choose() } },
      choice("Side", [["", "All"], ["buy", "Buys"], ["sell", "Sells"]], "", (side) => this.choose(null, { side })),
      el("label", { class: "sized" }, "≥", this.size, this.unit),
      this.wallet,
    );
    this.element = el("section", { class: "card trades", "aria-labelledby": "trades-title" }, el("h2", { id: "trades-title" }, "Trades"), form, this.said, this.tape.element);
  }

  setToken(token) {
    if (this.decimals !== token.quote_decimals) {
      this.decimals = token.quote_decimals;
      this.tape.table.refresh(["amount"]);
    }
    write(this.unit, quoteName(token.quote_mint));
  }

  async choose(event = null, change = {}) {
    event?.preventDefault();
    const wallet = this.wallet.value.trim();
    const isWrong = wallet !== "" && !ADDRESS.test(wallet);
    write(this.said, isWrong ? "That is no address of a wallet." : "");
    const wanted = { ...this.chosen, minimum_quote: Number(this.size.value) > 0 ? this.size.value : "", wallet: isWrong ? this.chosen.wallet : wallet, ...change };
    if (Object.keys(wanted).every((name) => wanted[name] === this.chosen[name])) return;
    this.chosen = wanted;
    try {
      await this.reload();
    } catch (error) {
      write(this.said, error.message);
    }
  }

  fits(trade) {
    const { side, minimum_quote: least, wallet } = this.chosen;
    if (side && trade.side !== side) return false;
    if (wallet && trade.wallet !== wallet) return false;
    return !least || (trade.quote_amount !== null && this.decimals !== null && trade.quote_amount / 10 ** this.decimals >= Number(least));
  }

  reload() {
    return this.tape.reload();
  }

  take(trades) {
    this.tape.take(trades);
  }

  refresh() {
    this.tape.refresh();
  }
}

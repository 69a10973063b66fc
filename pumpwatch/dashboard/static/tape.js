/** Trades as they come: the newest on top, held while somebody reads, older ones when asked for. */

import { el, write } from "./core/dom.js";
import { age, change, clock, moment, price } from "./core/format.js";
import { Table } from "./core/table.js";
import { amount, money, plural, showSources, sourceMarks, tokenLink, tokens, walletLink, way } from "./pieces.js";

const MOST_NEW = 500;
const MOST_SHOWN = 3000;
const PAGE = 100;

const STATES = {
  provisional: ["prov.", "Provisional: only PumpPortal told it so far: the chain is asked"],
  confirmed: ["✓", "The chain told it"],
  finalized: ["✓", "The chain told it, and cannot take it back"],
  dropped: ["dropped", "The chain does not have it: it counts nowhere"],
  superseded: ["superseded", "The chain told all trades of this transaction, and this report is none of them"],
};

/** What names a trade, before and after the chain told its place. */
export function keyOf(trade) {
  return trade.id ?? `${trade.signature}/${trade.event_index}`;
}

/** Unix seconds: of the chain's clock, or while that is not known of ours. */
export function timeOf(trade) {
  return trade.block_time ?? Math.floor(trade.received_at_us / 1e6);
}

class TradeTable extends Table {
  update(tr, trade) {
    if (this.shown.get(tr) === trade) return;
    tr.dataset.side = trade.side;
    tr.dataset.state = trade.state ?? (trade.confirmed ? "confirmed" : "provisional");
    super.update(tr, trade);
  }

  make(trade) {
    const tr = super.make(trade);
    if (this.isLive) tr.classList.add("fresh");
    return tr;
  }
}

export class Tape {
  /**
   * `load(params)` asks for trades (`limit`, `until`, and what `wanted()` says) as the API answers. `ofToken`: trades of one token in
   * the chain's order, with their wallets; else those of a wallet, with their tokens. `decimals(trade)` is how many its quote has.
   */
  constructor({ load, ofToken, decimals, wanted = () => ({}), fits = () => true }) {
    Object.assign(this, { load, ofToken, decimals, wanted, fits });
    this.trades = new Map();
    this.unseen = 0;
    this.most = MOST_NEW;
    this.isHeld = false;
    this.table = new TradeTable({
      caption: "Trades, the newest first",
      columns: columns(ofToken, decimals),
      key: keyOf,
      empty: "No trade yet.",
    });
    this.scroll = this.table.element;
    this.counter = el("button", { type: "button", class: "counter", hidden: true, on: { click: () => this.letGo() } });
    this.older = el("button", { type: "button", hidden: true, on: { click: () => this.loadOlder() } }, "Load older");
    this.foot = el("p", { class: "soft", role: "status" });
    this.element = el("div", { class: "tape" }, this.counter, this.scroll, el("div", { class: "tape-foot" }, this.older, this.foot));
    this.watchReading();
  }

  /** Rows do not move under a mouse, nor under the keys, nor while one has scrolled down. */
  watchReading() {
    const body = this.table.body;
    const mouse = (isOver) => (event) => {
      if (event.pointerType === "mouse") this.hold("mouse", isOver);
    };
    const reasons = new Set();
    this.hold = (reason, isOn) => {
      if (isOn) reasons.add(reason);
      else reasons.delete(reason);
      this.isHeld = reasons.size > 0;
      if (!this.isHeld) this.letGo();
      else this.tell();
    };
    body.addEventListener("pointerenter", mouse(true));
    body.addEventListener("pointerleave", mouse(false));
    body.addEventListener("focusin", () => this.hold("keys", true));
    body.addEventListener("focusout", (event) => this.hold("keys", body.contains(event.relatedTarget)));
    this.scroll.addEventListener("scroll", () => this.hold("scrolled", this.scroll.scrollTop > 4), { passive: true });
  }

  /** Load the newest anew, with the filters as they are. */
  async reload() {
    const asked = this.wanted();
    const answer = await this.load({ ...asked, limit: PAGE });
    this.trades = new Map(answer.trades.map((trade) => [keyOf(trade), trade]));
    this.unseen = 0;
    this.most = MOST_NEW;
    this.table.isLive = false;
    this.table.setEmpty(Object.values(asked).some(Boolean) ? "No trade fits the filters." : "No trade yet.");
    this.ended(answer);
    this.render();
  }

  async loadOlder() {
    const known = [...this.trades.values()];
    if (known.length === 0) return;
    this.older.disabled = true;
    const until = Math.min(...known.map(timeOf));
    try {
      const answer = await this.load({ ...this.wanted(), until, limit: PAGE });
      const before = this.trades.size;
      this.most = Math.min(MOST_SHOWN, Math.max(this.most, before + PAGE));
      for (const trade of answer.trades) this.trades.set(keyOf(trade), trade);
      this.table.isLive = false;
      this.ended(answer, this.trades.size === before);
      this.render();
    } catch (error) {
      write(this.foot, error.message);
    } finally {
      this.older.disabled = false;
    }
  }

  ended({ trades, is_cut: isCut, looked_to: lookedTo }, isSame = false) {
    const isMore = isCut || (trades.length >= PAGE && !isSame);
    this.older.hidden = !isMore || this.trades.size >= MOST_SHOWN;
    let text = isMore ? "" : this.trades.size > 0 ? "That is all of the record." : "";
    if (isCut) text = `Looked at all down to ${lookedTo ? `${moment(lookedTo)} UTC` : "a part of them"}: there may be more.`;
    write(this.foot, text);
  }

  /** Take what was told live: new trades, and old ones that have changed. */
  take(trades) {
    for (const trade of trades) {
      const key = keyOf(trade);
      const isKnown = this.trades.has(key);
      if (!isKnown && (trade.state === "dropped" || trade.state === "superseded" || !this.fits(trade))) continue;
      if (!isKnown && this.isHeld) this.unseen += 1;
      this.trades.set(key, trade);
    }
    this.table.isLive = true;
    this.render();
  }

  letGo() {
    if (this.scroll.scrollTop > 4) this.scroll.scrollTop = 0;
    this.unseen = 0;
    this.render(true);
  }

  render(isLetGo = false) {
    if (this.isHeld && !isLetGo && this.shown !== undefined) {
      // Those that are there may change; new ones wait.
      this.shown = this.shown.map((old) => this.trades.get(keyOf(old)) ?? old);
    } else {
      this.shown = sorted(this.trades, this.ofToken);
      this.forget();
    }
    this.table.render(this.shown);
    this.tell();
  }

  tell() {
    this.counter.hidden = this.unseen === 0;
    write(this.counter, `${plural(this.unseen, "new trade")}: show`);
  }

  /** Keep so many of the newest: more for who has loaded older ones. */
  forget() {
    const surplus = this.shown.splice(this.most);
    for (const trade of surplus) this.trades.delete(keyOf(trade));
    if (surplus.length > 0) this.older.hidden = false;
  }

  refresh() {
    this.table.refresh(["time"]);
  }
}

/** A token's in the chain's order, and provisional ones where they arrived; a wallet's by the time. */
function sorted(trades, ofToken) {
  const all = [...trades.values()];
  if (!ofToken) return all.sort((a, b) => timeOf(b) - timeOf(a) || compareText(b.chain_key, a.chain_key) || keyOrder(b, a));
  const placed = all.filter((trade) => trade.chain_key !== null).sort((a, b) => compareText(b.chain_key, a.chain_key));
  const loose = all.filter((trade) => trade.chain_key === null).sort((a, b) => b.received_at_us - a.received_at_us);
  const merged = [];
  for (const trade of placed) {
    while (loose.length > 0 && loose[0].received_at_us >= trade.received_at_us) merged.push(loose.shift());
    merged.push(trade);
  }
  return merged.concat(loose);
}

function compareText(a, b) {
  return (a ?? "") < (b ?? "") ? -1 : (a ?? "") > (b ?? "") ? 1 : 0;
}

function keyOrder(a, b) {
  return (a.id ?? 0) - (b.id ?? 0);
}

function columns(ofToken, decimals) {
  const whose = ofToken
    ? { id: "wallet", label: "Wallet", make: (td, trade) => td.append(walletLink(trade.wallet)), show: () => {} }
    : { id: "token", label: "Token", class: "token-cell", make: (td, trade) => td.append(tokenLink(trade.mint, trade.symbol)), show: () => {} };
  return [
    { id: "time", label: "Time", title: "By the chain's clock, UTC", class: "time", show: showTime },
    { id: "side", label: "Side", class: "side", show: (td, trade) => write(td, trade.side) },
    { id: "amount", label: "Amount", title: "Of the quote, net of fees", class: "number amount", show: (td, trade) => showAmount(td, trade, decimals(trade), ofToken) },
    { id: "tokens", label: "Tokens", class: "number tokens", show: (td, trade) => write(td, tokens(trade.token_amount)) },
    { id: "price", label: "Price", title: "After the trade, from the reserves", class: "number at", show: (td, trade) => write(td, price(trade.price)) },
    {
      id: "impact",
      label: "Impact",
      title: "By how much it moved the price",
      class: "number impact",
      show: (td, trade) => {
        write(td, change(trade.price_impact));
        td.className = `number impact ${way(trade.price_impact)}`;
      },
    },
    whose,
    {
      id: "sources",
      label: "From",
      title: "Who told: P PumpPortal, H a Solana endpoint's live feed (Helius), B backfill, from the chain's history",
      class: "from",
      make: (td) => td.append(sourceMarks()),
      show: (td, trade) => showSources(td.firstChild, trade.sources),
    },
    { id: "state", label: "State", class: "state", show: showTradeState },
  ];
}

function showTime(td, trade) {
  const at = timeOf(trade);
  const passed = Date.now() / 1000 - at;
  write(td, passed < 60 ? age(passed) : passed < 86_400 ? clock(at) : moment(at));
  const title = `${moment(at)} UTC${trade.block_time === null ? ", when it arrived" : ""}`;
  if (td.title !== title) td.title = title;
}

function showAmount(td, trade, decimals, ofToken) {
  write(td, ofToken ? amount(trade.quote_amount, decimals) : money(trade.quote_amount, trade.quote_mint, decimals));
  td.title = trade.quote_amount === null ? "Not told" : "";
}

function showTradeState(td, trade) {
  const state = trade.state ?? (trade.confirmed ? "confirmed" : "provisional");
  const [text, title] = STATES[state] ?? [state, ""];
  write(td, text);
  td.title = title;
}


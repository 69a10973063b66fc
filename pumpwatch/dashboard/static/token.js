/** The page of one token. */

import { get } from "./core/api.js";
import { el } from "./core/dom.js";
import { listen } from "./core/live.js";
import { eachSecond, showOrigin, showState, startShell } from "./core/shell.js";
import { Launch, Metadata, Windows } from "./about.js";
import { Chart } from "./chart.js";
import { Head } from "./head.js";
import { Makers } from "./makers.js";
import { pace } from "./pace.js";
import { Proof } from "./proof.js";
import { TokenTape } from "./token_tape.js";
import { Traders } from "./traders.js";

const PROOF_MS = 1000;
const ABOUT_MS = 5000;
const SLIDING_SECONDS = 20; // windows slide even if nothing is traded

class TokenPage {
  constructor(root) {
    this.mint = document.body.dataset.address;
    this.path = `/api/tokens/${encodeURIComponent(this.mint)}`;
    this.head = new Head(this.mint);
    this.proof = new Proof(this.mint);
    this.chart = new Chart(this.mint, root.dataset.plotly);
    this.tape = new TokenTape(this.mint);
    this.traders = new Traders(this.mint);
    this.cards = [new Windows(), new Makers(this.mint), new Launch(), new Metadata()];
    const [windows, makers, launch, metadata] = this.cards.map((one) => one.element);
    this.body = el(
      "div",
      { class: "token-page" },
      this.head.element,
      this.proof.element,
      el("div", { class: "market" }, el("div", { class: "stack" }, this.chart.element, windows), this.tape.element),
      el("div", { class: "evidence" }, this.proof.chain.element, this.proof.gaps.element),
      el("div", { class: "people" }, this.traders.element, el("div", { class: "stack" }, makers, launch, metadata)),
    );
    this.root = root;
    this.askProof = pace(PROOF_MS, () => quiet(this.proof.reload()));
    this.askAbout = pace(ABOUT_MS, () => quiet(this.loadAbout()));
    this.turns = 0;
  }

  start() {
    this.root.replaceChildren(this.body);
    this.listener = listen({ mint: this.mint }, {
      reload: () => this.reload(),
      state: showState,
      hello: ({ origin }) => showOrigin(origin),
      tokens: ({ tokens }) => this.takeRow(tokens.find((one) => one.mint === this.mint)),
      trades: ({ trades }) => this.takeTrades(trades),
      completeness: (told) => this.takeCompleteness(told),
    });
    eachSecond((now) => this.refresh(now));
  }

  /** All of it anew; resolves to the cursor from which changes are told. */
  async reload() {
    const others = Promise.all([this.proof.reload(), this.tape.reload()]);
    others.catch(() => {}); // told below, or by what is asked first
    let cursor;
    try {
      cursor = await this.loadAbout();
    } catch (error) {
      if (error.status === 404) return this.missing(error.message);
      if (error.code === "no_database") await this.welcome();
      throw error;
    }
    if (!this.chart.isBegun) this.chart.begin(this.lifeSeconds());
    await Promise.all([others, this.chart.reload()]);
    return cursor;
  }

  async loadAbout() {
    const about = await get(this.path);
    this.about = about;
    showOrigin(about.origin);
    this.takeRow(about, about.largest);
    for (const card of [...this.cards, this.traders]) card.show(about);
    return about.cursor;
  }

  /** From its beginning to its last trade, in seconds. */
  lifeSeconds() {
    const { created_at: created, first_trade_at: first, last_trade_at: last } = this.about;
    return last === null ? 0 : last - (created ?? first);
  }

  takeRow(row, largest = undefined) {
    if (!row) return;
    this.row = row;
    this.head.show(row, Date.now() / 1000, largest);
    this.tape.setToken(row);
    this.proof.setToken(row);
  }

  takeTrades(all) {
    const trades = all.filter((one) => one.mint === this.mint);
    if (trades.length === 0) return;
    this.tape.take(trades);
    this.chart.traded(trades);
    this.askProof();
    this.askAbout();
  }

  takeCompleteness(told) {
    if (told.mint !== this.mint) return;
    if (this.row) this.takeRow({ ...this.row, ...told });
    this.chart.traded([{ block_time: 0 }]); // what is shaded has changed
    this.askProof();
  }

  refresh(now) {
    this.head.refresh(now);
    this.proof.refresh(now);
    this.tape.refresh();
    this.traders.refresh();
    this.turns += 1;
    if (this.turns % SLIDING_SECONDS === 0 && this.about) this.askAbout();
    if (this.proof.isUnsettled && this.about) this.askProof();
  }

  missing(text) {
    this.listener.stop();
    this.root.replaceChildren(el("p", { class: "empty" }, text));
    return null;
  }

  async welcome() {
    const { showWelcome } = await import("./welcome.js");
    await showWelcome(this.root); // until there is one: then it loads this page again
  }
}

/** What fails here is asked for again with the next change; the line's state says that the server is away. */
async function quiet(work) {
  try {
    await work;
  } catch (error) {
    console.debug(error.message);
  }
}

startShell();
new TokenPage(document.getElementById("page")).start();

/** The list of tokens: chosen by a tab and a search, ordered by its heads, and true at every moment. */

import { columns, TIMED } from "./columns.js";
import { get, post } from "./core/api.js";
import { el, fill, notice, write } from "./core/dom.js";
import { listen } from "./core/live.js";
import { eachSecond, showOrigin, showState, startShell } from "./core/shell.js";
import { Table } from "./core/table.js";
import { belongs, ordered, TABS } from "./ordering.js";
import { showWelcome } from "./welcome.js";

const LIMITS = [50, 100, 500];
const TYPING_MS = 250;
const ORDERING_MS = 1000;
const CUT_MS = 5000;

class TokensPage {
  constructor(root) {
    this.root = root;
    this.rows = new Map();
    this.places = new Map(); // where the server's last answer had them
    this.shown = [];
    this.isDirty = false;
    this.readAddress();
    this.build();
    addEventListener("popstate", () => {
      this.readAddress();
      this.load();
    });
    setInterval(() => this.arrange(), ORDERING_MS);
    eachSecond(() => this.table.refresh(TIMED));
    this.listener = listen(
      { board: true },
      {
        reload: () => this.reload(),
        hello: ({ origin }) => showOrigin(origin),
        tokens: ({ tokens, is_cut }) => this.take(tokens, is_cut),
        state: showState,
      },
    );
  }

  // What the address says is what is shown: it can be kept, sent, and gone back to.

  readAddress() {
    const params = new URLSearchParams(location.search);
    this.tab = params.get("tab") in TABS ? params.get("tab") : "all";
    this.text = params.get("symbol") ?? "";
    this.order = params.get("order") ?? TABS[this.tab].order;
    const limit = Number(params.get("limit"));
    this.limit = LIMITS.includes(limit) ? limit : LIMITS[1];
  }

  writeAddress() {
    const params = new URLSearchParams();
    if (this.tab !== "all") params.set("tab", this.tab);
    if (this.text) params.set("symbol", this.text);
    if (this.order !== TABS[this.tab].order) params.set("order", this.order);
    if (this.limit !== LIMITS[1]) params.set("limit", this.limit);
    const query = params.toString();
    history.pushState(null, "", query ? `?${query}` : location.pathname);
  }

  build() {
    this.tabs = Object.entries(TABS).map(([name, { label }]) =>
      el("button", { type: "button", "aria-pressed": "false", "data-tab": name, on: { click: () => this.choose({ tab: name }) } }, label),
    );
    this.search = el("input", { id: "filter", type: "search", maxLength: 64, autocomplete: "off", spellcheck: false });
    this.search.placeholder = "Filter by symbol, name or mint";
    let typing = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.choose({ text: this.search.value.trim() }), TYPING_MS);
    });
    this.size = el(
      "select",
      { id: "limit", on: { change: () => this.choose({ limit: Number(this.size.value) }) } },
      LIMITS.map((limit) => el("option", { value: limit }, String(limit))),
    );
    this.summary = el("p", { class: "soft summary", role: "status" });
    this.table = new Table({
      columns: columns((mint, button) => this.pin(mint, button)),
      key: (row) => row.mint,
      href: (row) => `/token/${encodeURIComponent(row.mint)}`,
      caption: "Tokens of the record",
      onOrder: (order) => this.choose({ order }),
    });
    this.table.element.classList.add("tokens");
    this.table.body.addEventListener("keydown", (event) => this.pinByKey(event));
    fill(
      this.root,
      el(
        "div",
        { class: "bar" },
        el("div", { class: "tabs", role: "group", "aria-label": "Which tokens" }, this.tabs),
        el("label", { class: "filter" }, el("span", { class: "unseen" }, "Filter"), this.search),
        el("label", { class: "rows soft" }, "Rows ", this.size),
      ),
      this.summary,
      this.table.element,
    );
  }

  /** Another choice by the user. */
  choose(choice) {
    if (choice.tab) this.order = TABS[choice.tab].order;
    Object.assign(this, choice);
    this.writeAddress();
    this.load();
  }

  /** Load what is chosen, outside of the live line's own turns. */
  async load() {
    try {
      await this.reload();
      notice(null);
    } catch (error) {
      if (error.name !== "AbortError") notice(error.message);
    }
  }

  /** Everything anew. Resolves to the cursor from which the live line goes on. */
  async reload() {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    this.showChoice();
    let answer;
    try {
      answer = await get("/api/tokens", { ...TABS[this.tab].query, symbol: this.text, order: this.order, limit: this.limit }, loading.signal);
    } catch (error) {
      if (error.code === "no_database") {
        await showWelcome(this.root);
        return null;
      }
      if (error.name === "AbortError") return null;
      throw error;
    }
    showOrigin(answer.origin);
    this.rows = new Map(answer.tokens.map((row) => [row.mint, row]));
    this.places = new Map(answer.tokens.map((row, place) => [row.mint, place]));
    this.shown = answer.tokens;
    this.isDirty = false;
    this.render();
    return answer.cursor;
  }

  /** Load anew, once in a while whatever happens. */
  loadSoon() {
    this.waiting ??= setTimeout(() => {
      this.waiting = null;
      this.load();
    }, CUT_MS);
  }

  showChoice() {
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset.tab === this.tab));
    if (this.search.value.trim() !== this.text && document.activeElement !== this.search) this.search.value = this.text;
    this.size.value = String(this.limit);
    this.table.setOrder(this.order);
  }

  /** Rows that changed, or are new. Their numbers are shown at once, their new places in a moment. */
  take(rows, isCut = false) {
    if (isCut) this.loadSoon(); // more changed than were told
    for (const row of rows) {
      const isHere = this.rows.has(row.mint);
      if (belongs(row, this.tab, this.text)) {
        this.rows.set(row.mint, row);
        if (!isHere && this.order === "newest" && !this.places.has(row.mint)) this.places.set(row.mint, -this.places.size - 1);
      } else if (isHere) this.rows.delete(row.mint);
    }
    this.isDirty = true;
    this.shown = this.shown.map((row) => this.rows.get(row.mint) ?? row);
    this.render();
  }

  /** Put every row where it belongs, unless that would take it away from under a pointer or a focus. */
  arrange() {
    const body = this.table.body;
    if (!this.isDirty || document.hidden || body.matches(":hover") || body.contains(document.activeElement)) return;
    this.isDirty = false;
    this.shown = ordered([...this.rows.values()], this.order, this.places).slice(0, this.limit);
    const shown = new Set(this.shown.map((row) => row.mint));
    for (const mint of this.rows.keys()) if (!shown.has(mint)) this.rows.delete(mint);
    this.render();
  }

  render() {
    this.table.setEmpty(this.text ? "No token fits. Search for another, or clear the filter." : "No token yet: the first appear by themselves.");
    this.table.render(this.shown);
    const count = this.shown.length;
    const more = count >= this.limit ? `the first ${count}` : `${count}`;
    write(this.summary, `${more} token${count === 1 ? "" : "s"}${this.text ? ` with “${this.text}”` : ""}`);
  }

  pinByKey(event) {
    if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.target.closest("tr")?.querySelector(".pinning")?.click();
  }

  async pin(mint, button) {
    const isPinned = button.getAttribute("aria-pressed") === "true";
    button.disabled = true;
    try {
      const { text } = await post("/api/watch", { mint, action: isPinned ? "unpin" : "pin" });
      write(this.summary, text);
      const row = this.rows.get(mint);
      if (row) this.take([{ ...row, watched: isPinned ? null : "asked" }]);
    } catch (error) {
      notice(error.message);
    } finally {
      button.disabled = false;
    }
  }
}

startShell();
new TokensPage(document.getElementById("page"));

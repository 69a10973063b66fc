/** How the recorder is: its feeds, what was missed and repaired, what it costs, what it warned of, its file. */

import { alertsCard, runsCard } from "./alerts.js";
import { costsCard } from "./costs.js";
import { get } from "./core/api.js";
import { el, fill, keyed, notice, write } from "./core/dom.js";
import { age, bytes, count, price, quoteName } from "./core/format.js";
import { listen } from "./core/live.js";
import { eachSecond, showOrigin, showState, startShell } from "./core/shell.js";
import { feedsCard } from "./feeds.js";
import { gapsCard } from "./missed.js";
import { showWelcome } from "./welcome.js";

const REFRESH_MS = 5000;

class SystemPage {
  constructor(root) {
    this.root = root;
    this.health = el("section", { class: "card health" }, el("h2", { role: "status" }), el("ul", { class: "problems" }), el("p", { class: "soft" }));
    const [feeds, gaps, costs, database, alerts, runs] = [feedsCard(), gapsCard(), costsCard(), databaseCard(), alertsCard(), runsCard()];
    this.cards = [feeds, gaps, costs, database, alerts, runs];
    const columns = [[gaps, database], [costs, alerts, runs]].map((cards) => el("div", { class: "column" }, cards.map((card) => card.element)));
    this.worker = null;
    fill(root, this.health, el("div", { class: "cards" }, feeds.element, columns));
    setInterval(() => {
      if (!document.hidden) this.refresh();
    }, REFRESH_MS);
    eachSecond(() => this.showHealth());
    listen(
      { system: true },
      {
        reload: () => this.reload(),
        hello: ({ origin }) => showOrigin(origin),
        system: (event) => this.take(event),
        state: showState,
      },
    );
  }

  async refresh() {
    try {
      this.show(await get("/api/system"));
    } catch (error) {
      notice(error.message);
    }
  }

  async reload() {
    try {
      const found = await get("/api/system");
      this.show(found);
      return found.cursor;
    } catch (error) {
      if (error.code === "no_database") {
        await showWelcome(this.root);
        return null;
      }
      throw error;
    }
  }

  show(found) {
    showOrigin(found.origin);
    this.found = found;
    this.take(found);
    for (const card of this.cards) card.show(found);
  }

  /** The newest word of the worker. */
  take({ worker, healthy, problems }) {
    this.found = { ...this.found, worker, healthy, problems };
    this.showHealth();
    this.cards[0].show(this.found);
  }

  showHealth() {
    if (!this.found) return;
    const { healthy, problems, worker } = this.found;
    const [title, list, line] = this.health.children;
    this.health.dataset.healthy = String(healthy);
    write(title, healthy ? "✓ The recorder is healthy" : "! The recorder is NOT healthy");
    keyed(list, problems, (problem) => problem, () => el("li"), write);
    list.hidden = problems.length === 0;
    write(line, worker ? workerLine(worker) : "No worker has said anything yet.");
  }
}

function workerLine(worker) {
  const now = Date.now() / 1000;
  const parts = [
    `${worker.state}, pid ${worker.pid}, pumpwatch ${worker.version}, up ${age(now - worker.started_at)}`,
    `heard from ${age(now - worker.written_at)} ago`,
    `${count(worker.watched)} watched`,
    `queue ${count(worker.queue_depth)}${worker.spilled ? `, ${count(worker.spilled)} spilled` : ""}`,
    `last commit ${worker.last_commit_at ? `${age(now - worker.last_commit_at)} ago` : "not yet"}`,
    `${count(worker.gaps_open)} gaps open`,
  ];
  if (worker.shed?.length) parts.push(`given up for lack of disk: ${worker.shed.join(", ")}`);
  return parts.join(" · ");
}

/** The file: how large, how fast it grows, how long there is room; and what it holds. */
function databaseCard() {
  const facts = el("dl", { class: "facts" });
  const element = el("section", { class: "card" }, el("h2", {}, "Database"), facts);
  return {
    element,
    show({ database, disk, completeness, worker, origin, rates }) {
      const judged = Object.entries(completeness).map(([name, number]) => `${number} ${name}`);
      fill(
        facts,
        fact("File", database.split(/[\\/]/).pop()),
        fact("Data of", origin),
        fact("Trades", count(worker?.trades)),
        fact("Watched tokens", judged.join(", ") || "none"),
        fact("Size", bytes(disk.database_bytes)),
        fact("Its log (WAL)", bytes(disk.wal_bytes)),
        fact("Free on the disk", bytes(disk.free_bytes)),
        fact("Grows by", disk.growth_bytes_per_day === null ? "not known yet" : `${bytes(disk.growth_bytes_per_day)} a day`),
        fact("Room for", disk.days_left === null ? "not known yet" : `${count(Math.floor(disk.days_left))} days`),
        rates.map((rate) => fact(`1 ${quoteName(rate.quote_mint)}`, `$${price(rate.usd)}${rate.stale ? `, ${age(rate.age_seconds)} old: not used` : ""}`)),
      );
    },
  };
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

startShell();
new SystemPage(document.getElementById("page"));

/** Cards of a token's page that change slowly: lately, the launch, what its maker says. */

import { el, fill, write } from "./core/dom.js";
import { change, count, moment, percent, UNKNOWN, usd, visible } from "./core/format.js";
import { Table } from "./core/table.js";
import { card, money, plural, showSplit, splitBar, tokens, way } from "./pieces.js";

/** 1m, 5m, 1h and 24h. */
export class Windows {
  constructor() {
    this.table = new Table({
      caption: "What was traded lately",
      key: (row) => row.name,
      columns: [
        { id: "name", label: "Last", show: (td, row) => write(td, row.name) },
        {
          id: "change",
          label: "Change",
          title: "Of the price; with *: since its first trade, which was in this time",
          class: "number",
          show: (td, row) => {
            write(td, `${change(row.price_change)}${row.is_from_first ? "*" : ""}`);
            td.className = `number ${way(row.price_change)}`;
          },
        },
        { id: "trades", label: "Trades", class: "number", show: (td, row) => write(td, count(row.trades)) },
        { id: "split", label: "Buys / sells", make: (td) => td.append(splitBar()), show: (td, row) => showSplit(td.firstChild, row.buys, row.sells) },
        { id: "volume", label: "Volume", class: "number", show: (td, row) => write(td, money(row.volume, row.quote_mint, row.decimals)) },
        { id: "usd", label: "USD", class: "number", show: (td, row) => write(td, usd(row.volume_usd)) },
      ],
    });
    this.element = card("windows", "Lately", this.table.element);
  }

  show(about) {
    const more = { quote_mint: about.quote_mint, decimals: about.quote_decimals };
    this.table.render(Object.entries(about.windows).map(([name, row]) => ({ name, ...row, ...more })));
  }
}

/** Who bought at the beginning. */
export class Launch {
  constructor() {
    this.list = el("dl", { class: "facts stages" });
    this.remark = el("p", { class: "soft" });
    this.element = card("launch", "Launch", this.list, this.remark);
  }

  show({ launch, developer }) {
    const stages = [
      ["In the creation itself", launch.in_transaction],
      ["In the same slot", launch.in_slot],
      ["In the first 3 slots", launch.in_first_slots],
    ].filter(([, buyers]) => buyers !== null);
    fill(this.list, stages.map(([label, buyers]) => stage(label, buyers, developer)));
    write(this.remark, launch.is_pruned ? "These trades were pruned." : stages.length ? "" : "Its creation was not seen on the chain.");
  }
}

function stage(label, buyers, developer) {
  if (buyers.buys === 0) return el("div", {}, el("dt", {}, label), el("dd", {}, "nobody"));
  const share = buyers.share === null ? `${tokens(buyers.bought)} tokens` : `${percent(buyers.share * 100)} of the supply`;
  const own = developer && buyers.bought_by_developer ? `; ${tokens(buyers.bought_by_developer)} by the developer` : "";
  return el(
    "div",
    {},
    el("dt", {}, label),
    el("dd", {}, share),
    el("dd", { class: "soft" }, `${plural(buyers.buys, "buy")} of ${plural(buyers.wallets, "wallet")}, ${tokens(buyers.bought)} tokens${own}`),
  );
}

const SAID = [
  ["name", "Name"],
  ["symbol", "Symbol"],
  ["description", "Description"],
  ["website", "Website"],
  ["twitter", "Twitter"],
  ["telegram", "Telegram"],
  ["image", "Image"],
];

/** What its maker says of it, as text: nothing of it is a link, and no image is fetched. */
export class Metadata {
  constructor() {
    this.list = el("dl", { class: "said-of-it" });
    this.remark = el("p", { class: "soft" });
    this.element = card("metadata", "What its maker says", this.remark, this.list);
  }

  show({ metadata }) {
    const isThere = metadata !== null && metadata.error === null;
    const told = isThere ? SAID.filter(([field]) => metadata[field]) : [];
    fill(this.list, told.map(([field, label]) => el("div", {}, el("dt", {}, label), el("dd", { dir: "auto" }, visible(metadata[field], 1000)))));
    write(this.remark, remark(metadata));
  }
}

function remark(metadata) {
  if (metadata === null) return "Its file was not asked for: [metadata] fetch is off, or has not come to it.";
  if (metadata.error !== null) return `Its file is not known: ${visible(metadata.error)}`;
  return `Unchecked, as text; links are not opened here. From ${visible(metadata.source)}, ${moment(metadata.fetched_at_us / 1e6)} UTC.`;
}

/** Base units of the supply as a share. */
export function shareText(share) {
  return share === null || share === undefined ? UNKNOWN : percent(share * 100, 2);
}

